"""The optimizer's groups of parameters, and the EMA of the weights."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import torch

from freqprep.training.recipe import Recipe


def make_optimizer(network: torch.nn.Module, recipe: Recipe) -> torch.optim.SGD:
    """Make SGD with momentum; vectors (norms and biases) have no weight decay."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {
            "params": [parameter for parameter in trained if parameter.ndim > 1],
            "weight_decay": recipe.weight_decay,
        },
        {
            "params": [parameter for parameter in trained if parameter.ndim <= 1],
            "weight_decay": 0.0,
        },
    ]
    fused = _on_gpu(network)
    return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, fused=fused)


def load_optimizer(
    optimizer: torch.optim.Optimizer, state: dict[str, Any], network: torch.nn.Module
) -> None:
    """Restore an optimizer; its kernels are those of the device that the network is on now.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
    state : dict
        Result of its ``state_dict``, on any device.
    network : torch.nn.Module
        Whose parameters it has.
    """
    optimizer.load_state_dict(state)
    for group in optimizer.param_groups:
        group["fused"] = _on_gpu(network)


def _on_gpu(network: torch.nn.Module) -> bool:
    return next(network.parameters()).device.type == "cuda"


class EMA:
    """Exponential moving average of a network's parameters and buffers.

    Early steps count for less of the past: the decay is at most ``(1 + step) / (10 + step)``.

    Parameters
    ----------
    network : torch.nn.Module
        Network to average: its tensors are read at each update, so they must stay the same ones
        (``load_state_dict`` keeps them).
    decay : float
        In [0, 1); with 0 the average is the network itself.

    Attributes
    ----------
    network : torch.nn.Module
        The average, in evaluation mode.
    """

    def __init__(self, network: torch.nn.Module, decay: float) -> None:
        self._decay = decay
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        pairs = list(
            zip(self.network.state_dict().values(), network.state_dict().values(), strict=True)
        )
        self._averaged = _columns(pair for pair in pairs if pair[0].is_floating_point())
        self._copied = _columns(pair for pair in pairs if not pair[0].is_floating_point())

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Update with the network after step number ``step`` (from 0, over all epochs)."""
        weight = 1 - min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(*self._averaged, weight)
        if self._copied[0]:
            torch._foreach_copy_(*self._copied)


def _columns(
    pairs: Iterable[tuple[torch.Tensor, torch.Tensor]],
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Turn pairs of tensors into two lists."""
    found = list(pairs)
    return [ours for ours, _ in found], [theirs for _, theirs in found]
