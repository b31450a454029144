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

Up to 2**23 rows in lanes are drawn at once, because orders must stay what they were. Of larger
splits each process draws the rows of its own lanes, as they are needed; see
`freqprep.streaming.lane_order`.

A shuffled sequence can then be regrouped: `freqprep.streaming.aspects`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from freqprep.errors import UsageError
from freqprep.store import schema
from freqprep.store.schema import ROWS_PER_SHARD
from freqprep.streaming.dealing import deal, lane_lengths, spans, valid_rows_of_shards
from freqprep.streaming.lane_order import LaneOrder
from freqprep.text.quantities import plural

Mode = Literal["exact", "lanes", "rows"]

MOST_LANES = 16
"""Largest number of lanes chosen by default."""

SHARDS_PER_LANE = 16
"""Fewest shards of a lane by default: with fewer its rows would often meet the same others."""

_MIXED_EIGHTHS = 7
"""Eighths of the memory budget that are mixed; the rest is read ahead."""

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
            f"lanes={lanes}, and {plural(shards, 'shard')} with valid rows",
            f"use at most {plural(shards, 'lane')}",
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
    counts = valid_rows_of_shards(valid)
    mixed = mixed_rows(counts, plan)
    drawn = epoch_rows(valid, counts, plan, seed, epoch)
    if not isinstance(drawn, LaneOrder):
        return drawn.slots(0, int(counts.sum())), mixed
    # Only here a lane is drawn to its end: what is beyond the shortest is in no batch.
    shortest = mixed // plan.lanes
    rest = [drawn.lane(lane, shortest, len(valid)) for lane in range(plan.lanes)]
    return np.concatenate([drawn.slots(0, mixed), *rest]), mixed


def mixed_rows(counts: np.ndarray, plan: ShufflePlan) -> int:
    """Count the rows of an epoch before the tail, from the valid rows of each shard."""
    if plan.mode != "lanes":
        return int(counts.sum(dtype=np.int64))
    filled = counts[counts > 0]
    return plan.lanes * int(lane_lengths(filled, deal(filled, plan.lanes), plan.lanes).min())


class EpochRows(Protocol):
    """Rows of an epoch by their slots."""

    def slots(self, first: int, stop: int) -> np.ndarray:
        """Return the rows at some slots, int64."""


def epoch_rows(
    valid: np.ndarray,
    counts: np.ndarray,
    plan: ShufflePlan,
    seed: int,
    epoch: int,
    mine: Iterable[int] | None = None,
) -> EpochRows:
    """Return the rows of an epoch, of a large split drawn when they are asked for.

    Parameters
    ----------
    valid : ndarray of bool, shape (n,)
    counts : ndarray of uint8, shape (shards,)
        Valid rows of each shard.
    plan : ShufflePlan
    seed, epoch : int
    mine : iterable of int, optional
        Lanes whose rows are wanted; of a large split in lanes the slots of others are left out.

    Returns
    -------
    EpochRows
    """
    if plan.mode == "rows":
        return _InOrder(valid, counts)
    if plan.mode == "lanes" and schema.is_large(len(valid)):
        mine = range(plan.lanes) if mine is None else mine
        return LaneOrder(valid, counts, plan.lanes, plan.window, seed, epoch, mine)
    rows = np.flatnonzero(valid)
    # RandomState: NumPy has promised never to change its stream, and a run may go on elsewhere.
    random = np.random.RandomState([seed, epoch])
    if plan.mode == "exact":
        return _Listed(random.permutation(rows))
    by_lane = _lanes(rows, plan, random)
    shortest = min(map(len, by_lane))
    mixed = np.stack([lane[:shortest] for lane in by_lane], axis=1).ravel()
    return _Listed(np.concatenate([mixed, *(lane[shortest:] for lane in by_lane)]))


class _Listed:
    """An epoch whose rows were all drawn."""

    def __init__(self, rows: np.ndarray) -> None:
        self._rows = rows

    def slots(self, first: int, stop: int) -> np.ndarray:
        return self._rows[first:stop]


class _InOrder:
    """The valid rows in order."""

    def __init__(self, valid: np.ndarray, counts: np.ndarray) -> None:
        self._valid = valid
        self._before = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])

    def slots(self, first: int, stop: int) -> np.ndarray:
        low = int(np.searchsorted(self._before, first, side="right")) - 1
        high = int(np.searchsorted(self._before, stop))
        begin = low * ROWS_PER_SHARD
        rows = begin + np.flatnonzero(self._valid[begin : high * ROWS_PER_SHARD])
        skipped = first - int(self._before[low])
        return rows[skipped : skipped + stop - first]


def _lanes(rows: np.ndarray, plan: ShufflePlan, random: np.random.RandomState) -> list[np.ndarray]:
    """Compute the rows of each lane, shuffled inside its window."""
    shard_of_row = rows // ROWS_PER_SHARD
    counts = np.bincount(shard_of_row)
    shards = random.permutation(np.flatnonzero(counts))
    lane = deal(counts[shards], plan.lanes)
    lane_of, begin, span = (np.zeros(len(counts), kind) for kind in (np.int64, float, float))
    lane_of[shards] = lane
    for number in range(plan.lanes):
        mine = shards[lane == number]
        begin[mine], span[mine] = spans(np.arange(len(mine)), plan.window, number / plan.lanes)
    moment = begin[shard_of_row] + span[shard_of_row] * random.random_sample(len(rows))
    lengths = lane_lengths(counts[shards], lane, plan.lanes)
    in_order = np.lexsort([moment, lane_of[shard_of_row]])
    return np.split(rows[in_order], np.cumsum(lengths)[:-1])
