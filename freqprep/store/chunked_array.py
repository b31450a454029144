"""A small array of a large split, read a chunk at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from freqprep.errors import CorruptStoreError, StoreError
from freqprep.storage.disk import FileEntry
from freqprep.storage.paths import AnyPath
from freqprep.store.manifest import GROUP_DOCUMENT
from freqprep.store.small_arrays import RESTORE, decoded, read_checked

_MOST_CHUNK_BYTES = 2**27
_CHUNKS_KEPT = 2


class ChunkedArray:
    """An array whose first axis is cut into chunks, each a file that the manifest lists.

    Nothing is allocated that is larger than a chunk, and there are no more chunks than files.

    Parameters
    ----------
    split_folder : Path or ObjectPath
    files : mapping of str to FileEntry
        Files of the split, from its manifest.
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

    def __init__(self, split_folder: AnyPath, files: Mapping[str, FileEntry], name: str) -> None:
        self._folder, self._files, self._name = split_folder, files, name
        path = f"{name}/{GROUP_DOCUMENT}"
        if path not in files:
            raise StoreError(f"{split_folder} has no array {name!r}")
        self._document = read_checked(split_folder / path, files[path])
        try:
            self.shape, self._chunk, self.dtype = _layout(json.loads(self._document))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise self._corrupt(f"has a document that cannot be read: {error}") from None
        self._chunks = -(-self.shape[0] // self._chunk)
        listed = sum(file.startswith(f"{name}/c/") for file in files)
        if listed != self._chunks:
            raise self._corrupt(f"has {listed} chunks, and {self._chunks} are needed")
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
        key = "/".join(["c", str(chunk), *["0"] * (len(self.shape) - 1)])
        path = f"{self._name}/{key}"
        if path not in self._files:
            raise self._corrupt(f"lacks {key} in the manifest")
        data = read_checked(self._folder / path, self._files[path])
        first = chunk * self._chunk
        rows = slice(first, min(first + self._chunk, self.shape[0]))
        files = {GROUP_DOCUMENT: self._document, key: data}
        return decoded(files, rows, str(self))

    def _corrupt(self, what: str) -> CorruptStoreError:
        return CorruptStoreError(f"{self} {what}", RESTORE)

    def __repr__(self) -> str:
        return f"array {self._name} of {self._folder}"


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


def _layout(document: dict[str, Any]) -> tuple[tuple[int, ...], int, np.dtype]:
    """Return shape, rows of a chunk and type, as Zarr's document states them."""
    shape = tuple(int(length) for length in document["shape"])
    chunk = tuple(int(length) for length in document["chunk_grid"]["configuration"]["chunk_shape"])
    dtype = np.dtype(str(document["data_type"]))
    if len(shape) != len(chunk) or chunk[1:] != shape[1:] or min(chunk) < 1 or min(shape) < 0:
        raise ValueError("its chunks are not parts of the first axis")
    if np.prod(chunk, dtype=object) * dtype.itemsize > _MOST_CHUNK_BYTES:
        raise ValueError(f"chunks of {chunk}")
    return shape, chunk[0], dtype
