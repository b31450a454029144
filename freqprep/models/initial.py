"""Initial weights from an RGB network or another run."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from freqprep.models.detection import Detector
from freqprep.models.gate import GatedNetwork
from freqprep.models.networks import build
from freqprep.models.rgb import load_rgb_network
from freqprep.models.unfolding import norms_behind, unfold
from freqprep.models.weight_files import COUNTER, fitting, is_folded, read_tensors, wrong_file

__all__ = ["Loaded", "load_weights", "recalibrate_batch_norm"]

_RESNETS_DIFFER = ("conv1.", "bn1.", "layer1.0.conv1.", "layer1.0.downsample.0.")
_CLASSIFIERS = ("fc.", "classifier.")
_ARCHITECTURES_DIFFER = (*_RESNETS_DIFFER, "features.0.", "features.1.", *_CLASSIFIERS)
_NETWORK = "network."
_MAY_DIFFER = (
    "gate.",
    *_ARCHITECTURES_DIFFER,
    *(_NETWORK + name for name in _ARCHITECTURES_DIFFER),
)
"""Prefixes of the names of stem, first layers, classifier and gate, of either architecture."""

_BODY = "backbone.body."
_BODIES_DIFFER = tuple(_BODY + name for name in _RESNETS_DIFFER)

_STEMS = ("conv1.", "bn1.", "features.0.")
_MOBILENETS_FIRST = ("features.1.conv.0.", "features.1.conv.1.")
FIRST_LAYERS = ("gate.", *_RESNETS_DIFFER, "features.0.", *_MOBILENETS_FIRST, *_BODIES_DIFFER)
"""Prefixes of the names of what is for the channels of the input, of any network."""

CLASSIFIERS = (*_CLASSIFIERS, "roi_heads.box_predictor.", "roi_heads.mask_predictor.")
"""Prefixes of the names of what is for the classes."""

_BESIDE_THE_BODY = ("backbone.fpn.", "rpn.", "roi_heads.")
_BY_CLASSES_AND_MASKS = ("roi_heads.box_predictor.", "roi_heads.mask_")
_OLD_NAMES = (
    (r"^(backbone\.fpn\.(?:inner|layer)_blocks\.\d)\.(weight|bias)$", r"\1.0.\2"),
    (r"^(rpn\.head\.conv)\.(weight|bias)$", r"\1.0.0.\2"),
    (
        r"^(roi_heads\.mask_head)\.mask_fcn(\d)\.(weight|bias)$",
        lambda found: f"{found[1]}.{int(found[2]) - 1}.0.{found[3]}",
    ),
)
"""Names in torchvision's detectors until 0.13, as in the files it offers, and today's."""


@dataclass(frozen=True)
class Loaded:
    """Names of a network's tensors that were loaded, and of the others.

    Attributes
    ----------
    loaded : tuple of str
        Tensors that have the file's values.
    initialised : tuple of str
        Tensors that keep their own: the file lacks them or has another shape, or they were to be
        left.
    tensors : dict of str to Tensor
        Those of the file by name, with batch norm.
    """

    loaded: tuple[str, ...]
    initialised: tuple[str, ...]
    tensors: Mapping[str, torch.Tensor] = field(repr=False)


def load_weights(
    module: nn.Module,
    path: str | Path,
    rgb: Callable[[], torch.Tensor] | None = None,
    leave: tuple[str, ...] = (),
) -> Loaded:
    """Load every tensor of a file that fits a network of `build`, gated or not, or a detector.

    The stem, the layers next to it, the classifier and the gate may differ in shape or be absent
    on either side; anything else that differs means another network. Where one side alone has a
    stem, the layers next to it are not loaded: they are for its maps or for coefficients, although
    64 of them, or 32 for MobileNetV2, would fit. A detector takes its
    backbone from a ResNet-50, or all from a detector, of which the predictors may be for other
    classes, and the masks' part may be missing.

    Parameters
    ----------
    module : torch.nn.Module
        Changed in place; what is not loaded stays as it is.
    path : str or Path
        ``.npz``, ``.pt`` or ``.pth`` with torchvision's names, or a run's ``checkpoint.pt``, of
        which the averaged weights count.
    rgb : callable, optional
        Function that returns RGB images, float32 (n, 3, 224, 224) in 0..255. Called only for a
        file with folded batch norm: see `unfold`.
    leave : tuple of str
        Prefixes of names of tensors that are not loaded: of `FIRST_LAYERS` where they are for other
        channels, of `CLASSIFIERS` where they are for other classes.

    Returns
    -------
    Loaded

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
    if isinstance(module, Detector):
        named, may_differ = _named_as_a_detector(own, tensors)
    else:
        named, may_differ = _named_as_in(module, tensors), _MAY_DIFFER
    if _has_stem(own) != _has_stem(named):
        leave = (*leave, *FIRST_LAYERS)
    if leave:
        named = {
            name: tensor
            for name, tensor in named.items()
            if not name.removeprefix(_NETWORK).startswith(leave) or name.endswith(COUNTER)
        }
    found = fitting(module, path, named, may_differ)
    module.load_state_dict(found, strict=False)
    return Loaded(tuple(found), tuple(name for name in own if name not in found), tensors)


def _has_stem(names: Iterable[str]) -> bool:
    bare = (name.removeprefix(_NETWORK).removeprefix(_BODY) for name in names)
    return any(name.startswith(_STEMS) for name in bare)


def rgb_network(model: str, tensors: Mapping[str, torch.Tensor]) -> nn.Module | None:
    """Build the RGB network that a file's tensors are of.

    Parameters
    ----------
    model : str
        One of `freqprep.models.networks.MODELS`.
    tensors : dict of str to Tensor
        `Loaded.tensors`.

    Returns
    -------
    torch.nn.Module, or None
        In evaluation mode, on the CPU; None if the tensors are of a network without a stem.
    """
    bare = {name.removeprefix(_NETWORK): tensor for name, tensor in tensors.items()}
    network = build(model, input="rgb", classes=1)
    wanted = network.state_dict()
    found = {
        name: tensor
        for name, tensor in bare.items()
        if name in wanted and wanted[name].shape == tensor.shape
    }
    needed = {name for name in wanted if not name.startswith(_CLASSIFIERS)}
    if any(name not in found for name in needed if not name.endswith(COUNTER)):
        return None
    network.load_state_dict(found, strict=False)
    return network.eval()


def recalibrate_batch_norm(
    detector: Detector, initialised: Collection[str], images: Callable[[], torch.Tensor]
) -> None:
    """Measure the statistics of the batch norms behind a backbone's new convolutions.

    A norm from a file has mean and variance of the convolution that it followed there. Behind
    another one they are wrong, and a frozen norm would keep them forever.

    Parameters
    ----------
    detector : Detector
        Changed in place: running means and variances; weights and biases stay.
    initialised : collection of str
        Names of the tensors that were not loaded: see `Loaded`.
    images : callable
        Function that returns inputs of the detector, float (n, channels, rows, columns), on its
        device; called only if there are such norms. A dozen images will do.
    """
    body: Any = detector.backbone.body
    new = {
        conv: norm
        for conv, norm in norms_behind(body).items()
        if f"{_BODY}{conv}.weight" in initialised
    }
    if not new:
        return
    # Each norm is set before its first output, so those after it are measured behind it.
    hooks = [
        body.get_submodule(conv).register_forward_hook(
            partial(_set_statistics, body.get_submodule(norm))
        )
        for conv, norm in new.items()
    ]
    was_training = detector.training
    try:
        with torch.no_grad():
            detector.eval().backbone.body(images())
    finally:
        detector.train(was_training)
        for hook in hooks:
            hook.remove()


def _set_statistics(norm: Any, _: nn.Module, __: Any, output: torch.Tensor) -> None:
    variance, mean = torch.var_mean(output.float(), (0, 2, 3), correction=0)
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)


def _named_as_in(module: nn.Module, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Rename tensors as the network has them: with or without the prefix that a gate adds."""
    prefix = _NETWORK if isinstance(module, GatedNetwork) else ""
    bare = {name.removeprefix(_NETWORK): tensor for name, tensor in tensors.items()}
    return {
        name if name.startswith("gate.") else prefix + name: tensor for name, tensor in bare.items()
    }


def _named_as_a_detector(
    own: Collection[str], tensors: Mapping[str, torch.Tensor]
) -> tuple[dict[str, torch.Tensor], tuple[str, ...]]:
    """Rename a detector's tensors, or a classifier's as its backbone; also what may differ."""
    if any(name.startswith(_BODY) for name in tensors):
        named = {_new_name(name): tensor for name, tensor in tensors.items()}
        may_differ = (*_BODIES_DIFFER, *_BY_CLASSES_AND_MASKS)
    else:
        named = {
            _BODY + name.removeprefix(_NETWORK): tensor
            for name, tensor in tensors.items()
            if not name.startswith(("gate.", "fc.", _NETWORK + "fc."))
        }
        may_differ = (*_BODIES_DIFFER, *_BESIDE_THE_BODY)
    # Frozen norms count no batches.
    named = {n: tensor for n, tensor in named.items() if n in own or not n.endswith(COUNTER)}
    return named, may_differ


def _new_name(name: str) -> str:
    for old, new in _OLD_NAMES:
        name = re.sub(old, new, name)
    return name
