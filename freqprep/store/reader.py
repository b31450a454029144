"""Reading a store: ``open_store(path)["train"].read(rows, channels)``."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
import zarr
from zarr.storage import LocalStore

from freqprep.errors import (
    CorruptStoreError,
    RejectedRowError,
    StoreError,
    UnknownSplitError,
    UsageError,
)
from freqprep.ragged import Ragged
from freqprep.spectrum import FREQUENCIES
from freqprep.spectrum.channels import CHANNELS, STORED_POSITION, Selection, channels
from freqprep.spectrum.color import ycbcr_to_rgb
from freqprep.spectrum.dct import grid_of, inverse
from freqprep.spectrum.moments import Moments
from freqprep.spectrum.quantization import dequantize
from freqprep.store.cache import ChunkCache
from freqprep.store.layout import shard_path
from freqprep.store.manifest import GROUP_DOCUMENT, MANIFEST, FileEntry, read_manifest
from freqprep.store.plan import shard_count
from freqprep.store.schema import ROWS_PER_SHARD, SplitAttributes, check_format
from freqprep.store.shard import ShardFile

Rows = int | slice | range | Sequence[int] | np.ndarray
ChannelsLike = str | Sequence[int | str] | Selection | None


def open_store(path: str | Path) -> Store:
    """Open a store for reading.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Store
        A mapping of split names to `Split`; unfinished splits are not in it.

    Raises
    ------
    StoreError
        There is no store, or it is not one of ours.
    FormatVersionError
        Its format is newer than this freqprep, or of another major version.
    """
    return Store(Path(path))


class Store(Mapping[str, "Split"]):
    """An open store: split name -> `Split`, sorted by name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not (path / GROUP_DOCUMENT).is_file():
            raise StoreError(
                f"{path} is not a store (it has no {GROUP_DOCUMENT})",
                "make one with `freqprep convert`",
            )
        try:
            group = zarr.open_group(LocalStore(path, read_only=True), mode="r")
        except Exception as error:  # zarr raises many types on a damaged document
            raise CorruptStoreError(f"{path / GROUP_DOCUMENT} cannot be read: {error}") from None
        check_format(dict(group.attrs))
        names = sorted(child.parent.name for child in path.glob(f"[!.]*/{MANIFEST}"))
        self._splits: dict[str, Split | None] = dict.fromkeys(names)

    def __getitem__(self, name: str) -> Split:
        if name not in self._splits:
            known = ", ".join(self._splits) or "none"
            raise UnknownSplitError(
                f"{self.path} has no finished split {name!r}", f"it has: {known}"
            )
        split = self._splits[name]
        if split is None:
            split = self._splits[name] = Split(self.path / name)
        return split

    def only(self, name: str | None) -> Split:
        """The named split, or the single one where no name is given."""
        if name is None and len(self) != 1:
            known = ", ".join(self._splits) or "none"
            raise UsageError(f"{self.path} has {len(self)} splits", f"name one of: {known}")
        return self[next(iter(self)) if name is None else name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._splits)

    def __len__(self) -> int:
        return len(self._splits)

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r}, splits={list(self._splits)})"


class Keys(Sequence[str]):
    """Keys of all rows as text; bytes that are not UTF-8 are kept as surrogate escapes."""

    def __init__(self, ragged: Ragged) -> None:
        self._ragged = ragged

    def __len__(self) -> int:
        return len(self._ragged)

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> list[str]: ...
    def __getitem__(self, row: int | slice) -> str | list[str]:
        if isinstance(row, slice):
            return [self[r] for r in range(*row.indices(len(self)))]
        return self._ragged.bytes_at(operator.index(row)).decode("utf-8", "surrogateescape")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    def __repr__(self) -> str:
        return f"Keys({len(self)} rows)"


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
        try:
            self._group = zarr.open_group(LocalStore(path, read_only=True), mode="r")
        except Exception as error:  # zarr raises many types on a damaged document
            raise CorruptStoreError(f"{path / GROUP_DOCUMENT} cannot be read: {error}") from None
        if self._group.attrs.get("content_id") != self.content_id:
            raise CorruptStoreError(
                f"the manifest of {path} is not the one that was published "
                f"({self.content_id[:12]} instead of "
                f"{str(self._group.attrs.get('content_id'))[:12]})",
                "restore the split from a copy, or convert again with --overwrite",
            )
        self._cache = ChunkCache()

    def __len__(self) -> int:
        return self.attributes.images

    def __repr__(self) -> str:
        return f"Split({str(self.path)!r}, images={len(self)}, content_id={self.content_id[:12]})"

    def array(self, name: str) -> np.ndarray:
        """A whole small array by its name in the store (docs/format.md lists them)."""
        try:
            return np.asarray(self._group[name][...])  # type: ignore[index]
        except KeyError:
            raise StoreError(f"{self.path} has no array {name!r}") from None
        except Exception as error:  # checksum and decoding errors of many types
            raise CorruptStoreError(
                f"array {name} of {self.path} cannot be read: {error}", "run `freqprep verify`"
            ) from None

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

    def defect(self, row: int) -> str:
        """Why a row was rejected; empty for a valid row."""
        return self.ragged("defect").bytes_at(row).decode("utf-8", "replace")

    def read_codes(self, rows: Rows, channels: ChannelsLike = None) -> np.ndarray:
        """Stored integers.

        Parameters
        ----------
        rows : int, list, range, slice or array
            Rows, in any order, repeats allowed; negative ones count from the end. A boolean
            array of length ``len(split)`` masks.
        channels : str, sequence or Selection, optional
            A selection as `freqprep.channels` takes it; all 192 in raster order by default.

        Returns
        -------
        ndarray of int8 or int16, shape (n, C, rows, columns)
            Channels in the order asked for.

        Raises
        ------
        RejectedRowError
            One of the rows has no image.
        IndexError
            A row is outside the split.
        ShardMissingError, CorruptStoreError
            The stored bytes are not what was written.
        """
        indices = self._rows(rows)
        self._refuse_rejected(indices)
        return self._read(indices, _selection(channels))

    def read(self, rows: Rows, channels: ChannelsLike = None) -> np.ndarray:
        """Coefficients: ``read_codes`` times the steps, float32; same parameters and errors."""
        selection = _selection(channels)
        codes = self.read_codes(rows, selection)
        return dequantize(codes, self.steps[list(selection.indices)])

    def image(self, row: int, channels: ChannelsLike = None) -> np.ndarray:
        """A row as pixels, from the chosen channels; the others count as zero.

        Returns
        -------
        ndarray of uint8, shape (h, w, 3)
            RGB.
        """
        selection = _selection(channels)
        height, width = (int(n) for n in self.sizes[operator.index(row)])
        grid_rows, grid_columns = grid_of(height, width)
        coefficients = np.zeros((CHANNELS, *self.attributes.encoding.geometry.grid), np.float32)
        coefficients[list(selection.indices)] = self.read([operator.index(row)], selection)[0]
        components = coefficients[:, :grid_rows, :grid_columns].reshape(
            -1, FREQUENCIES, grid_rows, grid_columns
        )
        ycbcr = np.stack([inverse(component)[:height, :width] for component in components], axis=-1)
        return np.clip(np.rint(ycbcr_to_rgb(ycbcr)), 0, 255).astype(np.uint8)

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
        images, _, rows, columns = self.attributes.encoding.chunk_shape
        return ShardFile(
            shard_path(self.path, shard),
            (images, rows, columns),
            self.attributes.encoding.dtype,
            self.shard_entry(shard).file_bytes,
        )

    def _rows(self, rows: Rows) -> np.ndarray:
        if isinstance(rows, slice):
            rows = range(*rows.indices(len(self)))
        indices = np.asarray(rows)
        if indices.dtype == bool:
            if indices.shape != (len(self),):
                raise IndexError(f"a mask of {indices.shape} rows for a split of {len(self)}")
            indices = np.flatnonzero(indices)
        if indices.ndim > 1 or (indices.size and not np.issubdtype(indices.dtype, np.integer)):
            raise TypeError(f"rows are whole numbers, not {indices.dtype} of {indices.ndim} axes")
        indices = np.atleast_1d(indices).astype(np.int64)
        outside = indices[(indices < -len(self)) | (indices >= len(self))]
        if outside.size:
            raise IndexError(f"row {outside[0]} is outside 0..{len(self) - 1} of {self.path}")
        return np.where(indices < 0, indices + len(self), indices)

    def _refuse_rejected(self, indices: np.ndarray) -> None:
        bad = indices[~self.valid[indices]]
        if bad.size:
            row = int(bad[0])
            raise RejectedRowError(
                f"row {row} ({self.keys[row]!r}) was rejected at conversion: {self.defect(row)}",
                "read only rows where split.valid is true",
            )

    def _read(self, indices: np.ndarray, selection: Selection) -> np.ndarray:
        encoding = self.attributes.encoding
        out = np.empty((len(indices), len(selection), *encoding.geometry.grid), encoding.dtype)
        place = {STORED_POSITION[index]: i for i, index in enumerate(selection.indices)}
        shards = indices // ROWS_PER_SHARD
        for shard in np.unique(shards):
            targets = np.flatnonzero(shards == shard)
            within = indices[targets] % ROWS_PER_SHARD
            self._read_shard(int(shard), within, targets, place, out)
        return out

    def _read_shard(
        self,
        shard: int,
        within: np.ndarray,
        targets: np.ndarray,
        place: dict[int, int],
        out: np.ndarray,
    ) -> None:
        """Copy the rows ``within`` one shard to the ``targets`` of ``out``."""
        to, take = _run(targets), _run(within)
        whole = len(within) * 2 > ROWS_PER_SHARD
        missing = []
        for position, channel in place.items():
            chunk = self._cache.get((shard, position))
            if chunk is None:
                missing.append(position)
            else:
                out[to, channel] = chunk[take]
        if not missing:
            return

        def keep(position: int, chunk: np.ndarray) -> None:
            out[to, place[position]] = chunk[take]
            if not whole:  # most of a shard is read once; single rows come back for more
                self._cache.put((shard, position), chunk.copy())

        with self.open_shard(shard) as file:
            file.read(missing, keep)


def find_row(split: Split, text: str) -> int:
    """Row of a split by its number (negative ones count from the end), or by its key."""
    if text.lstrip("-").isdigit():
        row = int(text)
        if -len(split) <= row < len(split):
            return row % len(split)
        raise UsageError(f"row {row} is outside 0..{len(split) - 1} of {split.path}")
    wanted = text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    for row, key in enumerate(split.keys):
        if key == wanted:
            return row
    raise UsageError(f"{split.path} has no image {text!r}", "keys look like " + repr(split.keys[0]))


def _selection(given: ChannelsLike) -> Selection:
    return channels("all" if given is None else given)


def _run(indices: np.ndarray) -> Any:
    """The same indices as a slice, where they are one run: NumPy then copies blocks."""
    first = int(indices[0])
    if np.array_equal(indices, np.arange(first, first + len(indices))):
        return slice(first, first + len(indices))
    return indices
