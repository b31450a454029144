"""Shards of an epoch dealt to lanes, and the time over which each is mixed. Pure."""

from __future__ import annotations

import heapq
import itertools

import numpy as np

from freqprep.store.schema import ROWS_PER_SHARD

_ROWS_AT_ONCE = 2**22


def valid_rows_of_shards(valid: np.ndarray) -> np.ndarray:
    """Count the valid rows of each shard, some rows at a time: they may be mapped from a file.

    Parameters
    ----------
    valid : ndarray of bool, shape (n,)

    Returns
    -------
    ndarray of uint8, shape (shards,)
    """
    counts = np.zeros(-(-len(valid) // ROWS_PER_SHARD), np.uint8)
    step = _ROWS_AT_ONCE // ROWS_PER_SHARD
    for shard in range(0, len(counts), step):
        part = valid[shard * ROWS_PER_SHARD : (shard + step) * ROWS_PER_SHARD]
        edges = np.arange(0, len(part), ROWS_PER_SHARD)
        counts[shard : shard + step] = np.add.reduceat(part.view(np.uint8), edges)
    return counts


def spans(number: np.ndarray, window: float, phase: float) -> tuple[np.ndarray, np.ndarray]:
    """Compute when each shard of a lane begins, and the span over which its rows are spread.

    The unit is the time from one shard's beginning to the next one's. Spans grow by half of the
    elapsed time, from 1 to the window, so that a consumer which takes 1.5 times the reading never
    waits after the first shards. Lanes are shifted against each other by their phase, 0 to 1, so
    that their shards are not all needed at once; a window of one shard cannot be shifted.

    Parameters
    ----------
    number : ndarray of int64
        Numbers of shards in their lane.
    window : float
        Largest span.
    phase : float

    Returns
    -------
    begin, span : ndarray of float64
    """
    begin = number - phase * np.minimum(number / 2, min(1.0, window - 1))
    return begin, np.minimum(1 + begin / 2, window)


def deal(counts: np.ndarray, lanes: int) -> np.ndarray:
    """Assign shards to lanes: the largest first, each to the lane of the fewest rows so far.

    Shards of equal size keep their order, so lanes get them in turn. Lengths of lanes differ by at
    most one shard's rows and do not depend on the order.

    Parameters
    ----------
    counts : ndarray, shape (shards,)
        Valid rows of each shard, at least 1.
    lanes : int

    Returns
    -------
    ndarray of int32, shape (shards,)
    """
    lane_of = np.empty(len(counts), np.int32)
    lengths = [(0, lane) for lane in range(lanes)]
    order = np.argsort(-counts.astype(np.int16), kind="stable")
    sizes = counts[order]
    edges = [0, *(np.flatnonzero(np.diff(sizes)) + 1).tolist(), len(order)]
    for first, stop in itertools.pairwise(edges if len(order) else []):
        _deal_equal(lane_of, order[first:stop], int(sizes[first]), lengths)
    return lane_of


def lane_lengths(counts: np.ndarray, lane_of: np.ndarray, lanes: int) -> np.ndarray:
    """Return the number of rows of each lane, int64, shape (lanes,)."""
    return np.bincount(lane_of, weights=counts, minlength=lanes).astype(np.int64)


def _deal_equal(
    lane_of: np.ndarray, shards: np.ndarray, rows: int, lengths: list[tuple[int, int]]
) -> None:
    """Deal shards of one size; ``lengths`` is a heap of the lanes."""
    done, longest = 0, max(lengths)[0]
    while done < len(shards) and longest - lengths[0][0] >= rows:
        length, lane = lengths[0]
        lane_of[shards[done]] = lane
        heapq.heapreplace(lengths, (length + rows, lane))
        done += 1
    # From here on no lane is ahead by a shard, and the lanes get them in turn.
    rest, turns = shards[done:], sorted(lengths)
    lane_of[rest] = np.resize([lane for _, lane in turns], len(rest))
    rounds, more = divmod(len(rest), len(turns))
    lengths[:] = [
        (length + rows * (rounds + (turn < more)), lane)
        for turn, (length, lane) in enumerate(turns)
    ]
    heapq.heapify(lengths)
