"""Recovering batch norm in a network into whose weights it was folded."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import torch
from torch import nn

from freqprep.models.rgb import IMAGENET_MEAN, IMAGENET_STD, RGBNetwork

_EPSILON = 1e-5
_AT_ONCE = 16


def unfold(network: RGBNetwork, rgb: torch.Tensor) -> dict[str, torch.Tensor]:
    """Compute a state dict with torchvision's names and batch norm from a folded network.

    Folding loses each norm's statistics, and with them its scale and shift: a norm that is the
    identity in evaluation would change all activations in training. Here they are measured: over
    images, the outputs of each convolution have a mean and a variance, and the norm with these as
    statistics, scale and shift is the identity both in training and in evaluation. Input is then
    torchvision's, (x / 255 - mean) / std.

    Parameters
    ----------
    network : RGBNetwork
        A folded network: its style is ``tensorflow``.
    rgb : Tensor of float32, shape (n, 3, rows, columns)
        Images like those that it was trained on, in 0..255, 224x224. A hundred will do.

    Returns
    -------
    dict of str to Tensor
        Without the counters of batches.
    """
    norms = norms_behind(network.module)
    moments: dict[str, torch.Tensor] = {}
    hooks = [
        network.module.get_submodule(name).register_forward_hook(partial(_measure, moments, name))
        for name in norms
    ]
    with torch.inference_mode():
        for images in torch.split(rgb, _AT_ONCE):
            network.logits(images)
    for hook in hooks:
        hook.remove()
    state = network.module.state_dict()
    for name, norm in norms.items():
        bias = state.pop(f"{name}.bias")
        count, total, squares = moments[name]
        mean = total / count
        variance = (squares / count - mean.square()).clamp(min=0)
        if state[f"{name}.weight"].shape[1:2] == (3,):
            bias = bias + _take_torchvisions_input(state, f"{name}.weight")
        state[f"{norm}.weight"] = (variance + _EPSILON).sqrt().float()
        state[f"{norm}.bias"] = mean.float()
        state[f"{norm}.running_mean"] = (mean - bias).float()
        state[f"{norm}.running_var"] = variance.float()
    return state


def norms_behind(module: nn.Module) -> dict[str, str]:
    """Map the name of each convolution in a torchvision network to that of the norm behind it."""
    layers = list(module.named_modules())
    return {
        name: norm
        for (name, layer), (norm, _) in itertools.pairwise(layers)
        if isinstance(layer, nn.Conv2d)
    }


def _measure(
    moments: dict[str, torch.Tensor], name: str, _: Any, __: Any, output: torch.Tensor
) -> None:
    """Add up the count, the sum and the sum of squares of each channel."""
    values = output.double()
    sums = [torch.full_like(values[0, :, 0, 0], values[:, 0].numel())]
    sums += [values.sum((0, 2, 3)), values.square().sum((0, 2, 3))]
    moments[name] = moments.get(name, 0) + torch.stack(sums)


def _take_torchvisions_input(state: dict[str, torch.Tensor], name: str) -> torch.Tensor:
    """Change the first convolution's input from x / 127.5 - 1; return what its bias gains."""
    weight = state[name]
    mean, std = (torch.tensor(x).reshape(3, 1, 1) for x in (IMAGENET_MEAN, IMAGENET_STD))
    state[name] = weight * 2 * std
    return (weight * (2 * mean - 1)).sum((1, 2, 3))
