"""Summary of a split in numbers: for ``info`` and the end of a conversion or a packing."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from freqprep.spectrum import FREQUENCIES
from freqprep.spectrum.channels import NAMES, published
from freqprep.spectrum.fidelity import psnr
from freqprep.store.channel_bytes import bytes_read
from freqprep.store.class_counts import ClassCounts, ObjectCounts, count_split
from freqprep.store.class_mixing import ClassMixing, mixing_of_shards
from freqprep.store.split import Split

_PUBLISHED = "square-24"
_ROWS_AT_ONCE = 2**20


@dataclass(frozen=True)
class SplitSummary:
    """Summary of one split in numbers. Bytes per image are over valid images.

    Attributes
    ----------
    split, content_id, source_kind, source_split : str
    images, valid, rejected, shards, files, classes : int
    rejected_by_reason : dict of str to int
    geometry : dict
    precision : str
    steps : tuple of float
        Smallest and largest quantization step of the channels stored.
    level : int
        Level of zstd.
    channels : tuple of str
        Names of the channels stored, in stored order.
    packed_from : str or None
        Content id of the split that this one was packed from; None if it was converted.
    grid : tuple of int
        Rows and columns of blocks.
    class_counts : ClassCounts
        Counts of the valid images.
    objects : ObjectCounts or None
    shard_classes : ClassMixing or None
        Classes in a shard; None without labels.
    capped : int
        Number of images that were scaled down.
    pixel_share : float or None
        Stored pixels over source pixels of the valid images; None without valid images.
    source_bytes, stored_bytes : int
        Size of the source files of valid images, and of all files of the split.
    source_bytes_per_image, stored_bytes_per_image : float
    published_24_bytes_per_image : float or None
        Bytes read from disk for the published 24 channels, shard indexes included (measured on up
        to 64 shards); None if they are not all stored.
    psnr_luma_pooled, psnr_luma_worst : float or None
        PSNR of quantization in dB, against the decoded YCbCr; None if there is no error at all.
        Measured when the images were converted, with all 192 channels.
    psnr_luma_worst_key : str or None
    saturated : int
        Number of clipped codes, of all 192 channels.
    saturated_share : float
        Their share of the codes of valid blocks.
    """

    split: str
    content_id: str
    source_kind: str
    source_split: str
    images: int
    valid: int
    rejected: int
    rejected_by_reason: dict[str, int]
    shards: int
    files: int
    classes: int
    geometry: dict[str, Any]
    precision: str
    steps: tuple[float, float]
    level: int
    channels: tuple[str, ...]
    packed_from: str | None
    grid: tuple[int, int]
    class_counts: ClassCounts
    objects: ObjectCounts | None
    shard_classes: ClassMixing | None
    capped: int
    pixel_share: float | None
    source_bytes: int
    stored_bytes: int
    source_bytes_per_image: float
    stored_bytes_per_image: float
    published_24_bytes_per_image: float | None
    psnr_luma_pooled: float | None
    psnr_luma_worst: float | None
    psnr_luma_worst_key: str | None
    saturated: int
    saturated_share: float

    def to_dict(self) -> dict[str, Any]:
        """Return JSON data, with class counts as ``class_ids``, ``class_names``, ...."""
        document = dataclasses.asdict(self)
        del document["class_counts"]
        return {**document, **self.class_counts.to_dict()}


def summarize(split: Split) -> SplitSummary:
    """Summarize a split from its small arrays and its manifest."""
    attributes, sums = split.attributes, _sums_of_rows(split)
    count, stored_bytes = max(sums.valid, 1), split.shard_table.all_bytes()
    class_counts, objects = count_split(split)
    return SplitSummary(
        split=attributes.split,
        content_id=split.content_id,
        source_kind=attributes.source_kind,
        source_split=attributes.source_split,
        images=len(split),
        valid=sums.valid,
        rejected=attributes.rejected,
        rejected_by_reason=_reasons(split),
        shards=split.shards,
        files=split.shard_table.files() + 2,
        classes=len(attributes.class_ids),
        geometry=dataclasses.asdict(attributes.encoding.geometry),
        precision=attributes.encoding.precision.name,
        steps=(float(attributes.stored_steps.min()), float(attributes.stored_steps.max())),
        level=attributes.level,
        channels=tuple(NAMES[index] for index in attributes.channels),
        packed_from=None if attributes.packed is None else attributes.packed.content_id,
        grid=attributes.encoding.geometry.grid,
        class_counts=class_counts,
        objects=objects,
        shard_classes=mixing_of_shards(split),
        capped=sums.capped,
        pixel_share=sums.pixels / sums.source_pixels if sums.source_pixels else None,
        source_bytes=sums.source_bytes,
        stored_bytes=stored_bytes,
        source_bytes_per_image=sums.source_bytes / count,
        stored_bytes_per_image=stored_bytes / count,
        published_24_bytes_per_image=_published_bytes(split, count),
        psnr_luma_pooled=_finite(psnr(sums.error, sums.stored_pixels)) if sums.valid else None,
        psnr_luma_worst=_finite(sums.worst) if sums.valid else None,
        psnr_luma_worst_key=split.keys[sums.worst_row] if sums.valid else None,
        saturated=sums.saturated,
        saturated_share=sums.saturated / max(3 * FREQUENCIES * split.blocks.sum(), 1),
    )


def _published_bytes(split: Split, images: int) -> float | None:
    indices = published(_PUBLISHED).indices
    stored = set(indices) <= set(split.attributes.channels)
    return bytes_read(split, indices) / images if stored else None


@dataclass
class _Sums:
    """Sums over the valid rows; of ``saturated`` over all."""

    valid: int = 0
    source_bytes: int = 0
    saturated: int = 0
    capped: int = 0
    pixels: int = 0
    source_pixels: int = 0
    error: float = 0.0
    stored_pixels: int = 0
    worst: float = np.inf
    worst_row: int = 0


def _sums_of_rows(split: Split) -> _Sums:
    """Add up what images have, some rows at a time."""
    sums = _Sums()
    names = ("source_bytes", "saturated", "source_size", "luma_squared_error")
    arrays = {name: split.arrays.in_parts(name) for name in names}
    for first in range(0, len(split), _ROWS_AT_ONCE):
        stop = min(first + _ROWS_AT_ONCE, len(split))
        columns = {name: array.rows(first, stop) for name, array in arrays.items()}
        sums.saturated += int(columns["saturated"].sum())
        rows = np.flatnonzero(split.valid[first:stop])
        if not rows.size:
            continue
        source_size = columns["source_size"][rows].astype(np.int64)
        size = split.sizes[first:stop][rows].astype(np.int64)
        error, pixels = (
            columns["luma_squared_error"][rows],
            split.blocks[first + rows] * FREQUENCIES,
        )
        each = psnr(error, pixels)
        worst = int(each.argmin())
        if not sums.valid or each[worst] < sums.worst:
            sums.worst, sums.worst_row = float(each[worst]), first + int(rows[worst])
        sums.valid += len(rows)
        sums.source_bytes += int(columns["source_bytes"][rows].sum())
        sums.capped += int((source_size.max(axis=1) > size.max(axis=1)).sum())
        sums.pixels += int(size.prod(axis=1).sum())
        sums.source_pixels += int(source_size.prod(axis=1).sum())
        sums.error += float(error.sum())
        sums.stored_pixels += int(pixels.sum())
    return sums


def _finite(value: float | np.ndarray) -> float | None:
    return float(value) if np.isfinite(value) else None


def _reasons(split: Split) -> dict[str, int]:
    rejected = np.flatnonzero(~split.valid).tolist()
    return dict(sorted(Counter(split.defect(row).partition(":")[0] for row in rejected).items()))
