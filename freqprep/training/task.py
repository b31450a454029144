"""What differs between training a classifier and training a detector."""

from __future__ import annotations

from typing import Any, Protocol

import torch

from freqprep.store.split import Split
from freqprep.streaming.batch import Batch
from freqprep.training.distributed import World


class Task(Protocol):
    """The part of a run that knows what its network answers."""

    def loss(
        self, model: Any, batch: Batch, key: tuple[int, int, int]
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Show the network a batch.

        Parameters
        ----------
        model : callable
            The network in training mode, compiled or distributed where that was asked.
        batch : Batch
            Or a part of one.
        key : tuple of int
            Seed, epoch and step: what random choices of a batch as a whole are functions of.

        Returns
        -------
        Tensor
            What is minimised: the mean over the images.
        dict of str to Tensor
            Means over the images to report, without gradients; ``loss`` is among them.
        """

    def validate(
        self, network: torch.nn.Module, split: Split, world: World
    ) -> tuple[dict[str, Any], dict[str, float | None], str]:
        """How well a network does: all of it, the numbers to plot, and a line for people."""

    def arithmetic(self, network: torch.nn.Module) -> int:
        """Multiply-accumulates of one image."""

    def brief(self, values: dict[str, float]) -> tuple[str, ...]:
        """The numbers of `loss` in a few words each, the most important first."""
