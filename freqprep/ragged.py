"""Ragged arrays: rows of different lengths as two flat arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

_ROWS_AT_ONCE = 4096
_ROWS_OF_A_BLOCK = 2**16


@dataclass(frozen=True)
class Ragged:
    """Sequence of one-dimensional rows, stored flat.

    Attributes
    ----------
    values : ndarray, shape (total, ...)
        All rows, one after the other.
    offsets : ndarray of int64, shape (rows + 1,)
        Row ``i`` is ``values[offsets[i]:offsets[i + 1]]``; rising from 0 to ``len(values)``.
    """

    values: np.ndarray
    offsets: np.ndarray

    def __repr__(self) -> str:
        return f"Ragged({len(self)} rows, {len(self.values)} values of {self.values.dtype})"

    @classmethod
    def of_bytes(cls, rows: Iterable[bytes]) -> Ragged:
        """Pack byte strings; ``values`` is uint8."""
        rows = list(rows)
        offsets = _offsets([len(row) for row in rows])
        return cls(np.frombuffer(b"".join(rows), dtype=np.uint8), offsets)

    @classmethod
    def of_lengths(cls, values: np.ndarray, lengths: Iterable[int]) -> Ragged:
        """Split flat ``values`` into rows of the given lengths."""
        ragged = cls(values, _offsets(lengths))
        if ragged.offsets[-1] != len(values):
            raise ValueError(
                f"row lengths add up to {ragged.offsets[-1]}, but there are {len(values)} values"
            )
        return ragged

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> np.ndarray:
        if not -len(self) <= row < len(self):
            raise IndexError(f"row {row} is outside 0..{len(self) - 1}")
        row %= len(self)
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[row] for row in range(len(self)))

    def blocks(self) -> Iterator[Ragged]:
        """Yield all rows, some at a time; they share memory with these."""
        for first in range(0, len(self), _ROWS_OF_A_BLOCK):
            edges = self.offsets[first : first + _ROWS_OF_A_BLOCK + 1]
            yield Ragged(self.values[edges[0] : edges[-1]], edges - edges[0])

    def bytes_at(self, row: int) -> bytes:
        """Return a row as ``bytes`` (for uint8 values)."""
        return self[row].tobytes()

    def take(self, rows: np.ndarray) -> Ragged:
        """Copy some rows, in the given order, to a new ``Ragged`` (of one-dimensional values)."""
        rows = np.asarray(rows, dtype=np.int64)
        # Only these rows' offsets: a shard of a large split takes a few of millions.
        starts, stops = self.offsets[:-1][rows], self.offsets[1:][rows]
        offsets = _offsets(stops - starts)
        width = self.values.itemsize
        # Byte slices, not an index array: that would take 8 bytes for each byte of a long text.
        data = np.ascontiguousarray(self.values).view(np.uint8).data
        taken = np.empty(offsets[-1] * width, np.uint8)
        # Some rows at a time: the slices of all would take 300 bytes a row.
        for first in range(0, len(rows), _ROWS_AT_ONCE):
            part = slice(first, first + _ROWS_AT_ONCE)
            begins, ends = ((edges[part] * width).tolist() for edges in (starts, stops))
            joined = b"".join(data[b:e] for b, e in zip(begins, ends, strict=True))
            begin = int(offsets[first]) * width
            taken[begin : begin + len(joined)] = np.frombuffer(joined, np.uint8)
        return Ragged(taken.view(self.values.dtype), offsets)


def _offsets(lengths: Iterable[int]) -> np.ndarray:
    lengths = np.asarray(lengths if isinstance(lengths, np.ndarray) else list(lengths), np.int64)
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
