"""Begin with the weights of an RGB network, or of another run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from freqprep.models.gate import GatedNetwork
from freqprep.models.rgb import load_rgb_network
from freqprep.models.unfolding import unfold
from freqprep.models.weight_files import fitting, is_folded, read_tensors, wrong_file

_ARCHITECTURES_DIFFER = (
    "conv1.",
    "bn1.",
    "layer1.0.conv1.",
    "layer1.0.downsample.0.",
    "fc.",
    "features.0.",
    "features.1.",
    "classifier.",
)
_NETWORK = "network."
_MAY_DIFFER = (
    "gate.",
    *_ARCHITECTURES_DIFFER,
    *(_NETWORK + name for name in _ARCHITECTURES_DIFFER),
)
"""Beginnings of the names of stem, first layers, classifier and gate, of either architecture."""


@dataclass(frozen=True)
class Loaded:
    """What became of a network's tensors.

    Attributes
    ----------
    loaded : tuple of str
        Names of those that now have the file's values.
    initialised : tuple of str
        Names of those that keep their own: the file has none, or one of another shape.
    """

    loaded: tuple[str, ...]
    initialised: tuple[str, ...]


def load_weights(
    module: nn.Module, path: str | Path, rgb: Callable[[], torch.Tensor] | None = None
) -> Loaded:
    """Load every tensor of a file that fits a network of `build`, gated or not.

    The stem, the layers next to it, the classifier and the gate may differ in shape or be absent
    on either side; anything else that differs means another network.

    Parameters
    ----------
    module : torch.nn.Module
        Changed in place; what is not loaded stays as it is.
    path : str or Path
        ``.npz``, ``.pt`` or ``.pth`` with torchvision's names, or a run's ``checkpoint.pt``, of
        which the averaged weights count.
    rgb : callable, optional
        Gives RGB images, float32 (n, 3, 224, 224) in 0..255. Called only for a file with batch
        norm folded: see `unfold`.

    Raises
    ------
    UsageError
        The file cannot be read, is of another network, or is folded and there are no images.
    """
    path = Path(path)
    tensors: Mapping[str, torch.Tensor] = read_tensors(path)
    if is_folded(tensors):
        network = load_rgb_network(path)
        if rgb is None:
            raise wrong_file(
                path,
                "its batch norm is folded into weights and biases, and training needs it apart",
                "give a state dict with running means and variances, or images to measure them on",
            )
        tensors = unfold(network, rgb())
    own = module.state_dict()
    found = fitting(module, path, _named_as_in(module, tensors), _MAY_DIFFER)
    module.load_state_dict(found, strict=False)
    return Loaded(tuple(found), tuple(name for name in own if name not in found))


def _named_as_in(module: nn.Module, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Names with or without the part that a gate adds, as the network has it."""
    prefix = _NETWORK if isinstance(module, GatedNetwork) else ""
    bare = {name.removeprefix(_NETWORK): tensor for name, tensor in tensors.items()}
    return {
        name if name.startswith("gate.") else prefix + name: tensor for name, tensor in bare.items()
    }
