"""The optimizer's groups of parameters, and the EMA of the weights."""

from __future__ import annotations

import copy

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
    return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum)


class EMA:
    """Exponential moving average of a network's parameters and buffers.

    Early steps count for less of the past: the decay is at most ``(1 + step) / (10 + step)``.

    Parameters
    ----------
    network : torch.nn.Module
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

    @torch.no_grad()
    def update(self, network: torch.nn.Module, step: int) -> None:
        """Update with the network after step number ``step`` (from 0, over all epochs)."""
        weight = 1 - min(self._decay, (1 + step) / (10 + step))
        ours, theirs = self.network.state_dict(), network.state_dict()
        real = [name for name, tensor in ours.items() if tensor.is_floating_point()]
        torch._foreach_lerp_([ours[n] for n in real], [theirs[n] for n in real], weight)
        for name in ours.keys() - {*real}:
            ours[name].copy_(theirs[name])
