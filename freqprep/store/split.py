"""One finished split of a store: its small arrays, its coefficients, its pixels."""

from __future__ import annotations

import operator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from freqprep.allocation import keep_freed_memory
from freqprep.errors import (
    CorruptStoreError,
    MissingPackageError,
    RejectedRowError,
    ShardMissingError,
    StoreError,
    UsageError,
)
from freqprep.ragged import Ragged
from freqprep.spectrum import FREQUENCIES
from freqprep.spectrum.channels import CHANNELS, STORED_POSITION
from freqprep.spectrum.color import ycbcr_to_rgb
from freqprep.spectrum.dct import grid_of, inverse
from freqprep.spectrum.moments import Moments
from freqprep.spectrum.quantization import dequantize
from freqprep.storage.disk import FileEntry
from freqprep.store.cache import ChunkCache
from freqprep.store.keys import Keys
from freqprep.store.layout import shard_path
from freqprep.store.manifest import GROUP_DOCUMENT, hash_file, read_group_attributes, read_manifest
from freqprep.store.object_table import ObjectTable
from freqprep.store.plan import shard_count
from freqprep.store.rows import RowReader, Rows, row_numbers
from freqprep.store.schema import SplitAttributes, chunk_shape
from freqprep.store.selections import ChannelsLike, select
from freqprep.store.shard import ShardFile

if TYPE_CHECKING:
    import xarray

_RESTORE = "restore the split from a copy, or convert again with --overwrite"


class Split:
    """One finished split of a store.

    Channels are always asked for and given in raster order: Y then Cb then Cr, 8 * v + h inside
    each. Reading whole runs of rows is fast; single rows in random order are slow, because a
    chunk holds 128 images (the last chunks decoded are kept, up to 256 MB).

    Attributes
    ----------
    path : Path
    attributes : SplitAttributes
    manifest : Manifest
    content_id : str
        SHA-256 of the manifest: the identity of the data.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest, self.content_id = read_manifest(path)
        self.attributes = SplitAttributes.from_dict(self.manifest.attributes)
        published = read_group_attributes(path)
        if published.get("content_id") != self.content_id:
            raise CorruptStoreError(
                f"the manifest of {path} is not the one that was published "
                f"({self.content_id[:12]} instead of {str(published.get('content_id'))[:12]})",
                _RESTORE,
            )
        if published != {**self.manifest.attributes, "content_id": self.content_id}:
            raise CorruptStoreError(
                f"{path / GROUP_DOCUMENT} has other attributes than the manifest", _RESTORE
            )
        self._cache = ChunkCache()
        keep_freed_memory()

    def __len__(self) -> int:
        return self.attributes.images

    def __repr__(self) -> str:
        return f"Split({str(self.path)!r}, images={len(self)}, content_id={self.content_id[:12]})"

    def array(self, name: str) -> np.ndarray:
        """A whole small array by its name in the store (docs/format.md lists them).

        Its files are checked against the manifest first: a chunk that is not there would read
        as zeros, and metadata has no checksum of its own.
        """
        import zarr  # the slowest import of all: the loader and the selections need none of it
        from zarr.storage import LocalStore

        self._check_files(name)
        try:
            array = zarr.open_array(LocalStore(self.path / name, read_only=True), mode="r")
            return np.asarray(array[...])
        except Exception as error:  # checksum and decoding errors of many types
            raise CorruptStoreError(
                f"array {name} of {self.path} cannot be read: {error}", _RESTORE
            ) from None

    def _check_files(self, name: str) -> None:
        files = [path for path in self.manifest.files if path.startswith(f"{name}/")]
        if not files:
            raise StoreError(f"{self.path} has no array {name!r}")
        for path in files:
            try:
                found = hash_file(self.path / path)
            except FileNotFoundError:
                raise ShardMissingError(f"{self.path / path} is missing", _RESTORE) from None
            if found != self.manifest.files[path]:
                raise CorruptStoreError(
                    f"{self.path / path} is not what the manifest says", _RESTORE
                )

    def ragged(self, name: str) -> Ragged:
        """An array and its offsets: ``key``, ``defect``, ``note``, ``mask``, ``annotation``."""
        return Ragged(self.array(name), self.array(f"{name}_offset"))

    @cached_property
    def labels(self) -> np.ndarray:
        """Index into ``attributes.class_ids``; -1 = none. int64, shape (n,)."""
        return self.array("label")

    @cached_property
    def valid(self) -> np.ndarray:
        """False where the image was rejected. bool, shape (n,)."""
        return self.array("valid")

    @cached_property
    def sizes(self) -> np.ndarray:
        """Height and width of the valid pixels; 0 where rejected. int32, shape (n, 2)."""
        return self.array("size")

    @cached_property
    def keys(self) -> Keys:
        """Key of each row: ``class/file`` or COCO's file name."""
        return Keys(self.ragged("key"))

    @cached_property
    def steps(self) -> np.ndarray:
        """Quantization step of each channel in raster order. float32, shape (192,)."""
        return self.array("step")[list(STORED_POSITION)]

    @property
    def has_boxes(self) -> bool:
        """Whether the images' objects are stored with them."""
        return f"box/{GROUP_DOCUMENT}" in self.manifest.files

    @cached_property
    def objects(self) -> ObjectTable:
        """The images' annotated objects.

        Raises
        ------
        UsageError
            The source had none.
        """
        if not self.has_boxes:
            raise UsageError(
                f"{self.path} has no annotated objects", "convert a source that has them: COCO"
            )
        classes = len(self.attributes.class_ids)
        return ObjectTable.of_arrays(self.array, len(self), classes, self.path)

    @cached_property
    def stored_moments(self) -> Moments:
        """Sums of codes over the blocks of valid rows that hold a valid pixel, stored order."""
        totals = (self.array(f"moment_{name}") for name in ("total", "total_squares"))
        return Moments(int(self.blocks.sum()), *totals)

    @cached_property
    def moments(self) -> Moments:
        """`stored_moments` in raster order."""
        stored, order = self.stored_moments, list(STORED_POSITION)
        return Moments(stored.count, stored.total[order], stored.total_squares[order])

    @cached_property
    def blocks(self) -> np.ndarray:
        """Blocks of one component that hold a valid pixel. int64, shape (n,)."""
        height, width = self.sizes.astype(np.int64).T
        return np.multiply(*grid_of(height, width))

    _defects = cached_property(lambda split: split.ragged("defect"))

    def defect(self, row: int) -> str:
        """Why a row was rejected; empty for a valid row."""
        return str(self._defects.bytes_at(row), "utf-8", "replace")

    def read_codes(self, rows: Rows, channels: ChannelsLike = None) -> np.ndarray:
        """Stored integers.

        Parameters
        ----------
        rows : int, list, range, slice or array
            Rows, in any order, repeats allowed; negative ones count from the end. A boolean
            array of length ``len(split)`` masks.
        channels : str, int, sequence or Selection, optional
            As `freqprep.channels` takes it, saved names and counts too; all 192 in raster order
            by default.

        Returns
        -------
        ndarray of int8 or int16, shape (n, C, rows, columns)
            Channels in the order asked for. A view of channel-major memory, not C-contiguous.

        Raises
        ------
        RejectedRowError
            One of the rows has no image.
        IndexError
            A row is outside the split.
        ShardMissingError, CorruptStoreError
            The stored bytes are not what was written.
        """
        indices = row_numbers(rows, len(self), self.path)
        self._refuse_rejected(indices)
        reader = RowReader(self.open_shard, self._cache, self.attributes.encoding)
        return reader.read(indices, select(channels, self))

    def read(self, rows: Rows, channels: ChannelsLike = None) -> np.ndarray:
        """Coefficients: ``read_codes`` times the steps, float32; same parameters and errors."""
        selection = select(channels, self)
        codes = self.read_codes(rows, selection)
        return dequantize(codes, self.steps[list(selection.indices)])

    def image(self, row: int, channels: ChannelsLike = None) -> np.ndarray:
        """A row as pixels, from the chosen channels; the others count as zero.

        Returns
        -------
        ndarray of uint8, shape (h, w, 3)
            RGB.
        """
        selection = select(channels, self)
        height, width = (int(n) for n in self.sizes[operator.index(row)])
        grid_rows, grid_columns = grid_of(height, width)
        coefficients = np.zeros((CHANNELS, *self.attributes.encoding.geometry.grid), np.float32)
        coefficients[list(selection.indices)] = self.read([operator.index(row)], selection)[0]
        components = coefficients[:, :grid_rows, :grid_columns].reshape(
            -1, FREQUENCIES, grid_rows, grid_columns
        )
        ycbcr = np.stack([inverse(component)[:height, :width] for component in components], axis=-1)
        return np.clip(np.rint(ycbcr_to_rgb(ycbcr)), 0, 255).astype(np.uint8)

    def to_xarray(self) -> xarray.Dataset:
        """The split as a data set of xarray, its coefficients read when they are used.

        Returns
        -------
        xarray.Dataset
            ``coefficients``, float32 of (image, channel, row, column): what `read` gives, NaN
            where an image was rejected. Channels in raster order by name, with ``component``,
            ``v``, ``h`` and ``step``; images with ``key``, ``label``, ``class_name`` (empty where
            there is none), ``valid`` and ``size``.

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

    def shard_entry(self, shard: int) -> FileEntry:
        """Length and hash of a shard's file, from the manifest."""
        relative = shard_path(self.path, shard).relative_to(self.path).as_posix()
        entry = self.manifest.files.get(relative)
        if entry is None:
            raise CorruptStoreError(f"the manifest of {self.path} does not list {relative}")
        return entry

    def open_shard(self, shard: int) -> ShardFile:
        """Open one shard's file, checked against the manifest."""
        images, _, rows, columns = chunk_shape(self.attributes.encoding.geometry)
        return ShardFile(
            shard_path(self.path, shard),
            (images, rows, columns),
            self.attributes.encoding.dtype,
            self.shard_entry(shard).file_bytes,
        )

    def _refuse_rejected(self, indices: np.ndarray) -> None:
        bad = indices[~self.valid[indices]]
        if bad.size:
            row = int(bad[0])
            raise RejectedRowError(
                f"row {row} ({self.keys[row]!r}) was rejected at conversion: {self.defect(row)}",
                "read only rows where split.valid is true",
            )
