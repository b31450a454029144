"""The sequence of an epoch's rows: a function of seed and epoch. Pure.

Whole shards are cheap to read and single rows are not, so there are three modes:

``exact``
    All chosen channels of the split are in memory. An epoch is one permutation of the valid rows.
``lanes``
    They do not fit. The shards, in an order drawn for the epoch, are dealt to L lanes, which have
    equally many valid rows. In a lane, shard after shard begins, and the rows of each are
    spread at random over the time in which W shards begin: at any time the rows of W shards are
    mixed. The first spans are shorter, so that an epoch begins at once. Slot g of the epoch is the
    row at position g div L of lane g mod L. What longer lanes have beyond the shortest follows at
    the end: the tail.
``rows``
    Not shuffled: the valid rows in order, for evaluation.

A shuffled sequence can then be regrouped, so that the images of a batch have about the same
aspect: `grouped`.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from freqprep.errors import UsageError
from freqprep.store.schema import ROWS_PER_SHARD

Mode = Literal["exact", "lanes", "rows"]

MOST_LANES = 16
"""Largest number of lanes chosen by default."""

SHARDS_PER_LANE = 16
"""Fewest shards of a lane by default: with fewer its rows would often meet the same others."""

_MIXED_EIGHTHS = 7
"""Eighths of the memory budget that are mixed; the rest is read ahead."""

POOL = 16
"""Number of batches that are regrouped together."""

_BINS_PER_OCTAVE = 3
_OCTAVES = 1
"""Images more than about twice as wide as high, or as high as wide, share a bin."""

LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True)
class ShufflePlan:
    """Plan of how an epoch's rows are shuffled; independent of the number of ranks.

    Attributes
    ----------
    mode : {"exact", "lanes", "rows"}
    lanes : int
        Number of lanes, L; 1 unless the mode is ``lanes``.
    window : float
        Shards that a lane mixes at a time, W, a multiple of 1/8; 1 unless the mode is ``lanes``.
    """

    mode: Mode
    lanes: int = 1
    window: float = 1.0

    @classmethod
    def within(cls, window_bytes: int, shard_bytes: int, lanes: int, shards: int) -> ShufflePlan:
        """Make the plan of some lanes: as wide windows as a memory budget has room for."""
        eighths = _MIXED_EIGHTHS * window_bytes // (lanes * shard_bytes)
        return cls("lanes", lanes, min(max(eighths / 8, 1.0), float(-(-shards // lanes))))

    def rows_in_memory(self, world_size: int) -> int:
        """Compute the rows of one rank's lanes that are in memory, mixed or read ahead."""
        mixed_and_ahead = self.window * 8 / _MIXED_EIGHTHS
        return int(mixed_and_ahead * ROWS_PER_SHARD * self.lanes / world_size)


def choose_plan(
    shards: int, shard_bytes: int, window_bytes: int, lanes: int | None = None, shuffle: bool = True
) -> ShufflePlan:
    """Choose the plan that a memory budget allows.

    Parameters
    ----------
    shards : int
        Number of shards with a valid row.
    shard_bytes : int
        Bytes of one shard's codes, for a fixed number of channels: the order of rows must not
        depend on the channels read.
    window_bytes : int
        Memory budget for decoded shards: seven eighths are mixed, the rest is read ahead.
    lanes : int, optional
        Number of lanes; the mode is then ``lanes``. By default the largest power of two up
        to 16 that leaves each lane at least 16 shards. A lane's window is at least one shard.
    shuffle : bool

    Returns
    -------
    ShufflePlan

    Raises
    ------
    UsageError
        More lanes than shards.
    """
    if not shuffle:
        return ShufflePlan("rows")
    if lanes is None:
        if shards * shard_bytes <= window_bytes:
            return ShufflePlan("exact")
        lanes = MOST_LANES
        while lanes > 1 and SHARDS_PER_LANE * lanes > shards:
            lanes //= 2
    elif lanes > shards:
        raise UsageError(
            f"lanes={lanes}, but only {shards} shards have valid rows", f"use 1 to {shards} lanes"
        )
    return ShufflePlan.within(window_bytes, shard_bytes, lanes, shards)


def allowed_ranks(plan: ShufflePlan, batch_size: int) -> tuple[int, ...]:
    """List the numbers of ranks that can share a shuffled epoch, rising."""
    common = math.gcd(plan.lanes, batch_size) if plan.mode == "lanes" else batch_size
    return tuple(ranks for ranks in range(1, common + 1) if common % ranks == 0)


def sequence(valid: np.ndarray, plan: ShufflePlan, seed: int, epoch: int) -> tuple[np.ndarray, int]:
    """Compute the sequence of an epoch's rows.

    Parameters
    ----------
    valid : ndarray of bool, shape (n,)
        Rows that have an image.
    plan : ShufflePlan
    seed, epoch : int
        0 to 2**32 - 1.

    Returns
    -------
    rows : ndarray of int64
        A permutation of the valid rows.
    mixed : int
        Number of rows before the tail; the same in every epoch.
    """
    rows = np.flatnonzero(valid)
    if plan.mode == "rows":
        return rows, len(rows)
    # RandomState: NumPy has promised never to change its stream, and a run may go on elsewhere.
    random = np.random.RandomState([seed, epoch])
    if plan.mode == "exact":
        return random.permutation(rows), len(rows)
    by_lane = _lanes(rows, plan, random)
    shortest = min(map(len, by_lane))
    mixed = np.stack([lane[:shortest] for lane in by_lane], axis=1).ravel()
    return np.concatenate([mixed, *(lane[shortest:] for lane in by_lane)]), len(mixed)


def aspect_bins(sizes: np.ndarray) -> np.ndarray:
    """Number images by their aspect: about the same aspect, the same number.

    Parameters
    ----------
    sizes : ndarray of int, shape (n, 2)
        Height and width.

    Returns
    -------
    ndarray of int64, shape (n,)
        ``log2(width / height)`` in thirds, rounded: -3 to 3. No quotient of whole numbers lies on
        an edge, so that it is the same on every machine.
    """
    height, width = np.maximum(sizes, 1).T  # a rejected image has no size
    thirds: np.ndarray = np.rint(np.log2(width / height) * _BINS_PER_OCTAVE).astype(np.int64)
    return thirds.clip(-_OCTAVES * _BINS_PER_OCTAVE, _OCTAVES * _BINS_PER_OCTAVE)


def grouped(
    rows: np.ndarray, bins: np.ndarray, batch_size: int, seed: int, epoch: int
) -> np.ndarray:
    """Regroup an epoch's rows, so that most batches are of images of one bin.

    Each pool of `POOL` batches is sorted by bin, rows of one bin as they came, and cut into
    batches again, whose order in the pool is drawn. Bins meet in fewer batches of a pool than
    there are bins.

    Parameters
    ----------
    rows : ndarray of int64, shape (batches * batch_size,)
    bins : ndarray of int64, shape (n,)
        Bin of each row of the split.
    batch_size : int
    seed, epoch : int

    Returns
    -------
    ndarray of int64
        The same rows.
    """
    batches = len(rows) // batch_size
    pool = np.arange(batches) // POOL
    by_bin = rows[np.lexsort([bins[rows], np.repeat(pool, batch_size)])]
    random = np.random.RandomState([seed, epoch, 1])  # not the stream that `sequence` draws from
    order = np.lexsort([random.permutation(batches), pool])
    return by_bin.reshape(batches, batch_size)[order].ravel()


def _lanes(rows: np.ndarray, plan: ShufflePlan, random: np.random.RandomState) -> list[np.ndarray]:
    """Compute the rows of each lane, shuffled inside its window."""
    shard_of_row = rows // ROWS_PER_SHARD
    counts = np.bincount(shard_of_row)
    shards = random.permutation(np.flatnonzero(counts))
    lane = _deal(counts[shards], plan.lanes)
    lane_of, begin, span = (np.zeros(len(counts), kind) for kind in (np.int64, float, float))
    lane_of[shards] = lane
    for number in range(plan.lanes):
        mine = shards[lane == number]
        begin[mine], span[mine] = _spans(len(mine), plan.window, number / plan.lanes)
    moment = begin[shard_of_row] + span[shard_of_row] * random.random_sample(len(rows))
    lengths = np.bincount(lane, weights=counts[shards], minlength=plan.lanes).astype(np.int64)
    in_order = np.lexsort([moment, lane_of[shard_of_row]])
    return np.split(rows[in_order], np.cumsum(lengths)[:-1])


def _spans(shards: int, window: float, phase: float) -> tuple[np.ndarray, np.ndarray]:
    """Compute when each shard of a lane begins, and the span over which its rows are spread.

    The unit is the time from one shard's beginning to the next one's. Spans grow by half of the
    elapsed time, from 1 to the window, so that a consumer which takes 1.5 times the reading never
    waits after the first shards. Lanes are shifted against each other by their phase, 0 to 1, so
    that their shards are not all needed at once; a window of one shard cannot be shifted.
    """
    number = np.arange(shards)
    begin = number - phase * np.minimum(number / 2, min(1.0, window - 1))
    return begin, np.minimum(1 + begin / 2, window)


def _deal(counts: np.ndarray, lanes: int) -> np.ndarray:
    """Assign shards to lanes: the largest first, each to the lane of the fewest rows so far.

    Shards of equal size keep their order, so lanes get them in turn. Lengths of lanes differ by at
    most one shard's rows and do not depend on the order.
    """
    lane_of = np.empty(len(counts), np.int64)
    lengths = [(0, lane) for lane in range(lanes)]
    sizes = counts.tolist()
    for shard in np.argsort(-counts, kind="stable").tolist():
        rows, lane = lengths[0]
        lane_of[shard] = lane
        heapq.heapreplace(lengths, (rows + sizes[shard], lane))
    return lane_of
