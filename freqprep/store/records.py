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
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Generic, NamedTuple

import numpy as np
from numcodecs import zstd

from freqprep.errors import CorruptStoreError
from freqprep.storage.paths import AnyPath
from freqprep.storage.regular_file import open_regular
from freqprep.store.journal import Result
from freqprep.store.zstd_frame import LONGEST_HEADER, MAGIC, content_bytes

_HEADER = struct.Struct("<IIQQ")
_MOST_BODY = 2**26
_MOST_FILE_BYTES = 2**62
_LEVEL = 1
_SEARCHED_BYTES = 2**24
_KEPT_BYTES = 2**28
"""Bytes of segments in a bucket that are kept in memory: parts of a conversion interleave."""

START_OVER = "start over with --overwrite"

_MALFORMED = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    RuntimeError,
    MemoryError,
)


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


def headers(file: BinaryIO, length: int, offset: int = 0) -> Iterator[Header | int]:
    """Read the headers of whole records that follow each other.

    Parameters
    ----------
    file : binary file
    length : int
        Bytes of the file.
    offset : int, optional
        Where the first record begins.

    Yields
    ------
    Header or int
        Each header, and last where the first record begins that is not whole: the length, if all
        are. It may be cut off, not written in full, or damaged.
    """
    file.seek(offset)
    while length - offset >= _HEADER.size:
        header = file.read(_HEADER.size)
        size, checksum, shard, file_bytes = _HEADER.unpack(header)
        end = offset + _HEADER.size + size
        if end > length or size > _MOST_BODY:
            break
        if zlib.crc32(header[8:] + file.read(size)) != checksum:
            break
        yield Header(offset, shard, file_bytes)
        offset = end
    yield offset


def record_bytes(file: BinaryIO) -> int:
    """Return the length of the record that begins here, as it states; 0 if there is no header."""
    header = file.read(_HEADER.size)
    return _HEADER.size + _HEADER.unpack(header)[0] if len(header) == _HEADER.size else 0


def records_behind(file: BinaryIO, length: int, offset: int) -> int:
    """Count the whole records behind one that is not whole: none, if it is a torn end.

    They are found by how a body begins, because the length of a damaged record may be wrong.
    """
    count, offset = 0, offset + 1
    while length - offset >= _HEADER.size:
        file.seek(offset)
        block = file.read(_SEARCHED_BYTES)
        found = block.find(MAGIC, _HEADER.size)
        if found < 0:
            offset += max(len(block) - _HEADER.size - len(MAGIC) + 1, 1)
            continue
        offset += found - _HEADER.size
        begin = offset
        for header in headers(file, length, begin):
            if isinstance(header, Header):
                count += 1
            else:
                offset = max(header, begin + 1)
    return count


class RecordIndex(Mapping[int, Result], Generic[Result]):
    """Entries by shard, read from their records when asked for; 20 bytes a shard in memory.

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
        self._file_bytes = np.zeros(shards, np.int64)
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
            raise damaged(where, header.offset, f"there is no shard {header.shard}")
        self._source[header.shard], self._offset[header.shard] = source, header.offset
        self._file_bytes[header.shard] = min(header.file_bytes, _MOST_FILE_BYTES)
        self._fresh.pop(header.shard, None)

    def add_all(self, path: Path) -> int:
        """Add the records of a file; return the length of those that are complete.

        Raises
        ------
        CorruptStoreError
            It is not a regular file, or the split has no such shard.
        """
        source, complete = self.add_file(path), 0
        with open(open_regular(path), "rb") as file:
            for found in headers(file, os.fstat(file.fileno()).st_size):
                if isinstance(found, Header):
                    self.add(source, found)
                else:
                    complete = found
        return complete

    def add_fresh(self, entry: Result) -> None:
        """Add an entry that is in no file yet."""
        self._fresh[entry.shard] = entry
        self._source[entry.shard] = len(self._sources)
        self._file_bytes[entry.shard] = entry.file_bytes

    def file_bytes(self, shard: int) -> int:
        """Return the length of a shard's file as its record states it."""
        return int(self._file_bytes[shard])

    def drop(self, shards: Sequence[int]) -> None:
        """Forget the entries of some shards."""
        self._source[np.array(shards, np.int64)] = -1

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
        return _entry(data, self._kind, shard, str(path), offset)

    def _record(self, source: int, path: AnyPath, offset: int) -> bytes:
        if isinstance(path, Path):
            return _read(path, offset)
        if source in self._kept:
            self._kept.move_to_end(source)
        else:
            self._kept[source] = path.read_bytes()
            while len(self._kept) > 1 and sum(map(len, self._kept.values())) > _KEPT_BYTES:
                self._kept.popitem(last=False)
        data = self._kept[source]
        return data[offset : offset + _HEADER.size + _HEADER.unpack_from(data, offset)[0]]


def entry_at(path: Path, header: Header, kind: type[Result]) -> Result:
    """Read the entry of a record of a file.

    Raises
    ------
    CorruptStoreError
        It is not one of this kind, or does not fit its header.
    """
    data = _read(path, header.offset)
    return _entry(data, kind, header.shard, str(path), header.offset)


def _read(path: Path, offset: int) -> bytes:
    with open(open_regular(path), "rb", buffering=0) as file:
        header = os.pread(file.fileno(), _HEADER.size, offset)
        length = _HEADER.unpack(header)[0] if len(header) == _HEADER.size else 0
        return header + os.pread(file.fileno(), min(length, _MOST_BODY), offset + len(header))


def _entry(data: bytes, kind: type[Result], shard: int, where: str, offset: int) -> Result:
    try:
        body = data[_HEADER.size :]
        if not 0 < (length := content_bytes(body[:LONGEST_HEADER])) <= _MOST_BODY:
            raise ValueError(f"an entry of {length} bytes")
        entry = kind.from_bytes(shard, zstd.decompress(body))
        stated = _HEADER.unpack_from(data)[3]
        if entry.file_bytes != stated or stated > _MOST_FILE_BYTES:
            raise ValueError(f"a file of {entry.file_bytes} bytes, stated as {stated}")
    except _MALFORMED as error:
        raise damaged(where, offset, str(error)) from None
    return entry


def damaged(where: str, offset: int, what: str) -> CorruptStoreError:
    """Return the error of a record that is damaged."""
    return CorruptStoreError(f"the record at {offset} of {where} is damaged ({what})", START_OVER)
