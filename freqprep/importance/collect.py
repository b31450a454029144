"""Pass over a split: shards are counted in parallel, and the counts merged as they come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from freqprep import engines
from freqprep.errors import CorruptStoreError, StoreError
from freqprep.importance.shard_counts import (
    CountTask,
    count_shard,
    parts_of,
    rows_of,
)
from freqprep.importance.sums import ShardRows, Sums
from freqprep.progress import Progress
from freqprep.ragged import Ragged
from freqprep.spectrum.channels import CHANNELS
from freqprep.store.split import Split


@dataclass(frozen=True)
class Collected:
    """Result of a pass over a split.

    Attributes
    ----------
    sums : Sums
    chunk_bytes : ndarray of int64, shape (192,)
        Bytes on disk of each channel in the whole split, raster order.
    """

    sums: Sums
    chunk_bytes: np.ndarray


def collect(split: Split, jobs: int | None = None) -> Collected:
    """Read a split once, and collect the sums of its channels.

    A worker holds one shard of codes (about 100 MB at a 64x64 grid); the sums take 24 MB and
    ``100 KB * classes``, for any number of images. Codes of int16 have longer histograms: 50 MB at
    step 1, twice that at each half of the smallest step.

    Parameters
    ----------
    split : Split
    jobs : int, optional
        Number of worker processes; one per core by default.

    Returns
    -------
    Collected

    Raises
    ------
    StoreError
        The split has no valid images.
    CorruptStoreError
        Its codes do not add up to the moments stored with it.
    """
    if not split.valid.any():
        rejected = f"all {len(split)} images were rejected" if len(split) else "it has no images"
        raise StoreError(f"{split.path} has nothing to count: {rejected}", "see `freqprep info`")
    labelled = bool((split.labels[split.valid] >= 0).any())
    classes = int(split.labels.max()) + 1 if labelled else 0
    sums = Sums.zero(split.attributes.encoding.precision.largest_code, classes, split.has_boxes)
    chunk_bytes = np.zeros(CHANNELS, np.int64)
    workers = max(1, min(jobs or engines.default_jobs(), split.shards))
    with Progress(f"stats {split.attributes.split}", split.shards, unit="shard") as progress:
        for counts in engines.run(count_shard, _tasks(split), workers):
            sums.add_shard(counts, shard_rows(split, counts.shard))
            chunk_bytes += counts.chunk_bytes
            progress.update(1)
    _check(split, sums)
    return Collected(sums, chunk_bytes)


def _tasks(split: Split) -> Iterator[CountTask]:
    boxes = Ragged(split.array("box"), split.array("object_offset")) if split.has_boxes else None
    for shard in range(split.shards):
        rows = rows_of(len(split), shard).tolist()
        mine = None if boxes is None else [boxes[row] for row in rows]
        yield CountTask(split.path, split.content_id, shard, mine)


def steps_of(split: Split) -> np.ndarray:
    """Return the quantization steps, raster order; 0 for channels not stored, as their codes are.

    float64, shape (192,).
    """
    steps: np.ndarray = np.nan_to_num(split.steps.astype(np.float64), nan=0.0)
    return steps


def shard_rows(split: Split, shard: int) -> ShardRows:
    """Read the properties of a shard's rows that the sums need."""
    rows = rows_of(len(split), shard)
    steps = steps_of(split)
    moments = split.moments
    return ShardRows(
        parts=parts_of(len(split), shard),
        valid=split.valid[rows],
        labels=split.labels[rows],
        blocks=split.blocks[rows],
        short_side=split.sizes[rows].min(axis=1).astype(np.int64),
        steps=steps,
        mean_square=moments.total_squares / max(moments.count, 1) * steps**2,
    )


def _check(split: Split, sums: Sums) -> None:
    """Refuse a split whose histogram contradicts the moments stored at conversion."""
    largest = split.attributes.encoding.precision.largest_code
    codes = np.arange(-largest, largest)
    histogram = sums.histogram.sum(axis=0)
    same = np.array_equal(histogram @ codes, split.moments.total) and np.array_equal(
        histogram @ codes**2, split.moments.total_squares
    )
    if not same:
        raise CorruptStoreError(
            f"the codes of {split.path} do not add up to the moments stored with them",
            "run `freqprep verify` on the store",
        )
