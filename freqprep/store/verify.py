"""Checks of a store: the hash of every file, every chunk, the moments, and stray files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from freqprep import engines
from freqprep.errors import (
    OUTSIDE,
    CorruptStoreError,
    FreqprepError,
    ObjectStoreError,
    StoreError,
    UnknownSplitError,
)
from freqprep.progress import Progress
from freqprep.spectrum import BLOCK
from freqprep.spectrum.moments import Moments
from freqprep.storage.concurrency import for_each
from freqprep.storage.disk import FileEntry
from freqprep.storage.paths import AnyPath, hash_file, walk_files
from freqprep.storage.ranged_file import InMemory
from freqprep.storage.regular_file import read_regular
from freqprep.store import selections
from freqprep.store.layout import shard_name, shard_number
from freqprep.store.manifest import GROUP_DOCUMENT, MANIFEST, MOST_BYTES, group_document
from freqprep.store.reader import Split, reopen
from freqprep.store.schema import ROWS_PER_SHARD
from freqprep.store.verify_arrays import array_problems, shape_problems
from freqprep.store.verify_documents import (
    MISSING,
    Problem,
    open_damaged,
    root_problems,
    unopened,
)

__all__ = ["Problem", "Verified", "entry_of", "shard_moments", "verify"]

_LOCAL = engines.Workers()
_OTHER_HASH = "its hash is not the one in the manifest"


@dataclass(frozen=True)
class Verified:
    """Result of checking a store.

    Attributes
    ----------
    splits, files, chunks, images : int
        Numbers of what was checked.
    problems : tuple of Problem
        Empty if the store is intact.
    """

    splits: int
    files: int
    chunks: int
    images: int
    problems: tuple[Problem, ...]


def verify(
    path: str | AnyPath, workers: engines.Workers = _LOCAL, split: str | None = None
) -> Verified:
    """Check the finished splits of a store.

    On a web server, which cannot list, files that do not belong to the store are not found.

    Parameters
    ----------
    path : str, Path or ObjectPath
    workers : Workers, optional
        By default a process of this machine per core.
    split : str, optional
        Check only this split; needed on a web server.

    Returns
    -------
    Verified

    Raises
    ------
    StoreError
        The path is not a store.
    UsageError
        There is no such split, or none is named of a store that cannot be listed.
    """
    problems: list[Problem] = []
    files = chunks = images = 0
    store = open_damaged(path)
    names = list(store) if split is None else [split]
    problems += root_problems(store)
    problems += (Problem(where, what) for where, what in selections.problems(store.path))
    for name in names:
        try:
            opened = store[name]
        except (UnknownSplitError, ObjectStoreError):
            raise
        except FreqprepError as error:
            problems.append(unopened(store.path / name, error))
            continue
        problems += (
            Problem(f"{name}/{found.where}".rstrip("/"), found.what)
            for found in _split_problems(opened, workers, store.listed)
        )
        files += opened.shard_table.files() + 2
        chunks += opened.shards * len(opened.attributes.channels)
        images += len(opened)
    return Verified(len(names), files, chunks, images, tuple(problems))


def shard_moments(split: Split, shard: int) -> Moments:
    """Compute the moments of one shard from its codes, channels in stored order."""
    return _decode_shard(split, shard, None)[0]


def _split_problems(
    split: Split, workers: engines.Workers, can_be_listed: bool
) -> Iterator[Problem]:
    files, table = split.manifest.files, split.shard_table
    small = {name for name in files if not _is_shard(split, name)}
    others, there = _found(split) if can_be_listed else (small, None)
    yield from (Problem(name, MISSING) for name in sorted(small - others))
    extra = others - small - {MANIFEST, GROUP_DOCUMENT}
    yield from (Problem(name, "is not in the manifest") for name in sorted(extra))
    try:
        document = group_document(split.manifest, split.content_id, split.path)
        if read_regular(split.path / GROUP_DOCUMENT, MOST_BYTES) != document:
            yield Problem(GROUP_DOCUMENT, "is not what the manifest says")
    except OUTSIDE:
        raise
    except FreqprepError as error:
        yield Problem(GROUP_DOCUMENT, str(error))
    damaged = bool(small - others)
    present = sorted(small & others)
    hashes = for_each(entry_of, [split.path / name for name in present])
    for name, found in zip(present, hashes, strict=True):
        if found != files[name]:
            damaged = True
            yield Problem(name, _OTHER_HASH if found else MISSING)
    if damaged and split.manifest.two_levels:
        return  # the parts that list the shards cannot be trusted
    listed = table.listed()
    there = listed if there is None else there
    for shard in np.setdiff1d(listed, there).tolist():
        yield Problem(shard_name(shard), MISSING)
    for shard in np.setdiff1d(there, listed).tolist():
        yield Problem(shard_name(shard), "is not in the manifest")
    if damaged:
        return  # the shards are checked against arrays, which cannot be trusted
    try:
        if misshapen := list(shape_problems(split)):
            yield from (Problem(*problem) for problem in misshapen)
            return
        yield from (Problem(*problem) for problem in array_problems(split))
    except OUTSIDE:
        raise
    except FreqprepError as error:
        yield Problem("", str(error))
        return
    try:
        yield from _shards_problems(split, np.intersect1d(listed, there), workers)
    except OUTSIDE:
        raise
    except StoreError as error:  # others are the workers'
        yield Problem("", str(error))


def _is_shard(split: Split, name: str) -> bool:
    shard = shard_number(name)
    return shard is not None and shard < split.shards


def _found(split: Split) -> tuple[set[str], np.ndarray]:
    """Return the files of a split's folder that are no shards, and the numbers of the shards."""
    others: set[str] = set()

    def shards() -> Iterator[int]:
        for name in walk_files(split.path):
            shard = shard_number(name)
            if shard is not None and shard < split.shards:
                yield shard
            else:
                others.add(name)

    numbers = np.unique(np.fromiter(shards(), np.int64))
    return others, numbers


def _shards_problems(
    split: Split, shards: np.ndarray, workers: engines.Workers
) -> Iterator[Problem]:
    zero = Moments.zero(len(split.attributes.channels))
    total = zero
    clean = len(shards) == split.shards
    path = workers.path(split.path)
    tasks = (_CheckTask(path, shard, split.content_id) for shard in shards.tolist())
    workers, places = workers.at_most(len(shards)), engines.Places((split.path / MANIFEST,))
    with Progress(f"verify {split.attributes.split}", split.shards, unit="shard") as progress:
        for shard, moments, found in engines.run(_check_shard, tasks, workers, places):
            progress.update(1)
            clean &= moments is not None
            total += moments or zero
            yield from (Problem(shard_name(shard), what) for what in found)
    stored = split.stored_moments
    same = np.array_equal(total.total, stored.total) and np.array_equal(
        total.total_squares, stored.total_squares
    )
    if clean and not same:
        yield Problem("moment_total", "is not the sum over the shards")


class _CheckTask(NamedTuple):
    path: AnyPath
    shard: int
    content_id: str


def entry_of(path: AnyPath) -> FileEntry | None:
    """Return length and hash of a file; None if it has gone since it was listed."""
    try:
        return hash_file(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except CorruptStoreError:  # a pipe or a device has no content to hash
        return FileEntry(0, "")


def _check_shard(task: _CheckTask) -> tuple[int, Moments | None, list[str]]:
    """Check one shard, in a worker; return its number, its moments or None, and problems."""
    path, shard, content_id = task
    split = reopen(path, content_id)
    moments, entry = None, split.shard_table.entry(shard)
    try:
        data = read_regular(path / shard_name(shard), entry.file_bytes)
    except FileNotFoundError:  # it has gone since it was listed
        return shard, None, [MISSING]
    except CorruptStoreError as error:  # no file, or a longer one
        return shard, None, [_OTHER_HASH, error.message]
    found = [] if FileEntry.of(data) == entry else [_OTHER_HASH]
    try:
        moments, stray = _decode_shard(split, shard, data)
        if stray:
            found.append("has codes outside the valid blocks of its images")
    except OUTSIDE:
        raise
    except FreqprepError as error:
        found.append(str(error))
    return shard, moments, found


def _decode_shard(split: Split, shard: int, data: bytes | None) -> tuple[Moments, bool]:
    """Return the moments of a shard, and whether a code outside the valid blocks is not zero.

    The shard is read from its file, or from the file's content.
    """
    mine = slice(shard * ROWS_PER_SHARD, (shard + 1) * ROWS_PER_SHARD)
    sizes = np.zeros((ROWS_PER_SHARD, 2), np.int64)
    sizes[: len(split.sizes[mine])] = split.sizes[mine]
    rows, columns = (-(-side // BLOCK) for side in sizes.T)
    grid = split.attributes.encoding.geometry.grid
    inside = (np.arange(grid[0])[:, None] < rows[:, None, None]) & (
        np.arange(grid[1]) < columns[:, None, None]
    )
    bound = -int(np.iinfo(split.attributes.encoding.dtype).min)
    channels = len(split.attributes.channels)
    totals = np.zeros((2, channels), np.int64)
    stray = False
    path, length = split.path / shard_name(shard), split.shard_table.entry(shard).file_bytes
    content = None if data is None else InMemory(path, data, length)
    with split.open_shard(shard, content) as file:
        for position, codes in file.read(range(channels)):
            one = Moments.of(codes.reshape(1, ROWS_PER_SHARD, -1), bound)
            totals[:, position] = one.total[0], one.total_squares[0]
            stray |= bool(codes[~inside].any())
    return Moments(int((rows * columns).sum()), *totals), stray
