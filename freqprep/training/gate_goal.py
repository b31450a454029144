"""Goal of a gate that selects: what channels cost, what they may cost together, and when."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from freqprep.augment import ClassifierInput
from freqprep.errors import UsageError
from freqprep.importance.proposal import fill, parse_amount
from freqprep.spectrum.channels import channels
from freqprep.store.channel_bytes import ChannelBytes
from freqprep.store.split import Split
from freqprep.text.quantities import plural, size
from freqprep.training.recipe import Recipe
from freqprep.training.request import TrainingRequest

_OPEN, _TIGHT, _FROZEN = 1 / 10, 1 / 2, 2 / 3
"""Shares of the steps at which phases end; reasons are in `freqprep.training.gate_selection`."""


@dataclass(frozen=True, eq=False)
class GateGoal:
    """Cost of each channel, and what the open ones may cost together.

    Attributes
    ----------
    costs : ndarray of float64, shape (channels,)
        1 each, or bytes an image.
    limit : float
        Number of channels, or bytes an image without those of the indexes.
    channel_bytes : ndarray of float64, shape (channels,)
        Stored bytes an image, whatever the costs are.
    index_bytes : float
        Bytes an image of the shards' indexes, which are read with any channel.
    in_bytes : bool
        Whether the costs are bytes.
    log_energy : ndarray of float64, shape (channels,)
        Natural logarithm of each channel's energy, less the mean over the channels; of an empty one
        that of the least energy.
    empty : ndarray of bool, shape (channels,)
        Whether a channel is 0 in all images, such as chroma of grey ones.
    """

    costs: np.ndarray
    limit: float
    channel_bytes: np.ndarray
    index_bytes: float
    in_bytes: bool
    log_energy: np.ndarray
    empty: np.ndarray

    @classmethod
    def of(cls, recipe: Recipe, split: Split, indices: tuple[int, ...]) -> GateGoal:
        """Measure channels of a split, and check that a recipe's goal can be met.

        Parameters
        ----------
        recipe : Recipe
            With a number of channels or a budget for the gate.
        split : Split
            To be trained on.
        indices : tuple of int
            Channels that the network is fed, in its order.

        Returns
        -------
        GateGoal

        Raises
        ------
        UsageError
            More channels than there are, or a budget that holds none of them, or all.
        """
        measured, images, count = (
            ChannelBytes.of(split),
            max(int(split.valid.sum()), 1),
            len(indices),
        )
        index = measured.read(()) / images
        stored = np.array([measured.read((one,)) / images - index for one in indices])
        energy = split.moments.energy(split.steps)[list(indices)]
        logs, empty = _log_energy(energy), energy == 0
        if recipe.gate_budget is None:
            assert recipe.gate_channels is not None
            if recipe.gate_channels > count:
                raise UsageError(
                    f"a gate cannot choose {recipe.gate_channels} of {plural(count, 'channel')}",
                    f"use --gate-channels of at most {count}, or feed it more (--channels)",
                )
            return cls(
                np.ones(count), float(recipe.gate_channels), stored, index, False, logs, empty
            )
        budget = parse_amount(recipe.gate_budget, images)
        if budget is None:
            raise UsageError(
                f"a gate's budget must be bytes with a unit, got {recipe.gate_budget!r}",
                "use --gate-budget with for example 20KB/image, or 60GB of the whole split",
            )
        if not stored.min() <= budget - index < stored.sum():
            few, every = size(index + stored.min()), size(index + stored.sum())
            raise UsageError(
                f"a gate's budget of {size(budget)} an image leaves nothing to choose: the smallest"
                f" channel takes {few}, all {count} take {every}",
                "use a --gate-budget between them: 20KB/image is for each image, 60GB for all of"
                " the split together",
            )
        return cls(stored, budget - index, stored, index, True, logs, empty)

    @property
    def spread(self) -> float:
        """Standard deviation of the logarithms of energy; 1 if they are all the same."""
        return float(self.log_energy.std()) or 1.0

    @property
    def total(self) -> float:
        """Cost of all channels together."""
        return float(self.costs.sum())

    @property
    def fixed(self) -> float:
        """Bytes that count towards a budget, and are of no channel; 0 for a number of channels."""
        return self.index_bytes if self.in_bytes else 0.0

    def bytes_of(self, chosen: np.ndarray) -> float:
        """Return the bytes an image of some channels (a mask), shard indexes included."""
        return float(self.channel_bytes[chosen].sum()) + self.index_bytes

    def choose(self, log_worth: np.ndarray, limit: float) -> np.ndarray:
        """Take channels by falling worth, each that still fits; for a budget no empty ones.

        Parameters
        ----------
        log_worth : ndarray of float, shape (channels,)
            Natural logarithms. Of equal ones the first goes first.
        limit : float
            What they may cost together.

        Returns
        -------
        ndarray of bool, shape (channels,)
            At least one channel.
        """
        order = np.argsort(-log_worth, kind="stable").tolist()
        chosen = np.zeros(len(order), bool)
        some = [channel for channel in order if not (self.in_bytes and self.empty[channel])]
        chosen[fill(some, len(some), self.costs, limit) or order[:1]] = True
        return chosen


@dataclass(frozen=True)
class GatePhases:
    """First steps of three phases of a run; before them, all channels are open.

    Attributes
    ----------
    tightening, held, frozen : int
    """

    tightening: int
    held: int
    frozen: int

    @classmethod
    def of(cls, steps: int) -> GatePhases:
        """Divide all steps of a run; at least the last is frozen."""
        frozen = min(math.ceil(steps * _FROZEN), steps - 1)
        tightening, held = (min(int(steps * share), frozen) for share in (_OPEN, _TIGHT))
        return cls(tightening, held, frozen)

    def progress(self, step: int) -> float:
        """Return how far the constraint is tightened in a step, from 0 to 1."""
        past = (step + 1 - self.tightening) / max(self.held - self.tightening, 1)
        return min(max(past, 0.0), 1.0)

    def target(self, goal: GateGoal, step: int) -> float:
        """Return what open channels may cost in a step, from that of all down to the limit."""
        if (progress := self.progress(step)) == 1:
            return goal.limit  # to the last bit
        return float(goal.total * (goal.limit / goal.total) ** progress)


def _log_energy(energy: np.ndarray) -> np.ndarray:
    """Return natural logarithms of channels' energies, with a mean of 0."""
    least = min(energy[energy > 0], default=1.0)
    logs: np.ndarray = np.log(np.maximum(energy, least))
    return logs - float(logs.mean())


def check_goal(request: TrainingRequest, train: Split, inputs: ClassifierInput) -> None:
    """Refuse a goal without a gate, or one that the channels of a gate cannot meet.

    Raises
    ------
    UsageError
    """
    if not request.recipe.gate_selects:
        return
    if not request.gate:
        raise UsageError(
            "channels or bytes for a gate, and no gate", "add --gate, or leave them out"
        )
    GateGoal.of(request.recipe, train, channels(list(inputs.channels)).indices)
