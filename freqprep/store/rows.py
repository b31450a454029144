"""Rows of a split: their numbers, and their codes from the shards that have them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from freqprep.spectrum.channels import Selection
from freqprep.spectrum.dct import grid_of
from freqprep.storage.paths import AnyPath
from freqprep.store.cache import ChunkCache
from freqprep.store.schema import ROWS_PER_SHARD, SplitAttributes
from freqprep.store.shard import ShardFile

_ROWS_AT_ONCE = 2**20

Rows = int | slice | range | Sequence[int] | np.ndarray


def row_numbers(rows: Rows, count: int, path: AnyPath) -> np.ndarray:
    """Return rows as numbers from 0, in the order given.

    Parameters
    ----------
    rows : int, list, range, slice or array
        Rows as in `Split.read_codes`.
    count : int
        Number of rows of the split.
    path : Path or ObjectPath
        Path of the split, for messages.

    Returns
    -------
    ndarray of int64, shape (n,)

    Raises
    ------
    IndexError
        A row is outside the split, or a mask is not of its length.
    TypeError
        The rows are not whole numbers.
    """
    if isinstance(rows, slice):
        rows = range(*rows.indices(count))
    indices = np.asarray(rows)
    if indices.dtype == bool:
        if indices.shape != (count,):
            raise IndexError(f"a mask of {indices.shape} rows for a split of {count}")
        indices = np.flatnonzero(indices)
    if indices.ndim > 1 or (indices.size and not np.issubdtype(indices.dtype, np.integer)):
        raise TypeError(f"rows are whole numbers, not {indices.dtype} of {indices.ndim} axes")
    indices = np.atleast_1d(indices).astype(np.int64)
    outside = indices[(indices < -count) | (indices >= count)]
    if outside.size:
        raise IndexError(f"row {outside[0]} is outside 0..{count - 1} of {path}")
    return np.where(indices < 0, indices + count, indices)


class RowBlocks:
    """Number of blocks of one component with a valid pixel of each image, computed when asked for.

    Parameters
    ----------
    sizes : ndarray of int, shape (n, 2)
        Height and width; 0 if rejected.
    """

    def __init__(self, sizes: np.ndarray) -> None:
        self._sizes = sizes

    def __getitem__(self, rows: Rows) -> np.ndarray:
        """Return the numbers of some rows, int64."""
        height, width = np.moveaxis(self._sizes[rows].astype(np.int64), -1, 0)
        blocks: np.ndarray = np.multiply(*grid_of(height, width))
        return blocks

    def sum(self) -> int:
        """Return the number of all."""
        parts = range(0, len(self._sizes), _ROWS_AT_ONCE)
        return sum(int(self[first : first + _ROWS_AT_ONCE].sum()) for first in parts)


@dataclass(frozen=True)
class RowReader:
    """Reader of any rows and channels; whole shards are decoded right into the result.

    Attributes
    ----------
    open_shard : callable
        Function that opens a shard by its number.
    cache : ChunkCache
        Cache of the chunks that single rows were read from.
    attributes : SplitAttributes
    """

    open_shard: Callable[[int], ShardFile]
    cache: ChunkCache
    attributes: SplitAttributes

    def read(self, rows: np.ndarray, selection: Selection) -> np.ndarray:
        """Read codes of row numbers as of `row_numbers`; see `Split.read_codes`."""
        # Channel-major in memory, so that a whole chunk is decoded right into the result.
        shape = (len(selection), len(rows), *self.attributes.encoding.geometry.grid)
        out = np.empty(shape, self.attributes.encoding.dtype)
        column = {self.attributes.positions[index]: i for i, index in enumerate(selection.indices)}
        shards = rows // ROWS_PER_SHARD
        for shard in np.unique(shards).tolist():
            targets = np.flatnonzero(shards == shard)
            to, take = _run(targets), _run(rows[targets] % ROWS_PER_SHARD)
            all_rows = isinstance(take, slice) and take == slice(0, ROWS_PER_SHARD)
            if isinstance(to, slice) and all_rows:
                self._read_all_rows(shard, {p: out[i, to] for p, i in column.items()})
                continue
            keep = len(targets) * 2 < ROWS_PER_SHARD  # single rows come back for more
            for position, chunk in self._chunks(shard, list(column), keep):
                out[column[position], to] = chunk[take]
        return out.transpose(1, 0, 2, 3)

    def _read_all_rows(self, shard: int, targets: dict[int, np.ndarray]) -> None:
        """Decode whole chunks of a shard, each into its target array."""
        with self.open_shard(shard) as file:
            for _ in file.read(list(targets), targets.__getitem__):
                pass

    def _chunks(
        self, shard: int, positions: list[int], keep: bool
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Yield chunks of a shard from the cache or from disk; each is valid until the next."""
        missing = []
        for position in positions:
            chunk = self.cache.get((shard, position))
            if chunk is None:
                missing.append(position)
            else:
                yield position, chunk
        if not missing:
            return
        with self.open_shard(shard) as file:
            for position, chunk in file.read(missing):
                if keep:
                    self.cache.put((shard, position), chunk.copy())
                yield position, chunk


def _run(indices: np.ndarray) -> slice | np.ndarray:
    """Return indices as a slice if they are one run, so that NumPy copies blocks."""
    first = int(indices[0])
    if np.array_equal(indices, np.arange(first, first + len(indices))):
        return slice(first, first + len(indices))
    return indices
