"""Trained RGB classifiers, read from files with torchvision's tensor names.

Two conventions, told apart by whether the file has batch norm:

=============  ==========================================  =======================================
               ``torchvision``                             ``tensorflow``
=============  ==========================================  =======================================
file           with batch norm (``running_mean`` ...)      folded: every convolution has a bias
input          x / 255, less ImageNet's mean, over its     x / 127.5 - 1
               standard deviation
padding        ordinary, the same on all sides             "SAME": where the stride is 2, an odd
                                                           pixel goes to the right and the bottom
=============  ==========================================  =======================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from freqprep.errors import some
from freqprep.models.torchvision_ops import import_torchvision
from freqprep.models.weight_files import fitting, is_folded, read_tensors, wrong_file

if TYPE_CHECKING:
    import torch

__all__ = ["RGBNetwork", "load_rgb_network"]

Style = Literal["torchvision", "tensorflow"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Mean of ImageNet's RGB pixels / 255, as torchvision's networks expect."""

IMAGENET_STD = (0.229, 0.224, 0.225)
"""Standard deviation of ImageNet's RGB pixels / 255."""

_FIRST_AND_LAST = {
    "mobilenet_v2": ("features.0.0.weight", "classifier.1.weight"),
    "resnet50": ("conv1.weight", "fc.weight"),
}


@dataclass(frozen=True)
class RGBNetwork:
    """Trained classifier of RGB images, in evaluation mode on the CPU.

    Attributes
    ----------
    architecture : str
        ``mobilenet_v2`` or ``resnet50``.
    style : str
        ``torchvision`` or ``tensorflow``: input and padding, see the module.
    classes : int
        Number of classes.
    module : torch.nn.Module
        Takes the normalised input.
    """

    architecture: str
    style: Style
    classes: int
    module: torch.nn.Module

    def logits(self, rgb: torch.Tensor) -> torch.Tensor:
        """Compute logits of images.

        Parameters
        ----------
        rgb : Tensor of float32, shape (n, 3, 224, 224)
            Red, green and blue in 0..255.

        Returns
        -------
        Tensor of float32, shape (n, classes)
        """
        import torch

        if self.style == "tensorflow":
            normal = rgb / 127.5 - 1
        else:
            mean = 255 * torch.tensor(IMAGENET_MEAN).reshape(3, 1, 1)
            normal = (rgb - mean) / (255 * torch.tensor(IMAGENET_STD).reshape(3, 1, 1))
        inputs = normal.contiguous(memory_format=torch.channels_last)
        logits: torch.Tensor = self.module(inputs)
        return logits


def load_rgb_network(path: str | Path) -> RGBNetwork:
    """Read a network from a file; architecture, style and classes follow from its tensors.

    Parameters
    ----------
    path : str or Path
        ``.npz`` of arrays, or a ``.pt`` or ``.pth`` state dict (also under ``model`` or
        ``state_dict``). Nothing in the file is executed.

    Returns
    -------
    RGBNetwork

    Raises
    ------
    UsageError
        The file cannot be read, or is not one of these networks; the first wrong tensors are
        named.
    MissingPackageError
        torch or torchvision is not installed.
    """
    torchvision = import_torchvision()
    import torch

    path = Path(path)
    tensors = read_tensors(path)
    architecture = _architecture(path, tensors)
    last = tensors[_FIRST_AND_LAST[architecture][1]]
    if last.ndim != 2:
        raise wrong_file(path, f"its last layer has the shape {tuple(last.shape)}")
    folded = is_folded(tensors)
    with torch.device("meta"):  # no memory and no random numbers for what the file replaces
        build = getattr(torchvision.models, architecture)
        layers = {"norm_layer": torch.nn.Identity} if folded else {}
        module = build(weights=None, num_classes=len(last), **layers)
        if folded:
            _give_biases(module)
    module.load_state_dict(fitting(module, path, tensors), assign=True)
    if folded:
        _pad_as_tensorflow(module)
    module = module.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    style: Style = "tensorflow" if folded else "torchvision"
    return RGBNetwork(architecture, style, len(last), module)


def _architecture(path: Path, tensors: Mapping[str, torch.Tensor]) -> str:
    for architecture, names in _FIRST_AND_LAST.items():
        if all(name in tensors for name in names):
            return architecture
    raise wrong_file(
        path,
        f"of its {len(tensors)} tensors ({some(list(tensors)) or 'none'}) none are the first and"
        " last of mobilenet_v2 or of resnet50",
    )


def _give_biases(module: torch.nn.Module) -> None:
    import torch

    for conv in module.modules():
        if isinstance(conv, torch.nn.Conv2d) and conv.bias is None:
            conv.bias = torch.nn.Parameter(torch.zeros(conv.out_channels))


def _pad_as_tensorflow(module: torch.nn.Module) -> None:
    """Set padding "SAME" in layers of stride 2, for even sides (224, 112 ... 14)."""
    import torch

    for layer in module.modules():
        if isinstance(layer, torch.nn.MaxPool2d):
            layer.padding, layer.ceil_mode = 0, True  # what lies outside never counts
        elif isinstance(layer, torch.nn.Conv2d) and layer.stride == (2, 2):
            padding = max(int(layer.kernel_size[0]) - 2, 0)
            before, after = padding // 2, padding - padding // 2
            layer.padding = (0, 0)
            layer.register_forward_pre_hook(partial(_pad, (before, after, before, after)))


def _pad(sides: tuple[int, ...], _: torch.nn.Module, arguments: tuple[Any, ...]) -> tuple[Any]:
    import torch

    return (torch.nn.functional.pad(arguments[0], sides),)
