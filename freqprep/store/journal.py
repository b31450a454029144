"""The journal of finished shards: one line per shard, its CRC-32 and JSON, appended and synced.

The journal lies beside the unfinished split and is not part of the store. A line cut off by a
crash is dropped; its shard is then written again, with the same bytes.
"""

from __future__ import annotations

import json
import math
import os
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, BinaryIO, Generic, Protocol, Self, TypeVar

import numpy as np

from freqprep.errors import CorruptStoreError
from freqprep.spectrum.channels import CHANNELS
from freqprep.spectrum.moments import Moments
from freqprep.storage.regular_file import open_regular, open_to_append
from freqprep.storage.strict_json import parse
from freqprep.store.attribute_checks import number
from freqprep.store.entry_checks import check_file, check_lengths, row_texts

_ROW_COLUMNS: dict[str, tuple[str, tuple[int, ...]]] = {
    "valid": ("bool", ()),
    "size": ("int32", (2,)),
    "source_size": ("int32", (2,)),
    "orientation": ("uint8", ()),
    "source_bytes": ("int64", ()),
    "saturated": ("int32", ()),
    "luma_squared_error": ("float64", ()),
}


@dataclass(frozen=True)
class RowResults:
    """Results of converting the images of a shard or a split, one entry per row.

    Attributes
    ----------
    valid : ndarray of bool, shape (rows,)
    size, source_size : ndarray of int32, shape (rows, 2)
        Height and width of the valid stored pixels, and of the decoded image; 0 if rejected.
    orientation : ndarray of uint8, shape (rows,)
        EXIF orientation that was applied; 1 if none.
    source_bytes : ndarray of int64, shape (rows,)
        Size of the source file.
    saturated : ndarray of int32, shape (rows,)
        Number of clipped codes.
    luma_squared_error : ndarray of float64, shape (rows,)
        Sum of squared quantization errors of Y over the blocks with a valid pixel.
    """

    valid: np.ndarray
    size: np.ndarray
    source_size: np.ndarray
    orientation: np.ndarray
    source_bytes: np.ndarray
    saturated: np.ndarray
    luma_squared_error: np.ndarray

    @classmethod
    def empty(cls, rows: int) -> RowResults:
        """Return results with all rows rejected, to be filled in."""
        columns = {
            name: np.zeros((rows, *shape), dtype) for name, (dtype, shape) in _ROW_COLUMNS.items()
        }
        columns["orientation"][:] = 1
        return cls(**columns)

    @classmethod
    def concatenate(cls, parts: list[RowResults]) -> RowResults:
        """Concatenate the rows of several shards."""
        return cls(
            **{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)}
        )

    def rows(self, rows: range) -> RowResults:
        """Return the results of a range of rows."""
        part = slice(rows.start, rows.stop)
        return RowResults(**{f.name: getattr(self, f.name)[part] for f in fields(self)})


@dataclass(frozen=True)
class ShardResult:
    """A finished shard.

    Attributes
    ----------
    shard : int
    sha256 : str
        Hash of the shard's file, in hexadecimal.
    file_bytes : int
        Length of the file.
    rows : RowResults
    moments : Moments
        Moments of the codes, channels in stored order.
    defects, notes : dict of int to str
        Row -> reason of its rejection; row -> note on a converted image.
    """

    shard: int
    sha256: str
    file_bytes: int
    rows: RowResults
    moments: Moments
    defects: dict[int, str] = field(default_factory=dict)
    notes: dict[int, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return JSON data; floats are exact."""
        return {
            "shard": self.shard,
            "sha256": self.sha256,
            "bytes": self.file_bytes,
            "rows": {name: getattr(self.rows, name).tolist() for name in _ROW_COLUMNS},
            "moments": [
                self.moments.count,
                self.moments.total.tolist(),
                self.moments.total_squares.tolist(),
            ],
            "defects": self.defects,
            "notes": self.notes,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ShardResult:
        """Return the result that `to_json` was called on."""
        check_file(data)
        columns = {
            name: np.array(data["rows"][name], dtype).reshape(-1, *shape)
            for name, (dtype, shape) in _ROW_COLUMNS.items()
        }
        check_lengths(columns.values())
        count, total, total_squares = data["moments"]
        return cls(
            shard=data["shard"],
            sha256=data["sha256"],
            file_bytes=data["bytes"],
            rows=RowResults(**columns),
            moments=Moments(
                int(count),
                np.array(total, np.int64).reshape(CHANNELS),
                np.array(total_squares, np.int64).reshape(CHANNELS),
            ),
            defects=row_texts(data, "defects"),
            notes=row_texts(data, "notes"),
        )

    def to_bytes(self) -> bytes:
        """Return all but number and file's length as bytes that compress well.

        They are a line of JSON, then the numbers, most columns as all first bytes, all second ones
        and so on: sums and sizes have many zeros.
        """
        head = {
            "sha256": self.sha256,
            "bytes": self.file_bytes,
            "rows": len(self.rows.valid),
            "count": self.moments.count,
            "defects": self.defects,
            "notes": self.notes,
        }
        columns = [getattr(self.rows, name) for name in _ROW_COLUMNS]
        columns += [self.moments.total, self.moments.total_squares]
        line = json.dumps(head, separators=(",", ":")).encode() + b"\n"
        return line + b"".join(_planes(column) for column in columns)

    @classmethod
    def from_bytes(cls, shard: int, data: bytes) -> ShardResult:
        """Return the result of a shard that `to_bytes` was called on."""
        line, _, numbers = data.partition(b"\n")
        head = parse(line)
        check_file({**head, "shard": shard})
        rows, columns, offset = number(head, "rows"), [], 0
        sums = ("int64", (CHANNELS,))
        for dtype, shape in (
            *((dtype, (rows, *shape)) for dtype, shape in _ROW_COLUMNS.values()),
            sums,
            sums,
        ):
            length = math.prod(shape) * np.dtype(dtype).itemsize
            columns.append(_from_planes(numbers[offset : offset + length], dtype, shape))
            offset += length
        if offset != len(numbers):
            raise ValueError("another length than its rows")
        *values, total, total_squares = columns
        return cls(
            shard=shard,
            sha256=head["sha256"],
            file_bytes=head["bytes"],
            rows=RowResults(**dict(zip(_ROW_COLUMNS, values, strict=True))),
            moments=Moments(int(head["count"]), total, total_squares),
            defects=row_texts(head, "defects"),
            notes=row_texts(head, "notes"),
        )


def _planes(values: np.ndarray) -> bytes:
    """Return the bytes of numbers, byte by byte of all: little-endian."""
    little = np.ascontiguousarray(values, values.dtype.newbyteorder("<")).reshape(-1)
    return little.view(np.uint8).reshape(-1, values.dtype.itemsize).T.tobytes()


def _from_planes(data: bytes, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return the numbers that `_planes` was called on."""
    kind = np.dtype(dtype)
    planes = np.frombuffer(data, np.uint8).reshape(kind.itemsize, -1)
    values = np.ascontiguousarray(planes.T).view(kind.newbyteorder("<"))
    return values.astype(kind).reshape(shape)


class Entry(Protocol):
    """A finished shard as the journal records it."""

    @property
    def shard(self) -> int:
        """Number of the shard."""

    @property
    def file_bytes(self) -> int:
        """Length of the shard's file."""

    def to_json(self) -> dict[str, Any]:
        """Return JSON data."""

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Return the entry that `to_json` was called on."""

    def to_bytes(self) -> bytes:
        """Return the entry for a binary record, which has the number of the shard."""

    @classmethod
    def from_bytes(cls, shard: int, data: bytes) -> Self:
        """Return the entry that `to_bytes` was called on."""


Result = TypeVar("Result", bound=Entry)


def line_of(entry: Result) -> bytes:
    """Return the line of an entry: a changed digit would else be another number."""
    data = json.dumps(entry.to_json(), separators=(",", ":")).encode()
    return _crc(data) + b" " + data + b"\n"


def _crc(data: bytes) -> bytes:
    return b"%08x" % zlib.crc32(data)


def parsed_line(line: bytes, kind: type[Result], where: str) -> Result:
    """Return the entry of a line of a journal.

    Parameters
    ----------
    line : bytes
    kind : type
        Class of the entry.
    where : str
        The line, for messages.

    Returns
    -------
    Entry

    Raises
    ------
    CorruptStoreError
        The line is damaged.
    """
    data = line.rstrip(b"\n")
    try:
        if not data.startswith(b"{"):  # lines up to 0.1 have no checksum
            checksum, _, data = data.partition(b" ")
            if checksum != _crc(data):
                raise ValueError("its checksum does not match")
        return kind.from_json(parse(data))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise CorruptStoreError(
            f"{where} is damaged ({error})", "start over with --overwrite"
        ) from None


class Journal(Generic[Result]):
    """The journal file, open for appending.

    Parameters
    ----------
    path : Path
        Created if it does not exist; an incomplete last line is cut off.
    kind : type
        Class of its entries: `ShardResult` for a conversion.
    others : iterable of Path
        Journals of other runs, which may be appending to them: only read.

    Attributes
    ----------
    finished : dict of int to Entry
        Entry of each finished shard.
    """

    def __init__(self, path: Path, kind: type[Result], others: Iterable[Path] = ()) -> None:
        self.finished: dict[int, Result] = {}
        self._file = open_to_append(path)
        try:
            for other in others:
                self.finished |= read_entries(other, kind)
            self._file.seek(0)
            self._file.truncate(_read_lines(self._file, path, kind, self.finished))
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, result: Result) -> None:
        """Record a finished shard, durably."""
        self._file.write(line_of(result))
        self._file.flush()
        os.fsync(self._file.fileno())
        self.finished[result.shard] = result


def read_entries(path: Path, kind: type[Result]) -> dict[int, Result]:
    """Read the complete lines of a journal, by shard; another process may be appending to it."""
    finished: dict[int, Result] = {}
    with open(open_regular(path), "rb") as file:
        _read_lines(file, path, kind, finished)
    return finished


def _read_lines(file: BinaryIO, path: Path, kind: type[Result], finished: dict[int, Result]) -> int:
    """Read the complete lines; return their length in bytes."""
    length = 0
    for place, line in enumerate(file, start=1):
        if not line.endswith(b"\n"):
            break
        result = parsed_line(line, kind, f"line {place} of the journal {path}")
        finished[result.shard] = result
        length += len(line)
    return length
