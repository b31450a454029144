"""Tasks that fill a ring of batches: from the store, or from rows kept in memory."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import chain

import numpy as np

from freqprep.allocation import FreshArray
from freqprep.spectrum.channels import Selection
from freqprep.store.schema import ROWS_PER_SHARD
from freqprep.store.split import Split
from freqprep.streaming.order import Batches, Reads
from freqprep.streaming.pipeline import FillTask
from freqprep.streaming.ring import LENT_AT_MOST, Buffers
from freqprep.streaming.shuffling import ShufflePlan
from freqprep.streaming.threads import cores_of_this_process
from freqprep.streaming.turns import Turns

Filling = tuple[list[FillTask], list[int]]
"""Tasks in order, and the number of them, from the first on, that each batch needs."""

_GATHERED_AHEAD = 3  # one batch with the consumer, one ready, one being gathered


def ring_depth(plan: ShufflePlan, needed: Reads, images: int, rows: int, threads: int) -> int:
    """Compute the number of buffers of a ring: the least that works, and more where useful.

    Parameters
    ----------
    plan : ShufflePlan
    needed : Reads
    images : int
        Rows of a batch.
    rows : int
        Rows that the memory budget allows; where that is less than reading ahead one shard per
        thread takes, there is room for these all the same.
    threads : int
        Reading threads.

    Returns
    -------
    int
    """
    if plan.mode == "exact":
        return _GATHERED_AHEAD + LENT_AT_MOST - 1
    ahead, least = rows // images, needed.reach + -(-threads * ROWS_PER_SHARD // images)
    if plan.mode == "rows":  # nothing is mixed, so no more is read ahead than threads need
        return min(max(ahead, needed.reach + 1), least) + LENT_AT_MOST
    return max(ahead, least) + LENT_AT_MOST


def from_store(split: Split, selection: Selection, needed: Reads, buffers: Buffers) -> Filling:
    """Make tasks that decode shards straight into the batches.

    Parameters
    ----------
    split : Split
    selection : Selection
    needed : Reads
        Shards that the batches need.
    buffers : Buffers

    Returns
    -------
    Filling
    """
    codes, turns = buffers.codes, Turns(cores_of_this_process())

    def read(number: int, stopped: Callable[[], bool]) -> None:
        shard, positions = int(needed.shards[number]), buffers.positions(needed.slots[number])
        turn = partial(turns.turn, number)
        read_rows(split, selection, shard, needed.rows[number], codes, positions, stopped, turn)

    tasks = [
        FillTask(partial(read, number), last) for number, last in enumerate(needed.last.tolist())
    ]
    batches = np.arange(int(needed.last.max(initial=-1)) + 1)
    return tasks, np.searchsorted(needed.first, batches, side="right").tolist()


class Cache:
    """The chosen channels of all valid rows in memory; a shard is read when first needed.

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
        self._memory = FreshArray(shape, encoding.dtype)
        self._codes = self._memory.array
        self._held: set[int] = set()

    def filling(self, needed: Reads, batches: Batches, buffers: Buffers) -> Filling:
        """Make tasks that read what is missing, then gather the batches."""
        tasks = [
            FillTask(partial(self._read, shard))
            for shard in needed.shards.tolist()
            if shard not in self._held
        ]
        missing = len(tasks)
        positions = np.searchsorted(self._rows, batches.rows)
        for batch, mine in enumerate(np.split(positions, batches.edges[1:-1])):
            gather = partial(self._gather, mine, buffers, batch)
            tasks.append(FillTask(gather, last=batch, after=missing))
        return tasks, [missing + batch + 1 for batch in range(len(batches))]

    def _read(self, shard: int, stopped: Callable[[], bool]) -> None:
        first, stop = np.searchsorted(
            self._rows, [shard * ROWS_PER_SHARD, (shard + 1) * ROWS_PER_SHARD]
        )
        self._memory.populate(int(first), int(stop))
        rows, positions = self._rows[first:stop], np.arange(first, stop)
        read_rows(self._split, self._selection, shard, rows, self._codes, positions, stopped)
        if not stopped():
            self._held.add(shard)

    def _gather(
        self, positions: np.ndarray, buffers: Buffers, batch: int, _: Callable[[], bool]
    ) -> None:
        target = buffers.batch(batch, len(positions))
        source = self._codes.reshape(len(self._codes), -1)
        # Clipping changes no index; without it NumPy would copy into a buffer of its own first.
        np.take(source, positions, 0, target.reshape(len(target), -1), mode="clip")


def read_rows(
    split: Split,
    selection: Selection,
    shard: int,
    rows: np.ndarray,
    target: np.ndarray,
    positions: np.ndarray,
    stopped: Callable[[], bool],
    turn: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> None:
    """Decode the chosen channels of a shard and copy some of its rows into an array.

    A chunk is decoded into memory that stays in the processor's cache, and its rows are copied from
    there straight to where they go: main memory sees each code once.

    Parameters
    ----------
    split : Split
    selection : Selection
    shard : int
    rows : ndarray of int64, shape (n,)
        Row numbers of this shard, rising.
    target : ndarray, shape (any, C, rows, columns), contiguous
    positions : ndarray of int64, shape (n,)
        Index on the first axis of ``target`` of each row.
    stopped : callable
        Called before each chunk is copied; the rest is left out once it returns True.
    turn : callable
        Context in which the chunks are decoded, once the bytes of all have come from a bucket.
    """
    stored_at = split.attributes.positions
    flat = target.reshape(*target.shape[:2], -1)
    channel = {stored_at[index]: i for i, index in enumerate(selection.indices)}
    wanted = slice(None) if len(rows) == ROWS_PER_SHARD else rows % ROWS_PER_SHARD
    with split.open_shard(shard) as file:
        chunks = file.read(list(channel))
        first = next(chunks)  # waits for a bucket
        with turn():
            for stored, codes in chain([first], chunks):
                if stopped():  # perhaps long ago, and the rows may be another iterator's by now
                    return
                flat[positions, channel[stored]] = codes.reshape(ROWS_PER_SHARD, -1)[wanted]
