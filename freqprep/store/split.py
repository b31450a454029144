"""A finished split of a store: its small arrays, coefficients and pixels."""

from __future__ import annotations

import operator
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from freqprep.allocation import keep_freed_memory
from freqprep.errors import (
    CorruptStoreError,
    MissingPackageError,
    RejectedRowError,
    UsageError,
)
from freqprep.ragged import Ragged
from freqprep.spectrum.channels import CHANNELS
from freqprep.spectrum.moments import Moments
from freqprep.spectrum.pixels import rgb_of
from freqprep.spectrum.quantization import dequantize
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import AnyPath, as_path
from freqprep.storage.ranged_file import RangedFile
from freqprep.store.cache import ChunkCache
from freqprep.store.cached_shards import CachedShards
from freqprep.store.keys import Keys
from freqprep.store.layout import shard_name
from freqprep.store.lazy_ragged import LazyRagged
from freqprep.store.manifest import GROUP_DOCUMENT, read_group_attributes, read_manifest
from freqprep.store.mapped_arrays import pickled, unpickled
from freqprep.store.object_table import ObjectTable
from freqprep.store.plan import shard_count
from freqprep.store.rows import RowBlocks, RowReader, Rows, row_numbers
from freqprep.store.schema import SplitAttributes, chunk_shape
from freqprep.store.selections import ChannelsLike, select
from freqprep.store.shard import ShardFile
from freqprep.store.shard_table import ShardTable
from freqprep.store.small_arrays import RESTORE, SmallFiles
from freqprep.store.split_arrays import SplitArrays
from freqprep.text.terminal import quoted

if TYPE_CHECKING:
    import xarray

_INDEXES_KEPT = 2**14
"""Indexes of shards in memory, at most: 50 MB, for two million images."""


class Split:
    """Finished split of a store.

    Channel indices are in raster order: Y then Cb then Cr, 8 * v + h inside each. Reading runs of
    rows is fast; single rows in random order are slow, because a chunk has 128 images (the chunks
    decoded last are cached, up to 256 MB).

    Attributes
    ----------
    path : Path or ObjectPath
    attributes : SplitAttributes
    manifest : Manifest
    content_id : str
        SHA-256 of the manifest, which identifies the data.
    shard_table : ShardTable
        Length and hash of each shard's file.
    arrays : SplitArrays
        The small arrays, to be read whole or in parts.
    """

    def __init__(self, path: str | AnyPath) -> None:
        self.path = path = as_path(path)
        self.manifest, self.content_id = read_manifest(path)
        self.attributes = SplitAttributes.from_dict(self.manifest.attributes)
        published = read_group_attributes(path)
        if published.get("content_id") != self.content_id:
            raise CorruptStoreError(
                f"the manifest of {path} is not the one that was published "
                f"({self.content_id[:12]} instead of {str(published.get('content_id'))[:12]})",
                RESTORE,
            )
        if published != {**self.manifest.attributes, "content_id": self.content_id}:
            raise CorruptStoreError(
                f"{path / GROUP_DOCUMENT} has other attributes than the manifest", RESTORE
            )
        small = SmallFiles(path, self.manifest, self.content_id)
        self.shard_table = ShardTable(small, self.shards)
        self.arrays = SplitArrays(small, self.attributes)
        self._cache = ChunkCache()
        self.shard_cache: CachedShards | None = None
        self._indexes: dict[int, np.ndarray] = {}  # of shards in a bucket
        keep_freed_memory()

    def __getstate__(self) -> dict[str, Any]:
        return {name: pickled(value) for name, value in self.__dict__.items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update((name, unpickled(value)) for name, value in state.items())

    def __len__(self) -> int:
        return self.attributes.images

    def __repr__(self) -> str:
        return f"Split({str(self.path)!r}, images={len(self)}, content_id={self.content_id[:12]})"

    def array(self, name: str) -> np.ndarray:
        """Read a small array.

        Its files are checked against the manifest: a missing chunk would read as zeros, and
        metadata has no checksum.

        Parameters
        ----------
        name : str
            Name of the array in the store; docs/format.md lists them.

        Returns
        -------
        ndarray

        Raises
        ------
        StoreError
            The split has no such array.
        ShardMissingError, CorruptStoreError
            A file is missing or damaged, or the array does not fit the split's attributes.
        """
        return self.arrays.whole(name)

    def ragged(self, name: str) -> Ragged:
        """Read a ragged array: ``key``, ``defect``, ``note``, ``mask`` or ``annotation``."""
        return Ragged(self.array(name), self.array(f"{name}_offset"))

    @cached_property
    def labels(self) -> np.ndarray:
        """Index into ``attributes.class_ids``, or -1 if there is none. int64, shape (n,)."""
        return self.arrays.column("label")

    @cached_property
    def valid(self) -> np.ndarray:
        """Whether each image was converted, not rejected. bool, shape (n,)."""
        return self.arrays.column("valid")

    @cached_property
    def sizes(self) -> np.ndarray:
        """Height and width of the valid pixels; 0 if rejected. int32, shape (n, 2)."""
        return self.arrays.column("size")

    @cached_property
    def key_rows(self) -> Ragged | LazyRagged:
        """Key of each row, as bytes."""
        return self.arrays.texts("key")

    @cached_property
    def keys(self) -> Keys:
        """Key of each row: ``class/file``, or COCO's file name."""
        return Keys(self.key_rows)

    @cached_property
    def steps(self) -> np.ndarray:
        """Quantization step, raster order; NaN for channels not stored. float32, shape (192,)."""
        steps = np.full(CHANNELS, np.nan, np.float32)
        steps[list(self.attributes.channels)] = self.array("step")
        return steps

    @property
    def has_boxes(self) -> bool:
        """Whether the split has annotated objects."""
        return f"box/{GROUP_DOCUMENT}" in self.manifest.files

    @cached_property
    def objects(self) -> ObjectTable:
        """Annotated objects of the images.

        Raises
        ------
        UsageError
            The split has none.
        """
        if not self.has_boxes:
            raise UsageError(
                f"{self.path} has no annotated objects", "convert a source that has them: coco"
            )
        classes = len(self.attributes.class_ids)
        return ObjectTable.of_arrays(self.array, len(self), classes, self.path)

    @cached_property
    def stored_moments(self) -> Moments:
        """Moments of the codes over all blocks with a valid pixel, channels in stored order."""
        totals = (self.array(f"moment_{name}") for name in ("total", "total_squares"))
        return Moments(self.blocks.sum(), *totals)

    @cached_property
    def moments(self) -> Moments:
        """`stored_moments`, channels in raster order; 0 for channels not stored."""
        stored, order = self.stored_moments, list(self.attributes.channels)
        sums = np.zeros((2, CHANNELS), np.int64)
        sums[:, order] = stored.total, stored.total_squares
        return Moments(stored.count, *sums)

    @property
    def blocks(self) -> RowBlocks:
        """Number of blocks of one component with a valid pixel, by rows."""
        return RowBlocks(self.sizes)

    _defects = cached_property(lambda split: split.arrays.texts("defect"))

    def defect(self, row: int) -> str:
        """Return why a row was rejected; empty for a valid row."""
        return str(self._defects.bytes_at(row), "utf-8", "replace")

    def read_codes(self, rows: Rows, channels: ChannelsLike = None) -> np.ndarray:
        """Read stored integers.

        Parameters
        ----------
        rows : int, list, range, slice or array
            Rows in any order, with repeats; negative ones count from the end. A boolean array of
            length ``len(split)`` is a mask.
        channels : str, int, sequence or Selection, optional
            Channels as in `freqprep.channels`, saved names and counts included; all that are
            stored, in raster order, by default.

        Returns
        -------
        ndarray of int8 or int16, shape (n, C, rows, columns)
            Channels in the order given. A view of channel-major memory, not C-contiguous.

        Raises
        ------
        RejectedRowError
            A row has no image.
        IndexError
            A row is outside the split.
        UnknownChannelError
            A channel does not exist, or is not stored.
        ShardMissingError, CorruptStoreError
            A shard is missing or damaged.
        """
        indices = row_numbers(rows, len(self), self.path)
        self._refuse_rejected(indices)
        reader = RowReader(self.open_shard, self._cache, self.attributes)
        return reader.read(indices, select(channels, self))

    def read(self, rows: Rows, channels: ChannelsLike = None) -> np.ndarray:
        """Read coefficients: codes times their steps.

        Parameters and errors are those of `read_codes`.

        Returns
        -------
        ndarray of float32, shape (n, C, rows, columns)
        """
        selection = select(channels, self)
        codes = self.read_codes(rows, selection)
        return dequantize(codes, self.steps[list(selection.indices)])

    def image(self, row: int, channels: ChannelsLike = None) -> np.ndarray:
        """Reconstruct the pixels of a row from channels; other channels are zero.

        Parameters
        ----------
        row : int
        channels : str, int, sequence or Selection, optional
            Channels as in `read_codes`.

        Returns
        -------
        ndarray of uint8, shape (h, w, 3)
            RGB.
        """
        selection = select(channels, self)
        height, width = (int(n) for n in self.sizes[operator.index(row)])
        coefficients = np.zeros((CHANNELS, *self.attributes.encoding.geometry.grid), np.float32)
        coefficients[list(selection.indices)] = self.read([operator.index(row)], selection)[0]
        return rgb_of(coefficients, height, width)

    def to_xarray(self) -> xarray.Dataset:
        """Return the split as an xarray data set with lazily read coefficients.

        Returns
        -------
        xarray.Dataset
            ``coefficients``, float32 of (image, channel, row, column), as of `read`, NaN for
            rejected images. Channels stored, in raster order by name, with ``component``, ``v``,
            ``h`` and ``step``; images with ``key``, ``label``, ``class_name`` (empty without a
            class), ``valid`` and ``size``.

        Raises
        ------
        MissingPackageError
            xarray is not installed.
        """
        try:
            from freqprep.store.xarray_view import as_dataset
        except ImportError as error:
            raise MissingPackageError(
                f"xarray cannot be imported: {error}", "pip install 'freqprep[xarray]'"
            ) from None
        return as_dataset(
            self.read,
            self.attributes,
            self.content_id,
            keys=self.keys,
            labels=self.labels,
            valid=self.valid,
            sizes=self.sizes,
            steps=self.steps,
        )

    @property
    def shards(self) -> int:
        """Number of shards."""
        return shard_count(len(self))

    def open_shard(self, shard: int, file: RangedFile | None = None) -> ShardFile:
        """Open the file of a shard, or its content; the length must be the manifest's."""
        file_bytes = self.shard_table.file_bytes(shard)
        kept = file is None and self.shard_cache is None and isinstance(self.path, ObjectPath)
        if file is None and self.shard_cache is not None:
            file = self.shard_cache.open(shard, file_bytes)
        images, _, rows, columns = chunk_shape(self.attributes.encoding.geometry)
        opened = ShardFile(
            self.path / shard_name(shard),
            (images, rows, columns),
            len(self.attributes.channels),
            self.attributes.encoding.dtype,
            file_bytes,
            file,
            self._indexes.get(shard) if kept else None,
        )
        if kept:
            if len(self._indexes) >= _INDEXES_KEPT:
                self._indexes.clear()
            self._indexes[shard] = opened.entries
        return opened

    def _refuse_rejected(self, indices: np.ndarray) -> None:
        bad = indices[~self.valid[indices]]
        if bad.size:
            row = int(bad[0])
            raise RejectedRowError(
                f"row {row} ({quoted(self.keys[row])}) was rejected: {self.defect(row)}",
                "read only rows where split.valid is true",
            )
