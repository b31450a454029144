"""Small arrays of a split in the form that its size asks for: whole, in parts, or mapped."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from freqprep.ragged import Ragged
from freqprep.storage.paths import AnyPath
from freqprep.store.chunked_array import ChunkedArray, WholeArray
from freqprep.store.lazy_ragged import LazyRagged
from freqprep.store.manifest import Manifest
from freqprep.store.mapped_arrays import mapped_copy
from freqprep.store.small_arrays import read_array


@dataclass(frozen=True)
class SplitArrays:
    """Small arrays of a split; errors are those of `Split.array`.

    Attributes
    ----------
    path : Path or ObjectPath
        Folder of the split.
    manifest : Manifest
    content_id : str
    """

    path: AnyPath
    manifest: Manifest
    content_id: str

    def whole(self, name: str) -> np.ndarray:
        """Read an array into memory."""
        return read_array(self.path, self.manifest.files, name)

    def in_parts(self, name: str) -> ChunkedArray | WholeArray:
        """Return an array to be read in parts: of a large split a chunk at a time."""
        if self.manifest.two_levels:
            return ChunkedArray(self.path, self.manifest.files, name)
        return WholeArray(self.whole(name))

    def column(self, name: str) -> np.ndarray:
        """Return an array with a row an image, of a large split mapped from a copy."""
        if self.manifest.two_levels:
            array = ChunkedArray(self.path, self.manifest.files, name)
            return mapped_copy(array, name, self.content_id)
        return self.whole(name)

    def texts(self, name: str) -> Ragged | LazyRagged:
        """Return a ragged array of the images, of a large split read as rows are asked for."""
        offset = f"{name}_offset"
        if self.manifest.two_levels:
            values, offsets = (
                ChunkedArray(self.path, self.manifest.files, part) for part in (name, offset)
            )
            return LazyRagged(values, offsets)
        return Ragged(self.whole(name), self.whole(offset))
