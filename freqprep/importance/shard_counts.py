"""Integer counts of some shards, computed by workers in the pass over a split."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from PIL import Image

from freqprep.errors import CorruptStoreError
from freqprep.spectrum import BLOCK, FREQUENCIES
from freqprep.spectrum.channels import CHANNELS
from freqprep.spectrum.moments import exact_products
from freqprep.storage.paths import AnyPath
from freqprep.store.reader import Split, reopen
from freqprep.store.schema import ROWS_PER_SHARD

GROUPS = 8
"""Number of groups of rows that are counted separately, so that halves can be compared. They are
runs of rows, and random parts of the data because the rows of a store are permuted."""

CROSS = ((0, 1), (0, 2), (1, 2))
"""Pairs of components whose products are summed: Y Cb, Y Cr, Cb Cr."""


_WORD = 8
_ROWS_IN_CACHE = 32


@dataclass(frozen=True)
class CountTask:
    """Task of a worker: count some shards that follow one another.

    Attributes
    ----------
    path : Path or ObjectPath
        The split's folder.
    content_id : str
    shard, shards : int
        Number of the first shard, and how many there are.
    boxes : list of ndarray of float64, shape (any, 4), or None
        Boxes of each row of the shards; None if the split has no boxes. They are sent along,
        because a worker would have to read all boxes of the split to find these.
    """

    path: AnyPath
    content_id: str
    shard: int
    shards: int
    boxes: list[np.ndarray] | None


@dataclass(frozen=True)
class ShardCounts:
    """Counts of some shards, channels in raster order; ``P`` parts (`parts_of`), ``n`` rows.

    Attributes
    ----------
    shard, shards : int
        Number of the first shard, and how many there are.
    groups : tuple of int
        Group of each part.
    histogram : ndarray of int64, shape (P, 192, 2 * largest code)
        Number of occurrences of each code in blocks with a valid pixel; code ``q`` is at
        ``q + largest``.
    squares : ndarray of int32 or int64, shape (n, 192)
        Sum of squared codes of each row.
    cross : ndarray of int64, shape (P, 64, 3)
        Sums of products of two components' codes at one frequency; pairs as in `CROSS`.
    chunk_bytes : ndarray of int64, shape (192,)
        Bytes on disk.
    object_histogram : ndarray of int64, shape (P, 192, 2 * largest code) or None
        ``histogram`` over the blocks that a box touches; None if there are no boxes.
    """

    shard: int
    shards: int
    groups: tuple[int, ...]
    histogram: np.ndarray
    squares: np.ndarray
    cross: np.ndarray
    chunk_bytes: np.ndarray
    object_histogram: np.ndarray | None

    def followed_by(self, other: ShardCounts) -> ShardCounts:
        """Add the counts of the next shards; this object is used up."""
        shared = self.groups[-1] == other.groups[0]

        def joined(one: np.ndarray, more: np.ndarray) -> np.ndarray:
            if shared:
                one[-1] += more[0]
            return np.concatenate([one, more[shared:]]) if len(more) > shared else one

        objects = None
        if self.object_histogram is not None and other.object_histogram is not None:
            objects = joined(self.object_histogram, other.object_histogram)
        return ShardCounts(
            self.shard,
            self.shards + other.shards,
            self.groups + other.groups[shared:],
            joined(self.histogram, other.histogram),
            np.concatenate([self.squares, other.squares]),
            joined(self.cross, other.cross),
            self.chunk_bytes + other.chunk_bytes,
            objects,
        )


def count_shards(task: CountTask) -> ShardCounts:
    """Count some shards; together they are little larger than one is, and travel faster.

    Raises
    ------
    CorruptStoreError
        A code is out of range, or the split has changed since it was opened.
    """
    split = reopen(task.path, task.content_id)
    total: ShardCounts | None = None
    for number in range(task.shards):
        mine = slice(number * ROWS_PER_SHARD, (number + 1) * ROWS_PER_SHARD)
        boxes = None if task.boxes is None else task.boxes[mine]
        counts = _count(split, task.shard + number, boxes)
        total = counts if total is None else total.followed_by(counts)
    if total is None:
        raise ValueError("a task of no shards")
    return total


def _count(split: Split, shard: int, boxes: list[np.ndarray] | None) -> ShardCounts:
    rows = rows_of(len(split), shard)
    largest = split.attributes.encoding.precision.largest_code
    codes, chunk_bytes = _read(split, shard, len(rows))
    inside = None if boxes is None else _object_blocks(split, rows, boxes)
    parts = parts_of(len(split), shard)
    histogram = np.zeros((len(parts), CHANNELS, 2 * largest), np.int64)
    objects = None if inside is None else np.zeros_like(histogram)
    for channel in range(CHANNELS):
        for number, (_, run) in enumerate(parts):
            histogram[number, channel] = _nonzero_histogram(codes[channel, run], largest)
            if objects is not None and inside is not None:
                part = codes[channel, run][inside[run]]
                objects[number, channel] = _histogram(part, largest)
    blocks = np.array([split.blocks[rows][run].sum() for _, run in parts])
    histogram[:, :, largest] = blocks[:, None] - histogram.sum(axis=2)
    if histogram.min(initial=0) < 0:
        raise CorruptStoreError(
            f"shard {shard} of {split.path} has codes outside the valid blocks of its images",
            "run `freqprep verify` on the store",
        )
    flat = codes.reshape(CHANNELS, len(rows), -1)
    squares, cross = _products(flat, largest)
    by_part = np.stack([cross[run].sum(axis=0) for _, run in parts])
    groups = tuple(group for group, _ in parts)
    return ShardCounts(shard, 1, groups, histogram, squares, by_part, chunk_bytes, objects)


def rows_of(images: int, shard: int, shards: int = 1) -> np.ndarray:
    """Return the row numbers of a shard, or of some that follow one another."""
    return np.arange(shard * ROWS_PER_SHARD, min((shard + shards) * ROWS_PER_SHARD, images))


def parts_of(images: int, shard: int, shards: int = 1) -> list[tuple[int, slice]]:
    """Split the rows of a shard, or of some that follow one another, into runs of one group each.

    Returns
    -------
    list of (int, slice)
        Group, 0..`GROUPS` - 1, and its rows relative to the shard's first. Group ``g`` begins at
        row ``g * images // GROUPS``.
    """
    rows = rows_of(images, shard, shards)
    edges = np.arange(GROUPS + 1) * images // GROUPS
    inside = np.clip(edges, rows[0], rows[-1] + 1) - rows[0]
    runs = enumerate(pairwise(inside.tolist()))
    return [(group, slice(first, stop)) for group, (first, stop) in runs if stop > first]


def _read(split: Split, shard: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes (192, rows, R, C) in raster order, and bytes of each chunk; 0 if not stored."""
    encoding = split.attributes.encoding
    images = ROWS_PER_SHARD
    codes = np.zeros((CHANNELS, images, *encoding.geometry.grid), encoding.dtype)
    stored = split.attributes.channels
    chunk_bytes = np.zeros(CHANNELS, np.int64)
    with split.open_shard(shard) as file:
        for _ in file.read(range(len(stored)), lambda position: codes[stored[position]]):
            pass
        chunk_bytes[list(stored)] = file.chunk_lengths
        return codes[:, :rows], chunk_bytes


def _nonzero_histogram(values: np.ndarray, largest: int) -> np.ndarray:
    """Counts of nonzero codes. Most codes are 0, so eight zero bytes are skipped at once."""
    values = values.reshape(-1)
    aligned = values.nbytes // _WORD * _WORD // values.itemsize
    words = values[:aligned].view(np.uint64)
    counts = _histogram(words[words != 0].view(values.dtype), largest)
    counts += _histogram(values[aligned:], largest)
    counts[largest] = 0
    return counts


def _histogram(values: np.ndarray, largest: int) -> np.ndarray:
    if values.dtype == np.int8:
        # Pillow counts bytes twice as fast as np.bincount, which first makes eight of each.
        # As bytes, -128..-1 are 128..255: half a turn puts them in order.
        grey = Image.frombuffer("L", (values.size, 1), values) if values.size else None
        return np.roll(grey.histogram() if grey else np.zeros(2 * largest, np.int64), largest)
    shifted = values.astype(np.int64) + largest
    if shifted.size and (shifted.min() < 0 or shifted.max() >= 2 * largest):
        raise CorruptStoreError(
            f"a code of {values[np.abs(values.astype(np.int64)).argmax()]}: the transform of an "
            f"image stays within {largest}",
            "run `freqprep verify` on the store",
        )
    return np.bincount(shifted, minlength=2 * largest)


def _products(codes: np.ndarray, largest: int) -> tuple[np.ndarray, np.ndarray]:
    """Sums of squares (rows, 192) and of products of components (rows, 64, 3), exact."""
    rows = codes.shape[1]
    small = largest**2 * codes.shape[2] < np.iinfo(np.int32).max
    squares = np.empty((rows, CHANNELS), np.int32 if small else np.int64)
    cross = np.empty((rows, FREQUENCIES, len(CROSS)), np.int64)
    by_component = codes.reshape(3, FREQUENCIES, *codes.shape[1:])
    for first in range(0, rows, _ROWS_IN_CACHE):
        part = slice(first, first + _ROWS_IN_CACHE)
        planes = np.empty((3, len(range(rows)[part]), codes.shape[2]), np.float32)
        for k in range(FREQUENCIES):
            planes[...] = by_component[:, k, part]
            for c, plane in enumerate(planes):
                squares[part, c * FREQUENCIES + k] = exact_products(plane, plane, largest)
            for pair, (a, b) in enumerate(CROSS):
                cross[part, k, pair] = exact_products(planes[a], planes[b], largest)
    return squares, cross


def _object_blocks(split: Split, rows: np.ndarray, boxes: list[np.ndarray]) -> np.ndarray:
    """Blocks that a box touches, bool (rows, R, C)."""
    inside = np.zeros((len(rows), *split.attributes.encoding.geometry.grid), bool)
    for i, row in enumerate(rows.tolist()):
        height, width = split.sizes[row].tolist()
        for x, y, w, h in boxes[i].tolist():
            left, right = max(x, 0.0), min(x + w, width)
            top, bottom = max(y, 0.0), min(y + h, height)
            if right > left and bottom > top:
                across = slice(int(left // BLOCK), -int(-right // BLOCK))
                inside[i, int(top // BLOCK) : -int(-bottom // BLOCK), across] = True
    return inside
