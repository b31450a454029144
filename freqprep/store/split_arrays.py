"""Small arrays of a split in the form that its size asks for: whole, in parts, or mapped.

Whatever the form, an array is compared with the split's attributes before its values are read.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from freqprep.errors import CorruptStoreError, StoreError
from freqprep.ragged import Ragged
from freqprep.store.array_chunks import array_layout, decoded, document_name
from freqprep.store.chunked_array import ChunkedArray, WholeArray
from freqprep.store.lazy_ragged import LazyRagged
from freqprep.store.mapped_arrays import mapped_copy
from freqprep.store.schema import IMAGE_ARRAYS, OBJECT_ARRAYS, SplitAttributes
from freqprep.store.small_arrays import RESTORE, SmallFiles

_SPECS = IMAGE_ARRAYS | OBJECT_ARRAYS


class SplitArrays:
    """Small arrays of a split; errors are those of `Split.array`.

    Parameters
    ----------
    files : SmallFiles
    attributes : SplitAttributes

    Attributes
    ----------
    lengths : mapping of str to int
        Lengths of the dimensions that the attributes state, by name.
    """

    def __init__(self, files: SmallFiles, attributes: SplitAttributes) -> None:
        self._files = files
        self.lengths: Mapping[str, int] = {
            "image": attributes.images,
            "image_edge": attributes.images + 1,
            "channel": len(attributes.channels),
            "side": 2,
            "box_side": 4,
        }

    def whole(self, name: str) -> np.ndarray:
        """Read an array into memory."""
        files, prefix, document = self._files, f"{name}/", document_name(name)
        names = [path for path in files.listed if path.startswith(prefix)]
        if document not in names:
            raise StoreError(f"{files.folder} has no array {name!r}")
        content = dict(zip(names, files.read(names), strict=True))
        stored = {path.removeprefix(prefix): data for path, data in content.items()}
        what = f"array {name} of {files.folder}"
        layout = array_layout(content[document], sum(key[:2] == "c/" for key in stored), what)
        self._check(name, layout.shape, layout.dtype)
        return decoded(stored, range(layout.counts[0]), layout, what)

    def in_parts(self, name: str) -> ChunkedArray | WholeArray:
        """Return an array to be read in parts: of a large split a chunk at a time."""
        return self._chunked(name) if self._large else WholeArray(self.whole(name))

    def column(self, name: str) -> np.ndarray:
        """Return an array with a row an image, of a large split mapped from a copy."""
        if self._large:
            return mapped_copy(self._chunked(name), name, self._files.content_id)
        return self.whole(name)

    def texts(self, name: str) -> Ragged | LazyRagged:
        """Return a ragged array of the images, of a large split read as rows are asked for."""
        offset = f"{name}_offset"
        if self._large:
            return LazyRagged(self._chunked(name), self._chunked(offset))
        return Ragged(self.whole(name), self.whole(offset))

    @property
    def _large(self) -> bool:
        return self._files.manifest.two_levels

    def _chunked(self, name: str) -> ChunkedArray:
        array = ChunkedArray(self._files, name)
        self._check(name, array.shape, array.dtype)
        return array

    def _check(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
        """Refuse an array of another type, or of other lengths than the attributes state."""
        if (spec := _SPECS.get(name)) is None:
            return
        what = f"array {name} of {self._files.folder}"
        if dtype != spec.dtype or len(shape) != len(spec.dimensions):
            dimensions = ", ".join(spec.dimensions)
            raise CorruptStoreError(f"{what} is not of {spec.dtype} over {dimensions}", RESTORE)
        for dimension, length in zip(spec.dimensions, shape, strict=True):
            if self.lengths.get(dimension, length) != length:
                raise CorruptStoreError(
                    f"{what} has {length} along {dimension}, not {self.lengths[dimension]}",
                    RESTORE,
                )
