"""Runs of bytes of shards: from files, from objects, from memory, one interface for all."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

from freqprep.errors import CorruptStoreError
from freqprep.storage.interruptible import interruptible
from freqprep.storage.object_client import client, named_errors
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import AnyPath
from freqprep.storage.regular_file import open_regular

Run: TypeAlias = tuple[int, int]
"""Offset and length of adjacent bytes."""

_GAP_BYTES = 64 * 2**10
"""Runs of an object that are closer than this are fetched by one request."""


class RangedFile(Protocol):
    """A file of known length, read in runs."""

    def read_runs(self, runs: Sequence[Run]) -> Iterator[bytes | memoryview]:
        """Yield the bytes of each run, in order; each is complete.

        Raises
        ------
        CorruptStoreError
            The file is longer or shorter than it should be.
        """

    def close(self) -> None:
        """Let go of what is open."""


def open_ranged(path: AnyPath, file_bytes: int) -> RangedFile:
    """Open a file, or an object without a request.

    Parameters
    ----------
    path : Path or ObjectPath
    file_bytes : int
        Its length according to the manifest.

    Returns
    -------
    RangedFile

    Raises
    ------
    FileNotFoundError
        The file does not exist; for an object, when it is read.
    CorruptStoreError
        The file has another length; for an object, when it is read.
    """
    if isinstance(path, ObjectPath):
        return _Object(path, file_bytes)
    return _LocalFile(path, file_bytes)


REPAIR = "run `freqprep repair STORE --source SOURCE`, or convert again with --overwrite"
"""Remedy for a damaged store."""


def damaged(path: AnyPath, what: str) -> CorruptStoreError:
    """Return the error for a shard whose bytes are not what was written."""
    return CorruptStoreError(
        f"shard {path} is damaged: {what}",
        REPAIR,
    )


def _check_length(path: AnyPath, found: int, file_bytes: int) -> None:
    if found != file_bytes:
        raise damaged(path, f"it has {found} bytes, the manifest says {file_bytes}")


class InMemory:
    """The content of a file that was read at once."""

    def __init__(self, path: AnyPath, data: bytes, file_bytes: int) -> None:
        _check_length(path, len(data), file_bytes)
        self._data = memoryview(data)

    def read_runs(self, runs: Sequence[Run]) -> Iterator[memoryview]:
        """Yield the bytes of each run, without a copy."""
        for offset, length in runs:
            yield self._data[offset : offset + length]

    def close(self) -> None:
        """Do nothing: the memory is the caller's."""


class _LocalFile:
    """File of this machine, read run by run: the next one is read when it is asked for."""

    def __init__(self, path: Path, file_bytes: int) -> None:
        self._path = path
        self._descriptor = open_regular(path)
        try:
            _check_length(path, os.fstat(self._descriptor).st_size, file_bytes)
        except BaseException:
            self.close()
            raise

    def read_runs(self, runs: Sequence[Run]) -> Iterator[bytes]:
        for offset, length in runs:
            yield self._read(offset, length)

    def _read(self, offset: int, length: int) -> bytes:
        data = os.pread(self._descriptor, length, offset)
        while len(data) < length:
            more = os.pread(self._descriptor, length - len(data), offset + len(data))
            if not more:
                raise damaged(self._path, f"it ends after {offset + len(data)} bytes")
            data += more
        return data

    def close(self) -> None:
        os.close(self._descriptor)


class _Object:
    """Object of a bucket or web server, all runs fetched at once: a round trip."""

    def __init__(self, path: ObjectPath, file_bytes: int) -> None:
        self._path = path
        self._file_bytes = file_bytes

    def read_runs(self, runs: Sequence[Run]) -> Iterator[memoryview]:
        try:
            found = [self._one(*runs[0])] if len(runs) == 1 else self._many(runs)
        except EOFError:
            raise damaged(self._path, f"it has fewer than {self._file_bytes} bytes") from None
        for (offset, length), data in zip(runs, found, strict=True):
            if len(data) != length:  # what is past the end is left out without an error
                raise damaged(self._path, f"it ends after {offset + len(data)} bytes")
            yield data

    def _one(self, offset: int, length: int) -> memoryview:
        def read() -> memoryview:
            found = client(self._path.root).get(
                self._path.key, options={"range": (offset, offset + length)}
            )
            _check_length(self._path, found.meta["size"], self._file_bytes)
            return memoryview(found.bytes())

        with named_errors(str(self._path)):
            return interruptible(read)

    def _many(self, runs: Sequence[Run]) -> list[memoryview]:
        if not runs:
            return []

        def read() -> list[memoryview]:
            found = client(self._path.root).get_ranges(
                self._path.key,
                starts=[offset for offset, _ in runs],
                lengths=[length for _, length in runs],
                coalesce=_GAP_BYTES,
            )
            return [memoryview(data) for data in found]

        with named_errors(str(self._path)):
            return interruptible(read)

    def close(self) -> None:
        """Do nothing: connections are the client's."""
