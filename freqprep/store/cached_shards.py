"""Shards of a split that are read through a local cache."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from freqprep.errors import UsageError
from freqprep.storage.paths import AnyPath, as_path
from freqprep.storage.ranged_file import RangedFile, Run, open_ranged
from freqprep.store.layout import shard_name
from freqprep.store.manifest import check_unchanged
from freqprep.store.range_cache import RangeCache


class CachedShards:
    """Opens shards of one split through a cache.

    Parameters
    ----------
    cache : RangeCache
    path : Path or ObjectPath
        The split.
    content_id : str
        What it is, whoever reads it: other splits in the same cache have other ones.
    """

    def __init__(self, cache: RangeCache, path: AnyPath, content_id: str) -> None:
        self.cache, self._path, self._content_id = cache, path, content_id
        self._in_doubt, self._checking = False, threading.Lock()

    def __reduce__(self) -> tuple[type[CachedShards], tuple[RangeCache, AnyPath, str]]:
        return CachedShards, (self.cache, self._path, self._content_id)

    def open(self, shard: int, file_bytes: int) -> RangedFile:
        """Return the file of a shard, which is opened once something is missing in the cache."""
        opening = partial(self._open, self._path / shard_name(shard), file_bytes)
        return CachedFile(opening, f"{self._content_id}/{shard}", self.cache)

    def check_before_reading(self) -> None:
        """Check that the split was not replaced before more of it is read; the cache stays right.

        An epoch that the cache holds makes no request, not even for this.
        """
        self._in_doubt = True

    def _open(self, path: AnyPath, file_bytes: int) -> RangedFile:
        with self._checking:
            if self._in_doubt:
                check_unchanged(self._path, self._content_id)
                self._in_doubt = False
        return open_ranged(path, file_bytes)


def cached_shards(folder: str | Path, limit: int, path: AnyPath, content_id: str) -> CachedShards:
    """Open a cache for a split.

    Parameters
    ----------
    folder : str or Path
        Any number of processes and splits share it.
    limit : int
        Most bytes that it takes.
    path : Path or ObjectPath
    content_id : str
        Both of the split.

    Returns
    -------
    CachedShards

    Raises
    ------
    UsageError
        The folder is not on this machine, is in the store, or is none that can be a cache.
    """
    place, store = as_path(folder), path.parent
    if not isinstance(place, Path):
        raise UsageError(f"a cache cannot be at {place}", "name a folder on a local disk")
    if isinstance(store, Path) and place.resolve().is_relative_to(store.resolve()):
        raise UsageError(f"the cache {place} is in the store {store}", "name a folder elsewhere")
    return CachedShards(RangeCache(place, limit), path, content_id)


class CachedFile:
    """A `RangedFile` whose runs come from a cache, or from the file behind.

    Parameters
    ----------
    opening : callable
        Opens the file, once something is missing.
    name : str
        Content id and shard, as for `RangeCache.get`.
    cache : RangeCache
    """

    def __init__(self, opening: Callable[[], RangedFile], name: str, cache: RangeCache) -> None:
        self._opening, self._name, self._cache = opening, name, cache
        self._file: RangedFile | None = None

    def read_runs(self, runs: Sequence[Run]) -> Iterator[bytes | memoryview]:
        """Yield the bytes of each run.

        What was fetched is kept once the next run is asked for, or the end: by then the reader has
        checked it, and bytes that it refuses are not kept.
        """
        found = [self._cache.get(self._name, run) for run in runs]
        missing = [run for run, data in zip(runs, found, strict=True) if data is None]
        fetched = self._fetch(missing) if missing else iter(())
        for run, data in zip(runs, found, strict=True):
            if data is not None:
                yield data
                continue
            new = next(fetched)
            yield new
            self._cache.add(self._name, run, new)

    def _fetch(self, runs: Sequence[Run]) -> Iterator[bytes | memoryview]:
        if self._file is None:
            self._file = self._opening()
        return self._file.read_runs(runs)

    def close(self) -> None:
        """Close the file behind, if it was opened."""
        if self._file is not None:
            self._file.close()
