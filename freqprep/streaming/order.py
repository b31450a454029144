"""The order in which a loader gives rows: a function of seed, epoch, step and rank. Pure.

The slots of an epoch are its rows in the sequence of `shuffling`. Global batch t is slots t * B to
(t + 1) * B - 1. When shuffling, rank r of R has its slots g with g mod R = r. With R a divisor of
L and of B, a rank then has whole lanes and the same number of rows in each batch: the global
batches are the same for every R, and each shard is read by one rank, once an epoch. Rows grouped
by aspect have left their lanes: the batches are the same for every R then too, but a shard may be
read by several ranks. Without shuffling, rank r has the whole batches b with b mod R = r.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from freqprep.errors import UsageError
from freqprep.store import schema
from freqprep.store.mapped_arrays import pickled, unpickled
from freqprep.store.schema import ROWS_PER_SHARD
from freqprep.streaming.aspects import POOL, AspectBins, grouped
from freqprep.streaming.dealing import valid_rows_of_shards
from freqprep.streaming.shuffling import (
    LARGEST_SEED,
    EpochRows,
    ShufflePlan,
    allowed_ranks,
    epoch_rows,
    mixed_rows,
)
from freqprep.text.quantities import plural

_SECTION_ROWS = 2**21
"""Rows of a rank that are drawn together, at least."""

_SECTION_WINDOWS = 16
"""A section is at least so many times the rows in memory, of which shards are read twice."""


@dataclass(frozen=True, eq=False)
class Batches:
    """Batches of one rank from a step to the end of an epoch.

    Attributes
    ----------
    rows : ndarray of int64, shape (n,)
        Row numbers in the split, batch after batch.
    edges : ndarray of int64, shape (batches + 1,)
        Batch i is ``rows[edges[i] : edges[i + 1]]``.
    numbers : ndarray of int64, shape (batches,)
        Number of each global batch in the epoch.
    """

    rows: np.ndarray
    edges: np.ndarray
    numbers: np.ndarray

    def __len__(self) -> int:
        return len(self.numbers)


@dataclass(frozen=True, eq=False)
class Reads:
    """Shards that some batches need, and the slot of each of their rows.

    Attributes
    ----------
    shards : ndarray of int64, shape (s,)
        Shard numbers, in the order in which they are needed first.
    first, last : ndarray of int64, shape (s,)
        First and last batch with a row of each shard; ``first`` does not decrease.
    rows : tuple of ndarray of int64
        Rows that are needed of each shard, rising.
    slots : tuple of ndarray of int64
        Index of each of these rows in ``Batches.rows``.
    """

    shards: np.ndarray
    first: np.ndarray
    last: np.ndarray
    rows: tuple[np.ndarray, ...]
    slots: tuple[np.ndarray, ...]

    @property
    def reach(self) -> int:
        """Number of batches that must have buffers at once, for a batch's shards to be read."""
        return int((np.maximum.accumulate(self.last) - self.first).max(initial=0)) + 1


@dataclass(frozen=True, eq=False)
class Order:
    """Order of the rows that one rank gives.

    Attributes
    ----------
    valid : ndarray of bool, shape (n,)
        Whether each row has an image.
    plan : ShufflePlan
    batch_size : int
        Rows of a global batch, at least 1.
    seed : int
        0 to 2**32 - 1.
    rank, world_size : int
    bins : ndarray of int64, shape (n,), or AspectBins, optional
        Numbers that rows are `grouped` by, when shuffling.

    Raises
    ------
    UsageError
        A value out of range; bins, but no shuffling; a number of ranks that cannot share the
        batches (the allowed ones are named); shuffling so few rows that there is not one whole
        batch.
    """

    valid: np.ndarray
    plan: ShufflePlan
    batch_size: int
    seed: int = 0
    rank: int = 0
    world_size: int = 1
    bins: np.ndarray | AspectBins | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.seed <= LARGEST_SEED:
            raise UsageError(f"seed must be 0 to {LARGEST_SEED}, got {self.seed}")
        if not 0 <= self.rank < self.world_size:
            raise UsageError(
                f"rank={self.rank} with world_size={self.world_size}",
                "give a world_size above the rank, which counts from 0",
            )
        if self.plan.mode != "rows":
            self._check_ranks()
        elif self.bins is not None:
            raise UsageError(
                "only shuffled batches are grouped by aspect",
                "leave out group_by_aspect, or shuffle",
            )
        if not self.global_steps:
            raise UsageError(
                f"there is no step to train: batch_size={self.batch_size}, but only {self._mixed}"
                " rows can be shuffled into whole batches",
                f"use a batch_size of at most {self._mixed}",
            )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "valid": pickled(self.valid)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, valid=unpickled(state["valid"]))

    def _check_ranks(self) -> None:
        allowed = allowed_ranks(self.plan, self.batch_size)
        if self.world_size not in allowed:
            lanes = self.plan.mode == "lanes"
            shared = (
                f"batches of {self.batch_size}" + f" from {plural(self.plan.lanes, 'lane')}" * lanes
            )
            counts = ", ".join(map(str, allowed))
            more = ", or give lanes= a multiple of the number of ranks" * lanes
            raise UsageError(
                f"{plural(self.world_size, 'rank')} cannot share {shared} evenly",
                f"allowed numbers of ranks: {counts}{more}",
            )

    @cached_property
    def _counts(self) -> np.ndarray:
        return valid_rows_of_shards(self.valid)

    @cached_property
    def valid_rows(self) -> int:
        """Number of valid rows."""
        return int(self._counts.sum(dtype=np.int64))

    @cached_property
    def _mixed(self) -> int:
        return mixed_rows(self._counts, self.plan)

    @cached_property
    def global_steps(self) -> int:
        """Number of global batches in an epoch; when shuffling only whole ones."""
        whole, rest = divmod(self._mixed, self.batch_size)
        return whole + (rest > 0 and self.plan.mode == "rows")

    @cached_property
    def dropped(self) -> int:
        """Number of valid rows that an epoch leaves out."""
        return max(self.valid_rows - self.global_steps * self.batch_size, 0)

    @property
    def dropped_of_a_batch(self) -> int:
        """Number of shuffled rows that are too few for one more batch."""
        return max(self._mixed - self.global_steps * self.batch_size, 0)

    @property
    def rows_per_batch(self) -> int:
        """Largest number of rows in a batch of this rank."""
        if self.plan.mode == "rows":
            return min(self.batch_size, self._mixed)
        return self.batch_size // self.world_size

    @property
    def steps(self) -> int:
        """Number of batches of this rank in an epoch: equal for all ranks when shuffling."""
        return self.delivered(self.global_steps)

    def delivered(self, global_step: int) -> int:
        """Count the batches of this rank before a global batch."""
        if self.plan.mode != "rows":
            return global_step
        return len(range(self.rank, global_step, self.world_size))

    def after(self, global_step: int, count: int) -> int:
        """Return the global batch at which each rank has given ``count`` more batches."""
        if self.plan.mode != "rows":
            return global_step + count
        return min(global_step + count * self.world_size, self.global_steps)

    @property
    def drawn_lazily(self) -> bool:
        """Whether each rank draws the rows of its own lanes only."""
        return self.plan.mode == "lanes" and schema.is_large(len(self.valid))

    def batches(self, epoch: int, step: int = 0) -> Batches:
        """Compute this rank's batches in an epoch, without the first ``step`` of them."""
        return self._batches(self._rows(epoch), epoch, step, self.steps)

    def sections(self, epoch: int, step: int = 0) -> Iterator[Batches]:
        """Yield this rank's batches in an epoch in sections, each computed when it is asked for.

        Only an epoch of a large split has several. Shards that are mixed where a section ends are
        read again for the next one.
        """
        rows = self._rows(epoch)
        length = self._section_steps
        while step < self.steps:
            stop = min(step - step % length + length, self.steps)
            yield self._batches(rows, epoch, step, stop)
            step = stop

    @property
    def _section_steps(self) -> int:
        if self.plan.mode == "exact" or not schema.is_large(len(self.valid)):
            return max(self.steps, 1)
        mixed = 0 if self.plan.mode == "rows" else self.plan.rows_in_memory(self.world_size)
        rows = max(_SECTION_ROWS, _SECTION_WINDOWS * mixed)
        return -(-rows // (self.rows_per_batch * POOL)) * POOL

    def _rows(self, epoch: int) -> EpochRows:
        mine = range(self.rank if self.bins is None else 0, self.plan.lanes, self._lane_step)
        return epoch_rows(self.valid, self._counts, self.plan, self.seed, epoch, mine)

    @property
    def _lane_step(self) -> int:
        return self.world_size if self.bins is None else 1

    def _batches(self, rows: EpochRows, epoch: int, step: int, stop: int) -> Batches:
        size = self.batch_size
        if self.plan.mode == "rows":
            numbers = np.arange(self.rank, self.global_steps, self.world_size)[step:stop]
            parts = [rows.slots(b * size, min((b + 1) * size, self._mixed)) for b in numbers]
            edges = np.cumsum([0, *map(len, parts)])
            return Batches(np.concatenate([np.empty(0, np.int64), *parts]), edges, numbers)
        each, numbers = self.rows_per_batch, np.arange(step, stop)
        if self.bins is None:
            found = rows.slots(step * size, stop * size)
        else:
            first = step - step % POOL  # pools are regrouped as a whole
            last = min(-(-stop // POOL) * POOL, self.global_steps)
            found = rows.slots(first * size, last * size)
            found = grouped(found, self.bins, size, self.seed, epoch, first, self.global_steps)[
                (step - first) * size : (stop - first) * size
            ]
        if self.bins is not None or not self.drawn_lazily:
            found = found[self.rank :: self.world_size]
        return Batches(found, np.arange(len(numbers) + 1) * each, numbers)


def reads(batches: Batches) -> Reads:
    """List the shards that batches need, in the order in which they are needed."""
    rows, slots = _sorted_with_slots(batches.rows)
    shards, begins = np.unique(rows // ROWS_PER_SHARD, return_index=True)
    if not len(shards):
        return Reads(shards, shards, shards, (), ())
    first_slot, last_slot = (f.reduceat(slots, begins) for f in (np.minimum, np.maximum))
    order = np.argsort(first_slot)
    first, last = (
        np.searchsorted(batches.edges, slot[order], side="right") - 1
        for slot in (first_slot, last_slot)
    )
    parts = [np.split(values, begins[1:]) for values in (rows, slots)]
    in_order = (tuple(part[i] for i in order) for part in parts)
    return Reads(shards[order], first, last, *in_order)


def _sorted_with_slots(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows, none of them twice, in rising order, and the index at which each was."""
    bits = len(rows).bit_length()
    if int(rows.max(initial=0)).bit_length() + bits > 63:
        slots = np.argsort(rows)
        return rows[slots], slots
    # Sorting numbers is several times as fast as sorting indices by them.
    keys = rows << bits | np.arange(len(rows))
    keys.sort()
    return keys >> bits, keys & (1 << bits) - 1
