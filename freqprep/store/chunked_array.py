"""A small array of a large split, read a chunk at a time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from freqprep.errors import CorruptStoreError, StoreError
from freqprep.store.array_chunks import array_layout, chunk_name, decoded, document_name
from freqprep.store.small_arrays import RESTORE, SmallFiles

_CHUNKS_KEPT = 2


class ChunkedArray:
    """An array whose first axis is cut into chunks, each a file that the manifest lists.

    Nothing is allocated that is larger than a chunk, and there are no more chunks than files.

    Parameters
    ----------
    files : SmallFiles
        Files of the split.
    name : str

    Attributes
    ----------
    shape : tuple of int
    dtype : dtype

    Raises
    ------
    StoreError
        The split has no such array.
    CorruptStoreError
        Its document is damaged, or the manifest does not list as many chunks as it states.
    """

    def __init__(self, files: SmallFiles, name: str) -> None:
        self._files, self._name = files, name
        path = document_name(name)
        if path not in files.listed:
            raise StoreError(f"{files.folder} has no array {name!r}")
        (document,) = files.read([path])
        listed = sum(path.startswith(f"{name}/c/") for path in files.listed)
        self._layout = array_layout(document, listed, str(self))
        self.shape, chunk, self.dtype = self._layout[:3]
        if chunk[1:] != self.shape[1:]:
            raise self._corrupt("has chunks that are not parts of the first axis")
        self._chunk, self._chunks = chunk[0], -(-self.shape[0] // chunk[0])
        self._kept = lru_cache(_CHUNKS_KEPT)(self._read)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _kept=lru_cache(_CHUNKS_KEPT)(self._read))

    def __len__(self) -> int:
        return self.shape[0]

    def rows(self, first: int, stop: int) -> np.ndarray:
        """Return some rows; the chunks read last are kept."""
        chunks = range(first // self._chunk, -(-stop // self._chunk))
        parts = [
            self._kept(chunk)[max(first - chunk * self._chunk, 0) : stop - chunk * self._chunk]
            for chunk in chunks
        ]
        return np.concatenate([np.empty((0, *self.shape[1:]), self.dtype), *parts])

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield all rows, chunk by chunk; of an array without rows one block without rows."""
        if not self._chunks:
            return iter([np.empty(self.shape, self.dtype)])
        return map(self._read, range(self._chunks))

    def _read(self, chunk: int) -> np.ndarray:
        key = chunk_name([chunk, *[0] * (len(self.shape) - 1)])
        path = f"{self._name}/{key}"
        if path not in self._files.listed:
            raise self._corrupt(f"lacks {key} in the manifest")
        (data,) = self._files.read([path])
        return decoded({key: data}, range(chunk, chunk + 1), self._layout, str(self))

    def _corrupt(self, what: str) -> CorruptStoreError:
        return CorruptStoreError(f"{self} {what}", RESTORE)

    def __repr__(self) -> str:
        return f"array {self._name} of {self._files.folder}"


class WholeArray:
    """An array in memory that is read as a `ChunkedArray` is."""

    def __init__(self, values: np.ndarray) -> None:
        self._values, self.shape, self.dtype = values, values.shape, values.dtype

    def __len__(self) -> int:
        return len(self._values)

    def rows(self, first: int, stop: int) -> np.ndarray:
        """Return some rows."""
        return self._values[first:stop]

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield all rows."""
        return iter([self._values])
