"""What is known of each finished shard, one JSON line a shard, appended and synced.

The journal lives beside the unfinished split and is not part of the store. A line that a crash
tore off is dropped; its shard is then written again, to the same bytes.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from freqprep.errors import CorruptStoreError
from freqprep.spectrum.channels import CHANNELS
from freqprep.spectrum.moments import Moments

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
    """What was learnt of each image of a shard (or of a whole split), one entry a row.

    Attributes
    ----------
    valid : ndarray of bool, shape (rows,)
    size, source_size : ndarray of int32, shape (rows, 2)
        Height and width: of the valid pixels stored, and of the decoded image. 0 if rejected.
    orientation : ndarray of uint8, shape (rows,)
        EXIF orientation that was applied; 1 = none.
    source_bytes : ndarray of int64, shape (rows,)
        Bytes of the source file.
    saturated : ndarray of int32, shape (rows,)
        Codes that were clipped.
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
        """All rows rejected, until filled in."""
        columns = {
            name: np.zeros((rows, *shape), dtype) for name, (dtype, shape) in _ROW_COLUMNS.items()
        }
        columns["orientation"][:] = 1
        return cls(**columns)

    @classmethod
    def concatenate(cls, parts: list[RowResults]) -> RowResults:
        """Rows of several shards, one after the other."""
        return cls(
            **{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)}
        )

    def rows(self, rows: range) -> RowResults:
        """A run of rows."""
        part = slice(rows.start, rows.stop)
        return RowResults(**{f.name: getattr(self, f.name)[part] for f in fields(self)})


@dataclass(frozen=True)
class ShardResult:
    """A finished shard.

    Attributes
    ----------
    shard : int
    sha256 : str
        Of the shard's file.
    file_bytes : int
        Length of the file.
    rows : RowResults
    moments : Moments
        In stored channel order.
    defects, notes : dict of int to str
        Row -> why it was rejected; row -> what to know about a converted image.
    """

    shard: int
    sha256: str
    file_bytes: int
    rows: RowResults
    moments: Moments
    defects: dict[int, str] = field(default_factory=dict)
    notes: dict[int, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As JSON data; floats survive exactly."""
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
        """From what `to_json` gave."""
        columns = {
            name: np.array(data["rows"][name], dtype).reshape(-1, *shape)
            for name, (dtype, shape) in _ROW_COLUMNS.items()
        }
        count, total, total_squares = data["moments"]
        return cls(
            shard=data["shard"],
            sha256=data["sha256"],
            file_bytes=data["bytes"],
            rows=RowResults(**columns),
            moments=Moments(
                count,
                np.array(total, np.int64).reshape(CHANNELS),
                np.array(total_squares, np.int64).reshape(CHANNELS),
            ),
            defects={int(row): text for row, text in data["defects"].items()},
            notes={int(row): text for row, text in data["notes"].items()},
        )


class Journal:
    """The journal file, open for appending.

    Parameters
    ----------
    path : Path
        Created where it is not there; a torn last line is cut off.
    """

    def __init__(self, path: Path) -> None:
        self.finished: dict[int, ShardResult] = {}
        self._file = open(path, "a+b")  # noqa: SIM115 - closed by __exit__
        try:
            self._file.truncate(self._read_lines(path))
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _read_lines(self, path: Path) -> int:
        """Take in the lines that are whole; their length in bytes."""
        self._file.seek(0)
        length = 0
        for number, line in enumerate(self._file, start=1):
            if not line.endswith(b"\n"):
                break
            try:
                result = ShardResult.from_json(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
                raise CorruptStoreError(
                    f"line {number} of the journal {path} is damaged ({error})",
                    "start over with --overwrite",
                ) from None
            self.finished[result.shard] = result
            length += len(line)
        return length

    def append(self, result: ShardResult) -> None:
        """Record a finished shard; on return it is on disk."""
        line = json.dumps(result.to_json(), separators=(",", ":"))
        self._file.write(line.encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.finished[result.shard] = result
