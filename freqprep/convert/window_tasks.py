"""Shards of tables: those of a window of rows are unpacked together, so row groups are read once.

On this machine the main process unpacks, and its workers read the file. Workers elsewhere do not
see it: each unpacks what its task needs. A task of theirs is a whole window, if there are enough
for all, or else some shards of one, and then a window is read as often as it has tasks.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from freqprep import engines
from freqprep.convert.shard_task import ImageFiles, ShardTask, convert_shard
from freqprep.convert.unpacking import copier_of, unpack, unpacked
from freqprep.errors import DiskFullError
from freqprep.ragged import Ragged
from freqprep.sources import FileTable
from freqprep.sources.parquet_rows import ImageCopier
from freqprep.storage.disk import free_bytes, full_disk_named
from freqprep.storage.interruptible import in_threads
from freqprep.storage.paths import AnyPath
from freqprep.storage.temporary import temporary_folder
from freqprep.store.journal import ShardResult
from freqprep.store.plan import SplitPlan
from freqprep.store.row_order import WINDOW_ROWS
from freqprep.store.schema import ROWS_PER_SHARD

WINDOW_SHARDS = WINDOW_ROWS // ROWS_PER_SHARD

_TASKS_A_WORKER = 4
_FEWEST_TOGETHER = 8


def convert_windows(
    plan: SplitPlan,
    tasks: Iterable[ShardTask],
    shards: int,
    workers: engines.Workers,
    places: engines.Places,
    aside: AnyPath,
) -> Iterator[ShardResult]:
    """Convert shards whose images are in tables.

    Parameters
    ----------
    plan : SplitPlan
    tasks : iterable of ShardTask
        By rising shard.
    shards : int
        How many they are.
    workers : Workers
    places : Places
    aside : Path or ObjectPath
        From the method ``aside`` of the unfinished split. Windows are unpacked there, or in the
        folder for temporary files if it is in a bucket.

    Yields
    ------
    ShardResult
        Of each shard, in any order.
    """
    if workers.on_cluster:

        def groups(threads: int) -> Iterator[ShardGroup]:
            together = shards_together(plan, threads, shards)
            for _, group in itertools.groupby(tasks, lambda task: task.shard // together):
                yield ShardGroup(tuple(group))

        for results in engines.run(convert_group, groups, workers, places):
            yield from results
        return
    with _local_folder(aside) as folder, _Windows(folder) as windows:
        for result in engines.run(convert_shard, windows.unpacked(tasks), workers, places):
            windows.done(result.shard)
            yield result


def shards_together(plan: SplitPlan, workers: int, shards: int | None = None) -> int:
    """Return how many consecutive shards are work for one worker at a time.

    Parameters
    ----------
    plan : SplitPlan
    workers : int
    shards : int, optional
        Number of shards that are left to make; by default all.

    Returns
    -------
    int
        1, unless images are in tables. Then a divisor of a window's 128: as many, if each worker
        gets four times that. It is less than 8 only where workers would have nothing to do.
    """
    if plan.listing.image_column is None:
        return 1
    shards = plan.shards if shards is None else shards
    least = min(_FEWEST_TOGETHER, -(-shards // workers))
    together = max(least, min(WINDOW_SHARDS, shards // (_TASKS_A_WORKER * workers)), 1)
    return 1 << together.bit_length() - 1


def by_window(shards: Iterable[int]) -> Iterator[list[int]]:
    """Yield shards, by rising number, that are of one window together."""
    for _, group in itertools.groupby(shards, lambda shard: shard // WINDOW_SHARDS):
        yield list(group)


def unpackers(plan: SplitPlan, workers: engines.Workers) -> int:
    """Return the number of processes that unpack tables."""
    if plan.listing.image_column is None:
        return 0
    return workers.count if workers.on_cluster else 1


@dataclasses.dataclass(frozen=True)
class ShardGroup:
    """Shards of one window.

    Attributes
    ----------
    tasks : tuple of ShardTask
        At least one; their files are tables.
    """

    tasks: tuple[ShardTask, ...]

    @property
    def shard(self) -> str:
        """Name of the shards, for messages."""
        first, last = self.tasks[0].shard, self.tasks[-1].shard
        return str(first) if first == last else f"{first}-{last}"


def convert_group(group: ShardGroup) -> list[ShardResult]:
    """Convert shards whose images this worker unpacks."""
    with unpacked(_joined(group.tasks)) as files:
        return [convert_shard(task) for task in _divided(group.tasks, files)]


def _joined(tasks: Sequence[ShardTask]) -> ImageFiles:
    """Return the files of some shards as one."""
    every = [task.files for task in tasks]
    paths = [files.table.paths for files in every]
    lengths = np.concatenate([np.diff(ragged.offsets) for ragged in paths])
    joined = FileTable(
        Ragged.of_lengths(np.concatenate([ragged.values for ragged in paths]), lengths),
        *(
            np.concatenate([getattr(files.table, name) for files in every])
            for name in ("offset", "length", "version")
        ),
    )
    sizes = [files.stated_sizes for files in every if files.stated_sizes is not None]
    stated = np.concatenate(sizes) if sizes else None
    return dataclasses.replace(every[0], table=joined, stated_sizes=stated)


def _divided(tasks: Sequence[ShardTask], files: ImageFiles) -> Iterator[ShardTask]:
    """Yield the tasks with their share of the files of all of them."""
    first = 0
    for task in tasks:
        rows = np.arange(first, first + len(task.files))
        yield dataclasses.replace(task, files=files.take(rows))
        first += len(rows)


@contextlib.contextmanager
def _local_folder(aside: AnyPath) -> Iterator[Path]:
    if isinstance(aside, Path):
        yield aside
        return
    with temporary_folder() as folder:
        yield folder


class _StoppedError(Exception):
    """Nobody waits for the window any more."""


class _Windows:
    """Windows of tables in files of a folder: one ahead of what is worked on; a context manager.

    A file is removed once all its shards have results. So there are three, and more only where two
    tasks for each worker are more than a window. A row group that goes on in the next window stays
    open until then.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._left = Counter[int]()
        self._largest = 0
        self._stopped = threading.Event()
        self._copier: ImageCopier | None = None

    def __enter__(self) -> _Windows:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        if self._copier is not None:
            self._copier.close()

    def unpacked(self, tasks: Iterable[ShardTask]) -> Iterator[ShardTask]:
        """Yield the tasks with files that workers can read."""
        grouped = itertools.groupby(tasks, lambda task: task.shard // WINDOW_SHARDS)
        windows = ((number, list(group)) for number, group in grouped)
        pairs = itertools.pairwise(itertools.chain(windows, [(-1, [])]))
        calls = (partial(self._unpack, *window, following) for window, (_, following) in pairs)
        for unpacked_tasks in in_threads(calls, 1):
            yield from unpacked_tasks

    def done(self, shard: int) -> None:
        """Remove the file of a shard's window, if this was the last one of it."""
        window = shard // WINDOW_SHARDS
        self._left[window] -= 1
        if not self._left[window]:
            self._path(window).unlink()

    def _path(self, window: int) -> Path:
        return self._folder / f"window-{window}"

    def _unpack(
        self, window: int, tasks: Sequence[ShardTask], following: Sequence[ShardTask]
    ) -> list[ShardTask]:
        path, wanted = self._path(window), _joined(tasks)
        coming = _joined(following).table if following else None
        self._copier = self._copier or copier_of(wanted)
        self._check_room()
        with full_disk_named(path.parent), open(path, "xb") as out:
            files = unpack(wanted, out, path, self._go_on, self._copier, coming)
            self._largest = max(self._largest, os.fstat(out.fileno()).st_size)
        self._left[window] = len(tasks)
        return list(_divided(tasks, files))

    def _go_on(self) -> None:
        if self._stopped.is_set():
            raise _StoppedError

    def _check_room(self) -> None:
        free, rows = free_bytes(self._folder), WINDOW_SHARDS * ROWS_PER_SHARD
        if free < self._largest:
            raise DiskFullError(
                f"images of {rows} rows of tables are unpacked together, which takes"
                f" {self._largest / 1e6:.0f} MB, but {self._folder} has {free / 1e6:.0f} MB free",
                "free some space and run the command again with --resume",
            )
