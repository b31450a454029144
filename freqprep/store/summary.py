"""What is in a split, in numbers: for ``info`` and for the end of a conversion."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from freqprep.spectrum import FREQUENCIES
from freqprep.spectrum.channels import STORED_POSITION, published
from freqprep.spectrum.fidelity import psnr
from freqprep.store.reader import Split
from freqprep.store.shard import INDEX_BYTES

_SAMPLED_SHARDS = 64
_PUBLISHED = "square-24"


@dataclass(frozen=True)
class SplitSummary:
    """Numbers of one split. Bytes an image are over valid images.

    Attributes
    ----------
    split, content_id, source_kind, source_split : str
    images, valid, rejected, shards, files, classes : int
    rejected_by_reason : dict of str to int
    geometry : dict
    precision : str
    grid : tuple of int
        Rows and columns of blocks.
    capped : int
        Images whose source is larger than what is stored.
    source_bytes, stored_bytes : int
        Of the source files of valid images; of all the split's files.
    source_bytes_per_image, stored_bytes_per_image, published_24_bytes_per_image : float
        The last: what reading the published 24 channels takes from disk, shard index included
        (measured on up to 64 shards).
    psnr_luma_pooled, psnr_luma_worst : float or None
        dB, of quantization, against the decoded YCbCr; None where there is no error at all.
    psnr_luma_worst_key : str or None
    saturated : int
        Codes that were clipped.
    saturated_share : float
        Of the codes of valid blocks.
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
    grid: tuple[int, int]
    capped: int
    source_bytes: int
    stored_bytes: int
    source_bytes_per_image: float
    stored_bytes_per_image: float
    published_24_bytes_per_image: float
    psnr_luma_pooled: float | None
    psnr_luma_worst: float | None
    psnr_luma_worst_key: str | None
    saturated: int
    saturated_share: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON data."""
        return dataclasses.asdict(self)


def summarize(split: Split) -> SplitSummary:
    """Numbers of a split, from its small arrays and its manifest."""
    attributes, valid = split.attributes, split.valid
    count = max(int(valid.sum()), 1)
    source_bytes = int(split.array("source_bytes")[valid].sum())
    stored_bytes = sum(entry.file_bytes for entry in split.manifest.files.values())
    saturated = int(split.array("saturated").sum())
    pooled, worst, worst_row = _luma_psnr(split)
    source_size = split.array("source_size")
    return SplitSummary(
        split=attributes.split,
        content_id=split.content_id,
        source_kind=attributes.source_kind,
        source_split=attributes.source_split,
        images=len(split),
        valid=int(valid.sum()),
        rejected=attributes.rejected,
        rejected_by_reason=_reasons(split),
        shards=split.shards,
        files=len(split.manifest.files) + 2,
        classes=len(attributes.class_ids),
        geometry=dataclasses.asdict(attributes.encoding.geometry),
        precision=attributes.encoding.precision,
        grid=attributes.encoding.geometry.grid,
        capped=int((source_size[valid].max(axis=1) > split.sizes[valid].max(axis=1)).sum()),
        source_bytes=source_bytes,
        stored_bytes=stored_bytes,
        source_bytes_per_image=source_bytes / count,
        stored_bytes_per_image=stored_bytes / count,
        published_24_bytes_per_image=bytes_read(split, published(_PUBLISHED).indices) / count,
        psnr_luma_pooled=pooled,
        psnr_luma_worst=worst,
        psnr_luma_worst_key=None if worst_row is None else split.keys[worst_row],
        saturated=saturated,
        saturated_share=saturated / max(3 * FREQUENCIES * int(split.blocks.sum()), 1),
    )


def _reasons(split: Split) -> dict[str, int]:
    defects = split.ragged("defect")
    rejected = np.flatnonzero(~split.valid).tolist()
    words = (defects.bytes_at(row).partition(b":")[0].decode() for row in rejected)
    return dict(sorted(Counter(words).items()))


def _luma_psnr(split: Split) -> tuple[float | None, float | None, int | None]:
    rows = np.flatnonzero(split.valid)
    if not rows.size:
        return None, None, None
    error = split.array("luma_squared_error")[rows]
    pixels = split.blocks[rows] * FREQUENCIES
    each = psnr(error, pixels)
    worst = int(each.argmin())
    pooled = float(psnr(error.sum(), pixels.sum()))
    finite = [value if np.isfinite(value) else None for value in (pooled, float(each[worst]))]
    return finite[0], finite[1], int(rows[worst])


def bytes_read(split: Split, indices: Sequence[int]) -> float:
    """Bytes that reading some channels of the whole split takes, from a sample of shards."""
    positions = [STORED_POSITION[index] for index in indices]
    shards = np.unique(np.linspace(0, split.shards - 1, _SAMPLED_SHARDS).astype(int))
    total = 0
    for shard in shards.tolist():
        with split.open_shard(shard) as file:
            total += int(file.chunk_lengths[positions].sum()) + INDEX_BYTES
    return total * split.shards / len(shards)
