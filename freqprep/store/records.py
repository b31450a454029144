"""Binary records of finished shards, for the journals of large splits.

A record is a header, 24 bytes little-endian, and a body: length of the body, CRC-32 of all that
follows it, number of the shard, length of its file; then the entry as one zstd frame. Shards and
lengths can be listed without decompressing anything.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Generic, NamedTuple

import numpy as np
from numcodecs import zstd

from freqprep.errors import CorruptStoreError
from freqprep.storage.paths import AnyPath
from freqprep.store.journal import Result

_HEADER = struct.Struct("<IIQQ")
_MOST_BODY = 2**26
_LEVEL = 1
_KEPT_BYTES = 2**28
"""Bytes of segments in a bucket that are kept in memory: parts of a conversion interleave."""

START_OVER = "start over with --overwrite"


class Header(NamedTuple):
    """Position of a record, and the shard that it is of."""

    offset: int
    shard: int
    file_bytes: int


def record_of(entry: Result) -> bytes:
    """Return the record of an entry."""
    body: bytes = zstd.compress(entry.to_bytes(), _LEVEL)
    rest = struct.pack("<QQ", entry.shard, entry.file_bytes) + body
    return struct.pack("<II", len(body), zlib.crc32(rest)) + rest


def headers(file: BinaryIO, length: int, where: str) -> Iterator[Header | int]:
    """Read the headers of the records of a file.

    A record at the very end that is cut off, or whose bytes were not all written, does not count.

    Parameters
    ----------
    file : binary file
        At its beginning.
    length : int
        Bytes of the file.
    where : str
        The file, for messages.

    Yields
    ------
    Header or int
        Each header, and last the length of all complete records.

    Raises
    ------
    CorruptStoreError
        A record before the end is damaged.
    """
    offset = 0
    while length - offset >= _HEADER.size:
        header = file.read(_HEADER.size)
        size, checksum, shard, file_bytes = _HEADER.unpack(header)
        end = offset + _HEADER.size + size
        if end > length:
            break
        whole = size <= _MOST_BODY and zlib.crc32(header[8:] + file.read(size)) == checksum
        if not whole:
            if end == length:
                break
            raise _damaged(where, offset, "its checksum does not match")
        yield Header(offset, shard, file_bytes)
        offset = end
    yield offset


class RecordIndex(Mapping[int, Result], Generic[Result]):
    """Entries by shard, read from their records when asked for; 12 bytes a shard in memory.

    Parameters
    ----------
    kind : type
        Class of the entries.
    shards : int
        Number of shards of the split.
    """

    def __init__(self, kind: type[Result], shards: int) -> None:
        self._kind, self._shards = kind, shards
        self._source = np.full(shards, -1, np.int32)
        self._offset = np.zeros(shards, np.int64)
        self._sources: list[AnyPath] = []
        self._kept: OrderedDict[int, bytes] = OrderedDict()  # segments of a bucket
        self._fresh: dict[int, Result] = {}  # not in a file yet

    def add_file(self, path: AnyPath) -> int:
        """Add a file of records; return its number."""
        self._sources.append(path)
        return len(self._sources) - 1

    def add(self, source: int, header: Header) -> None:
        """Add a record of a file.

        Raises
        ------
        CorruptStoreError
            The split has no such shard.
        """
        if header.shard >= self._shards:
            where = str(self._sources[source])
            raise _damaged(where, header.offset, f"there is no shard {header.shard}")
        self._source[header.shard], self._offset[header.shard] = source, header.offset
        self._fresh.pop(header.shard, None)

    def add_fresh(self, entry: Result) -> None:
        """Add an entry that is in no file yet."""
        self._fresh[entry.shard] = entry
        self._source[entry.shard] = len(self._sources)

    def drop(self, which: np.ndarray) -> None:
        """Forget the entries of some shards; bool, shape (shards,)."""
        self._source[which] = -1

    def __contains__(self, shard: object) -> bool:
        return isinstance(shard, int) and 0 <= shard < self._shards and self._source[shard] >= 0

    def __len__(self) -> int:
        return int(np.count_nonzero(self._source >= 0))

    def __iter__(self) -> Iterator[int]:
        return iter(np.flatnonzero(self._source >= 0).tolist())

    def __getitem__(self, shard: int) -> Result:
        if shard not in self:
            raise KeyError(shard)
        if (fresh := self._fresh.get(shard)) is not None:
            return fresh
        path, offset = self._sources[self._source[shard]], int(self._offset[shard])
        data = self._record(int(self._source[shard]), path, offset)
        try:
            entry = self._kind.from_bytes(shard, zstd.decompress(data[_HEADER.size :]))
        except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
            raise _damaged(str(path), offset, str(error)) from None
        return entry

    def _record(self, source: int, path: AnyPath, offset: int) -> bytes:
        if isinstance(path, Path):
            with open(path, "rb", buffering=0) as file:
                header = os.pread(file.fileno(), _HEADER.size, offset)
                length = _HEADER.unpack(header)[0] if len(header) == _HEADER.size else 0
                return header + os.pread(
                    file.fileno(), min(length, _MOST_BODY), offset + len(header)
                )
        if source in self._kept:
            self._kept.move_to_end(source)
        else:
            self._kept[source] = path.read_bytes()
            while len(self._kept) > 1 and sum(map(len, self._kept.values())) > _KEPT_BYTES:
                self._kept.popitem(last=False)
        data = self._kept[source]
        return data[offset : offset + _HEADER.size + _HEADER.unpack_from(data, offset)[0]]


def _damaged(where: str, offset: int, what: str) -> CorruptStoreError:
    return CorruptStoreError(f"the record at {offset} of {where} is damaged ({what})", START_OVER)
