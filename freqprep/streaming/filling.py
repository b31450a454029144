"""The tasks that fill a ring of batches: from the store, or from rows kept in memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from freqprep.spectrum.channels import STORED_POSITION, Selection
from freqprep.store.schema import ROWS_PER_SHARD
from freqprep.store.split import Split
from freqprep.streaming.order import Batches, Reads
from freqprep.streaming.pipeline import Task
from freqprep.streaming.shuffling import Mixing

Filling = tuple[list[Task], list[int]]
"""Tasks in order, and how many of them, from the first on, each batch needs."""


_GATHERED_AHEAD = 3  # one batch with the consumer, one ready, one being gathered


def ring_depth(mixing: Mixing, needed: Reads, images: int, rows: int, threads: int) -> int:
    """Batches that a ring has room for: what it takes to go on, and as many more as are useful.

    Parameters
    ----------
    mixing : Mixing
    needed : Reads
    images : int
        Rows of a batch.
    rows : int
        Rows that the memory budget allows; when that is too few for any reading ahead, room for
        one more batch is taken all the same.
    threads : int
        Reading threads.
    """
    if mixing.regime == "exact":
        return _GATHERED_AHEAD
    ahead = rows // images
    if mixing.regime == "rows":  # there is nothing to mix: a shard for each thread is enough
        ahead = min(ahead, needed.reach + -(-threads * ROWS_PER_SHARD // images))
    return max(ahead, needed.reach + 1)


def from_store(split: Split, selection: Selection, needed: Reads, ring: np.ndarray) -> Filling:
    """Decode shards right into the batches.

    Parameters
    ----------
    split : Split
    selection : Selection
    needed : Reads
        Of the batches.
    ring : ndarray, shape (depth, rows of a batch, C, grid rows, grid columns)
    """
    places = ring.reshape(-1, *ring.shape[2:])
    shards = zip(
        needed.shards.tolist(), needed.rows, needed.slots, needed.last.tolist(), strict=True
    )
    tasks = [
        Task(
            partial(read_rows, split, selection, shard, rows, places, slots % len(places)),
            last,
        )
        for shard, rows, slots, last in shards
    ]
    batches = np.arange(int(needed.last.max(initial=-1)) + 1)
    return tasks, np.searchsorted(needed.first, batches, side="right").tolist()


class Cache:
    """The chosen channels of all valid rows, each shard read when it is needed first.

    Parameters
    ----------
    split : Split
    selection : Selection
    """

    def __init__(self, split: Split, selection: Selection) -> None:
        encoding = split.attributes.encoding
        self._split, self._selection = split, selection
        self._rows = np.flatnonzero(split.valid)
        shape = (len(self._rows), len(selection), *encoding.geometry.grid)
        self._codes = np.empty(shape, encoding.dtype)
        self._held: set[int] = set()

    def filling(self, needed: Reads, batches: Batches, ring: np.ndarray) -> Filling:
        """Read what is missing, then gather the batches."""
        tasks = [
            Task(partial(self._read, shard))
            for shard in needed.shards.tolist()
            if shard not in self._held
        ]
        missing = len(tasks)
        slots = np.searchsorted(self._rows, batches.rows)
        for batch, mine in enumerate(np.split(slots, batches.edges[1:-1])):
            place = ring[batch % len(ring), : len(mine)]
            tasks.append(Task(partial(self._gather, mine, place), last=batch, after=missing))
        return tasks, [missing + batch + 1 for batch in range(len(batches))]

    def _read(self, shard: int, stopped: Callable[[], bool]) -> None:
        first, stop = np.searchsorted(
            self._rows, [shard * ROWS_PER_SHARD, (shard + 1) * ROWS_PER_SHARD]
        )
        rows, slots = self._rows[first:stop], np.arange(first, stop)
        read_rows(self._split, self._selection, shard, rows, self._codes, slots, stopped)
        if not stopped():
            self._held.add(shard)

    def _gather(self, slots: np.ndarray, target: np.ndarray, _: Callable[[], bool]) -> None:
        source = self._codes.reshape(len(self._codes), -1)
        # Clipping changes no index; without it NumPy would copy into a buffer of its own first.
        np.take(source, slots, 0, target.reshape(len(target), -1), mode="clip")


def read_rows(
    split: Split,
    selection: Selection,
    shard: int,
    rows: np.ndarray,
    target: np.ndarray,
    slots: np.ndarray,
    stopped: Callable[[], bool],
) -> None:
    """Decode the chosen channels of a shard and put each of some rows into its slot.

    A chunk is decoded into memory that stays in the processor's cache, and its rows go from there
    right to their places: main memory sees each code once.

    Parameters
    ----------
    split : Split
    selection : Selection
    shard : int
    rows : ndarray of int64, shape (n,)
        Row numbers of this shard, rising.
    target : ndarray, shape (any, C, rows, columns), contiguous
    slots : ndarray of int64, shape (n,)
        Where on the first axis of ``target`` each row goes.
    stopped : callable
        Asked after each chunk; the rest is left out once it is true.
    """
    encoding = split.attributes.encoding
    chunk = np.empty((ROWS_PER_SHARD, *encoding.geometry.grid), encoding.dtype)
    pieces = chunk.reshape(ROWS_PER_SHARD, -1)
    places = target.reshape(*target.shape[:2], -1)
    channel = {STORED_POSITION[index]: i for i, index in enumerate(selection.indices)}
    wanted = slice(None) if len(rows) == ROWS_PER_SHARD else rows % ROWS_PER_SHARD
    with split.open_shard(shard) as file:
        for position, _ in file.read(list(channel), lambda _: chunk):
            places[slots, channel[position]] = pieces[wanted]
            if stopped():
                return
