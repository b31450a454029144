"""Which rows a loader gives when: a function of seed, epoch, step and rank. Pure.

Whole shards are cheap to read and single rows are not, so that shuffling has three forms:

``exact``
    All chosen channels of the split are in memory. An epoch is one permutation of the valid rows.
``lanes``
    They are not. The shards, in an order drawn for the epoch, are dealt to L lanes, so that lanes
    have equally many valid rows. A lane shuffles inside windows of W of its shards; its first
    windows have 1, 2, 4, ... shards, so that an epoch begins at once. Slot g of the epoch is the
    row at position g div L of lane g mod L. What longer lanes have beyond the shortest follows at
    the end: the tail.
``rows``
    Not shuffled: the valid rows in order, for evaluation.

Global batch t is slots t * B to (t + 1) * B - 1. When shuffling, rank r of R has its slots
g with g mod R = r. With R a divisor of L and of B, a rank then has whole lanes and the same number
of rows in each batch: the global batches are the same for every R, and each shard is read by one
rank, once an epoch. Without shuffling, rank r has the whole batches b with b mod R = r.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from freqprep.errors import UsageError
from freqprep.store.schema import ROWS_PER_SHARD

Regime = Literal["exact", "lanes", "rows"]

MOST_LANES = 16
SHARDS_PER_LANE = 16
"""A lane of fewer shards would hardly change its neighbours from epoch to epoch."""

LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True)
class Mixing:
    """How rows are mixed; it does not depend on ranks.

    Attributes
    ----------
    regime : {"exact", "lanes", "rows"}
    lanes : int
        L; 1 unless the regime is ``lanes``.
    window : int
        W, most shards that a lane mixes at a time; 1 unless the regime is ``lanes``.
    """

    regime: Regime
    lanes: int = 1
    window: int = 1


@dataclass(frozen=True, eq=False)
class Batches:
    """What one rank gives from a step on to the end of an epoch.

    Attributes
    ----------
    rows : ndarray of int64, shape (n,)
        Row numbers, batch after batch.
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
    """Which shards some batches need, and where each of their rows goes.

    Attributes
    ----------
    shards : ndarray of int64, shape (s,)
        In the order in which they are needed first.
    first, last : ndarray of int64, shape (s,)
        First and last batch that has a row of each; ``first`` does not fall.
    rows : tuple of ndarray of int64
        Rows wanted of each shard, rising.
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
        """Batches that must have room at once: from one batch to the last that its shards go to."""
        return int((np.maximum.accumulate(self.last) - self.first).max(initial=0)) + 1


def choose_mixing(
    shards: int, shard_bytes: int, window_bytes: int, lanes: int | None = None, shuffle: bool = True
) -> Mixing:
    """The regime that a memory budget allows.

    Parameters
    ----------
    shards : int
        Shards with a valid row.
    shard_bytes : int
        Codes of the chosen channels of one shard.
    window_bytes : int
        Budget for decoded shards. Two windows of each lane fit: one that is given, one being read.
    lanes : int, optional
        Number of lanes; the regime is then ``lanes``. By default the largest power of two up
        to 16 that leaves each lane at least 16 shards and one shard a window.
    shuffle : bool

    Raises
    ------
    UsageError
        More lanes than shards.
    """
    if not shuffle:
        return Mixing("rows")
    if lanes is None:
        if shards * shard_bytes <= window_bytes:
            return Mixing("exact")
        lanes = MOST_LANES
        while lanes > 1 and (
            SHARDS_PER_LANE * lanes > shards or 2 * lanes * shard_bytes > window_bytes
        ):
            lanes //= 2
    elif lanes > shards:
        raise UsageError(
            f"lanes={lanes}, but only {shards} shards have valid rows", f"use 1 to {shards} lanes"
        )
    window = window_bytes // (2 * lanes * shard_bytes)
    return Mixing("lanes", lanes, min(max(window, 1), shards))


def allowed_ranks(mixing: Mixing, batch_size: int) -> tuple[int, ...]:
    """Rank counts that can share a shuffled epoch, rising."""
    common = math.gcd(mixing.lanes, batch_size) if mixing.regime == "lanes" else batch_size
    return tuple(ranks for ranks in range(1, common + 1) if common % ranks == 0)


def sequence(valid: np.ndarray, mixing: Mixing, seed: int, epoch: int) -> tuple[np.ndarray, int]:
    """All rows of an epoch in order, and how many come before the tail.

    Parameters
    ----------
    valid : ndarray of bool, shape (n,)
        Rows that have an image.
    mixing : Mixing
    seed, epoch : int
        0 to 2**32 - 1.

    Returns
    -------
    rows : ndarray of int64
        A permutation of the valid rows.
    mixed : int
        Length without the tail; the same in every epoch.
    """
    rows = np.flatnonzero(valid)
    if mixing.regime == "rows":
        return rows, len(rows)
    # RandomState: NumPy has promised never to change its stream, and a run may go on elsewhere.
    random = np.random.RandomState([seed, epoch])
    if mixing.regime == "exact":
        return random.permutation(rows), len(rows)
    by_lane = _lanes(rows, mixing, random)
    shortest = min(map(len, by_lane))
    mixed = np.stack([lane[:shortest] for lane in by_lane], axis=1).ravel()
    return np.concatenate([mixed, *(lane[shortest:] for lane in by_lane)]), len(mixed)


def _lanes(rows: np.ndarray, mixing: Mixing, random: np.random.RandomState) -> list[np.ndarray]:
    """The rows of each lane, shuffled inside its windows."""
    shard_of_row = rows // ROWS_PER_SHARD
    counts = np.bincount(shard_of_row)
    shards = random.permutation(np.flatnonzero(counts))
    lane = _deal(counts[shards], mixing.lanes)
    window = np.empty_like(lane)
    for number in range(mixing.lanes):
        mine = np.flatnonzero(lane == number)
        window[mine] = _windows(len(mine), mixing.window)
    group = np.zeros(len(counts), np.int64)
    group[shards] = lane * len(shards) + window
    # Sorted by lane and window, and at random inside a window; no two keys are equal.
    key = group[shard_of_row] * len(rows) + random.permutation(len(rows))
    lengths = np.bincount(lane, weights=counts[shards], minlength=mixing.lanes).astype(np.int64)
    return np.split(rows[np.argsort(key)], np.cumsum(lengths)[:-1])


def _windows(shards: int, largest: int) -> np.ndarray:
    """Window of each of a lane's shards: 1, 2, 4, ... to a window, then the largest number."""
    growing = 2 ** np.arange(largest.bit_length())
    sizes = np.concatenate([growing, np.full(shards // largest + 1, largest)])
    return np.repeat(np.arange(len(sizes)), sizes)[:shards]


def _deal(counts: np.ndarray, lanes: int) -> np.ndarray:
    """Lane of each shard: the largest first, each to the lane of the fewest rows so far.

    Shards of equal size keep their order, so lanes get them in turn. Lengths of lanes differ by at
    most one shard's rows and do not depend on the order.
    """
    lane_of = np.empty(len(counts), np.int64)
    lengths = [(0, lane) for lane in range(lanes)]
    sizes = counts.tolist()
    for place in np.argsort(-counts, kind="stable").tolist():
        rows, lane = lengths[0]
        lane_of[place] = lane
        heapq.heapreplace(lengths, (rows + sizes[place], lane))
    return lane_of


@dataclass(frozen=True, eq=False)
class Order:
    """The order of rows of one rank.

    Attributes
    ----------
    valid : ndarray of bool, shape (n,)
    mixing : Mixing
    batch_size : int
        Rows of a global batch, at least 1.
    seed : int
        0 to 2**32 - 1.
    rank, world_size : int

    Raises
    ------
    UsageError
        A value out of range; a number of ranks that cannot share the batches (the allowed ones
        are named); shuffling so few rows that there is not one whole batch.
    """

    valid: np.ndarray
    mixing: Mixing
    batch_size: int
    seed: int = 0
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.seed <= LARGEST_SEED:
            raise UsageError(f"seed={self.seed} cannot be used", f"use 0 to {LARGEST_SEED}")
        if not 0 <= self.rank < self.world_size:
            raise UsageError(f"there is no rank={self.rank} of world_size={self.world_size}")
        if self.mixing.regime != "rows":
            self._check_ranks()
        if not self.global_steps:
            raise UsageError(
                f"there is no step to train: batch_size={self.batch_size}, but only {self._mixed}"
                " rows can be shuffled into whole batches",
                f"use a batch_size of at most {self._mixed}",
            )

    def _check_ranks(self) -> None:
        allowed = allowed_ranks(self.mixing, self.batch_size)
        if self.world_size not in allowed:
            lanes = self.mixing.regime == "lanes"
            shared = f"batches of {self.batch_size}" + f" from {self.mixing.lanes} lanes" * lanes
            counts = ", ".join(map(str, allowed))
            more = ", or give lanes= a multiple of the number of ranks" * lanes
            raise UsageError(
                f"{self.world_size} ranks cannot share {shared} evenly",
                f"allowed numbers of ranks: {counts}{more}",
            )

    @cached_property
    def _mixed(self) -> int:
        return sequence(self.valid, self.mixing, self.seed, 0)[1]

    @cached_property
    def global_steps(self) -> int:
        """Global batches of an epoch; when shuffling only whole ones."""
        whole, rest = divmod(self._mixed, self.batch_size)
        return whole + (rest > 0 and self.mixing.regime == "rows")

    @property
    def rows_per_batch(self) -> int:
        """Most rows of a batch of this rank."""
        if self.mixing.regime == "rows":
            return min(self.batch_size, self._mixed)
        return self.batch_size // self.world_size

    @property
    def steps(self) -> int:
        """Batches of this rank in an epoch: equal for all ranks when shuffling."""
        return self.delivered(self.global_steps)

    def delivered(self, global_step: int) -> int:
        """Batches that this rank has given when all ranks together are at a global batch."""
        if self.mixing.regime != "rows":
            return global_step
        return len(range(self.rank, global_step, self.world_size))

    def global_step(self, step: int) -> int:
        """Global batches that are done when each rank has given so many."""
        if self.mixing.regime != "rows":
            return step
        return min(step * self.world_size, self.global_steps)

    def batches(self, epoch: int, step: int = 0) -> Batches:
        """What this rank gives in an epoch after the first ``step`` of its batches."""
        rows, _ = sequence(self.valid, self.mixing, self.seed, epoch)
        if self.mixing.regime == "rows":
            numbers = np.arange(self.rank, self.global_steps, self.world_size)[step:]
            parts = [rows[b * self.batch_size : (b + 1) * self.batch_size] for b in numbers]
            edges = np.cumsum([0, *map(len, parts)])
            return Batches(np.concatenate([rows[:0], *parts]), edges, numbers)
        each = self.rows_per_batch
        mine = rows[self.rank : self.global_steps * self.batch_size : self.world_size]
        numbers = np.arange(step, self.global_steps)
        return Batches(mine[step * each :], np.arange(len(numbers) + 1) * each, numbers)


def reads(batches: Batches) -> Reads:
    """Shards that batches need, in the order in which they are needed."""
    slots = np.argsort(batches.rows)
    rows = batches.rows[slots]
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
