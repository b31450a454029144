"""A split as an xarray data set with lazily read coefficients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray
from xarray.backends import BackendArray
from xarray.core import indexing

from freqprep.spectrum import BLOCK, COMPONENTS, FREQUENCIES
from freqprep.spectrum.channels import NAMES
from freqprep.store.schema import COEFFICIENTS, ROWS_PER_SHARD, SplitAttributes

Read = Callable[[np.ndarray, list[int]], np.ndarray]
"""Valid rows and raster indices of channels -> their coefficients, float32 (n, C, R, C)."""


def as_dataset(
    read: Read,
    attributes: SplitAttributes,
    content_id: str,
    *,
    keys: Sequence[str],
    labels: np.ndarray,
    valid: np.ndarray,
    sizes: np.ndarray,
    steps: np.ndarray,
) -> xarray.Dataset:
    """Build the data set of `Split.to_xarray` from the attributes and arrays of a split."""
    names = np.array([*attributes.class_names, ""], object)  # the last one for the label -1
    stored = np.sort(attributes.channels)
    frequency = stored % FREQUENCIES
    coefficients = _Coefficients(read, valid, stored, attributes.encoding.geometry.grid)
    lazy: Any = indexing.LazilyIndexedArray(coefficients)
    # A copy of the data set shares the reader; assigning to it loads the coefficients.
    data: Any = indexing.CopyOnWriteArray(lazy)
    dimensions = ("image", "channel", "row", "column")
    return xarray.Dataset(
        {COEFFICIENTS: xarray.Variable(dimensions, data, {"long_name": "DCT coefficient"})},
        {
            "image": np.arange(len(valid)),
            "channel": [NAMES[index] for index in stored],
            "component": ("channel", np.array(COMPONENTS)[stored // FREQUENCIES]),
            "v": ("channel", frequency // BLOCK),
            "h": ("channel", frequency % BLOCK),
            "step": ("channel", steps[stored]),
            "key": ("image", np.array([*keys, None], object)[:-1]),
            "label": ("image", labels),
            "class_name": ("image", names[labels]),
            "valid": ("image", valid),
            "side": ["height", "width"],
            "size": (("image", "side"), sizes),
        },
        {
            "split": attributes.split,
            "source_kind": attributes.source_kind,
            "precision": attributes.encoding.precision.name,
            "content_id": content_id,
        },
    )


class _Coefficients(BackendArray):
    """Coefficients of a split as an array for xarray, float32, NaN for rejected images."""

    def __init__(
        self, read: Read, valid: np.ndarray, stored: np.ndarray, grid: tuple[int, int]
    ) -> None:
        self.shape = (len(valid), len(stored), *grid)
        self.dtype = np.dtype(np.float32)
        self._read = read
        self._valid = valid
        self._stored = stored

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        support = indexing.IndexingSupport.OUTER
        return indexing.explicit_indexing_adapter(key, self.shape, support, self._outer)

    def _outer(self, key: tuple[int | slice | np.ndarray, ...]) -> np.ndarray:
        """Read with an index per axis: a number (which drops the axis), a slice or an array."""
        images, channels, rows, columns = (
            _kept(index, length) for index, length in zip(key, self.shape, strict=True)
        )
        image_numbers = np.arange(self.shape[0])[images]
        # Each channel is read once, however often the index repeats it.
        wanted, inverse = np.unique(self._stored[channels], return_inverse=True)
        grid = np.empty(self.shape[2:], bool)[rows][:, columns].shape
        out = np.full((len(image_numbers), len(inverse), *grid), np.nan, self.dtype)
        for part in _by_shard(image_numbers) if out.size else []:
            good = part[self._valid[image_numbers[part]]]
            if len(good):
                coefficients = self._read(image_numbers[good], wanted.tolist())
                out[good] = coefficients[:, inverse][:, :, rows][:, :, :, columns]
        return out[tuple(0 if isinstance(i, int | np.integer) else slice(None) for i in key)]


def _kept(index: int | slice | np.ndarray, length: int) -> slice | np.ndarray:
    """Return an index that keeps its axis."""
    if isinstance(index, int | np.integer):
        number = range(length)[index]
        return slice(number, number + 1)
    return index


def _by_shard(images: np.ndarray) -> list[np.ndarray]:
    """Return the positions of the images of each shard, shard after shard."""
    order = np.argsort(images, kind="stable")
    changes = np.flatnonzero(np.diff(images[order] // ROWS_PER_SHARD)) + 1
    return np.split(order, changes)
