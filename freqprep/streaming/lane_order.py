"""Lanes of a large split: whole shards dealt at once, the rows of a lane drawn when asked for.

`freqprep.streaming.shuffling` draws a number for each row of the split, in row order, so each
process draws all rows. That would take minutes and tens of gigabytes for a billion. Here a lane
draws for its own shards, in blocks of `BLOCK` shards, and a block that is passed is forgotten.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from freqprep.store.schema import ROWS_PER_SHARD
from freqprep.streaming.dealing import deal, spans

BLOCK = 1024
"""Shards of a lane whose rows are drawn together. It fixes the order of rows."""

_TICKS = 2**20
"""Resolution of moments: ticks between the beginnings of two shards."""

_STREAM = 2  # not that of the shards' order, nor that of `aspects.grouped`


class LaneOrder:
    """Order of the rows in some lanes of an epoch.

    Parameters
    ----------
    valid : ndarray of bool, shape (n,)
        Rows that have an image; only rows of the lanes are looked at.
    counts : ndarray, shape (shards,)
        Valid rows of each shard.
    lanes : int
    window : float
        As in `ShufflePlan`.
    seed, epoch : int
    mine : iterable of int
        Lanes to draw.
    """

    def __init__(
        self,
        valid: np.ndarray,
        counts: np.ndarray,
        lanes: int,
        window: float,
        seed: int,
        epoch: int,
        mine: Iterable[int],
    ) -> None:
        filled = np.flatnonzero(counts).astype(np.int32)
        shards = np.random.RandomState([seed, epoch]).permutation(filled)
        lane_of = deal(counts[shards], lanes)
        whole = len(valid) // ROWS_PER_SHARD
        rows = _ValidRows(valid[: whole * ROWS_PER_SHARD], valid[whole * ROWS_PER_SHARD :])
        self._lanes = lanes
        self._drawn = {
            lane: _Lane(
                shards[lane_of == lane],
                counts,
                rows,
                window,
                lane / lanes,
                (seed, epoch, _STREAM, lane),
            )
            for lane in mine
        }

    def slots(self, first: int, stop: int) -> np.ndarray:
        """Return the rows at slots of the epoch that are of these lanes, in the order of slots.

        Parameters
        ----------
        first, stop : int
            Slot g is the row at position g div L of lane g mod L.

        Returns
        -------
        ndarray of int64
        """
        low, high = first // self._lanes, -(-stop // self._lanes)
        rows = np.stack([lane.take(low, high) for lane in self._drawn.values()], axis=1).ravel()
        before = sum(low * self._lanes + lane < first for lane in self._drawn)
        after = sum((high - 1) * self._lanes + lane >= stop for lane in self._drawn)
        return rows[before : len(rows) - after]

    def lane(self, lane: int, first: int, stop: int) -> np.ndarray:
        """Return the rows at some positions of a lane; fewer at its end."""
        return self._drawn[lane].take(first, stop)


class _ValidRows:
    """The valid rows of any shards."""

    def __init__(self, whole: np.ndarray, rest: np.ndarray) -> None:
        self._whole = whole.reshape(-1, ROWS_PER_SHARD)
        self._rest = np.zeros(ROWS_PER_SHARD, bool)  # the last shard
        self._rest[: len(rest)] = rest

    def mask(self, shards: np.ndarray) -> np.ndarray:
        """Return bool, shape (len(shards), rows of a shard)."""
        inside = shards < len(self._whole)
        if inside.all():
            mask: np.ndarray = self._whole[shards]
            return mask
        mask = np.empty((len(shards), ROWS_PER_SHARD), bool)
        mask[inside], mask[~inside] = self._whole[shards[inside]], self._rest
        return mask


class _Lane:
    """Rows of a lane, drawn block by block; going on where the last call ended costs least."""

    def __init__(
        self,
        shards: np.ndarray,
        counts: np.ndarray,
        rows: _ValidRows,
        window: float,
        phase: float,
        stream: tuple[int, ...],
    ) -> None:
        self._shards, self._rows, self._stream = shards, rows, stream
        self._window, self._phase = window, phase
        edges = np.arange(0, len(shards) + BLOCK, BLOCK).clip(max=len(shards))
        sums = np.add.reduceat(counts[shards], edges[:-1], dtype=np.int64)
        self._before = np.concatenate([[0], np.cumsum(sums)])  # rows of the blocks before each
        self._block = self._position = 0
        self._mixed, self._ready = (_NONE, _NONE), _NONE

    def take(self, first: int, stop: int) -> np.ndarray:
        """Return the rows at some positions; fewer at the end."""
        if first != self._position:
            self._seek(first)
        parts, missing = [self._ready], stop - first - len(self._ready)
        while missing > 0 and self._block < len(self._before) - 1:
            self._ready = self._next_block()
            parts.append(self._ready)
            missing -= len(self._ready)
        rows = np.concatenate(parts)
        # A copy: the rest of a block must not keep all that was drawn for this call.
        self._ready = rows[stop - first :].copy()
        rows = rows[: stop - first]
        self._position = first + len(rows)
        return rows

    def _seek(self, position: int) -> None:
        """Go on at a position: draw what is mixed there, and nothing before."""
        block = int(np.searchsorted(self._before, position, side="right")) - 1
        block = min(block, len(self._before) - 2)
        since = self._begins(block)
        farthest = max(block * BLOCK - math.ceil(self._window) - 2, 0)
        drawn = [self._draw(earlier) for earlier in range(farthest // BLOCK, block)]
        ticks, rows = (np.concatenate(part) for part in zip((_NONE, _NONE), *drawn, strict=True))
        later = ticks >= since
        self._block, self._mixed, self._ready = block, (ticks[later], rows[later]), _NONE
        self._position = int(self._before[block]) - len(self._mixed[0])
        self.take(self._position, position)

    def _next_block(self) -> np.ndarray:
        """Return the rows that come before the next block begins, in their order."""
        drawn = self._draw(self._block)
        self._block += 1
        ticks, rows = (np.concatenate(part) for part in zip(self._mixed, drawn, strict=True))
        order = _order_of(ticks)
        ended: int = len(rows)
        if self._block < len(self._before) - 1:
            ended = int(np.count_nonzero(ticks < self._begins(self._block)))
        later = order[ended:]
        self._mixed = ticks[later], rows[later]
        ready: np.ndarray = rows[order[:ended]]
        return ready

    def _draw(self, block: int) -> tuple[np.ndarray, np.ndarray]:
        """Return moment and number of each valid row of a block's shards, shard after shard."""
        first, stop = block * BLOCK, min((block + 1) * BLOCK, len(self._shards))
        shards = self._shards[first:stop].astype(np.int64)
        begin, span = spans(np.arange(first, stop), self._window, self._phase)
        # RandomState: NumPy has promised never to change its stream.
        random = np.random.RandomState([*self._stream, block])
        shape = (len(shards), ROWS_PER_SHARD)
        moments = random.randint(0, 2**32, shape, np.uint32) * (span * (_TICKS / 2**32))[:, None]
        moments += (begin * _TICKS)[:, None]
        rows = shards[:, None] * ROWS_PER_SHARD + np.arange(ROWS_PER_SHARD)
        mask = self._rows.mask(shards)
        if mask.all():
            return moments.astype(np.int64).ravel(), rows.ravel()
        return moments.astype(np.int64)[mask], rows[mask]

    def _begins(self, block: int) -> int:
        """Return the moment at which a block's first shard begins."""
        begin, _ = spans(np.array([block * BLOCK]), self._window, self._phase)
        return int(begin[0] * _TICKS)


def _order_of(ticks: np.ndarray) -> np.ndarray:
    """Return the indices that sort moments, equal ones as they come."""
    since, bits = int(ticks.min(initial=2**62)), len(ticks).bit_length()
    if int(ticks.max(initial=0) - since).bit_length() + bits > 63:
        return np.argsort(ticks, kind="stable")
    # Sorting numbers is several times as fast as a stable sort of their indices.
    keys = ticks - since << bits | np.arange(len(ticks))
    keys.sort()
    index: np.ndarray = keys & (1 << bits) - 1
    return index


_NONE = np.empty(0, np.int64)
