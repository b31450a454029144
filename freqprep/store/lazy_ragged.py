"""A ragged array of a large split, read a part at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from freqprep.errors import CorruptStoreError
from freqprep.ragged import Ragged
from freqprep.store.chunked_array import ChunkedArray
from freqprep.store.small_arrays import RESTORE

_ROWS_AT_ONCE = 2**16


class LazyRagged:
    """Rows of different lengths; those that are asked for are read.

    Parameters
    ----------
    values, offsets : ChunkedArray
        As of `Ragged`.
    """

    def __init__(self, values: ChunkedArray, offsets: ChunkedArray) -> None:
        self._values, self._offsets = values, offsets

    def __len__(self) -> int:
        return max(len(self._offsets) - 1, 0)

    def __iter__(self) -> Iterator[np.ndarray]:
        for block in self.blocks():
            yield from block

    def bytes_at(self, row: int) -> bytes:
        """Return a row as ``bytes``; IndexError if there is none."""
        if not -len(self) <= row < len(self):
            raise IndexError(f"row {row} is outside 0..{len(self) - 1}")
        row %= len(self)
        return self._rows(row, row + 1).bytes_at(0)

    def blocks(self) -> Iterator[Ragged]:
        """Yield all rows, some at a time."""
        for first in range(0, len(self), _ROWS_AT_ONCE):
            yield self._rows(first, min(first + _ROWS_AT_ONCE, len(self)))

    def _rows(self, first: int, stop: int) -> Ragged:
        offsets = self._offsets.rows(first, stop + 1)
        begin, end = int(offsets[0]), int(offsets[-1])
        if begin < 0 or end > len(self._values) or (np.diff(offsets) < 0).any():
            raise CorruptStoreError(
                f"{self._offsets} does not cut its values into rows {first} to {stop - 1}", RESTORE
            )
        return Ragged(self._values.rows(begin, end), offsets - begin)
