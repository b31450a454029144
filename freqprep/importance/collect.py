"""Pass over a split: shards are counted in parallel, and the counts merged as they come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from freqprep import engines
from freqprep.errors import CorruptStoreError, StoreError
from freqprep.importance.shard_counts import (
    CountTask,
    count_shards,
    parts_of,
    rows_of,
)
from freqprep.importance.sums import ShardRows, Sums
from freqprep.progress import Progress
from freqprep.ragged import Ragged
from freqprep.spectrum.channels import CHANNELS
from freqprep.store.manifest import MANIFEST
from freqprep.store.split import Split
from freqprep.text.quantities import plural

_LOCAL = engines.Workers()
_MOST_TOGETHER = 32
_LEAST_TASKS = 512


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


def collect(split: Split, workers: engines.Workers = _LOCAL) -> Collected:
    """Read a split once, and collect the sums of its channels.

    A worker holds one shard of codes (about 100 MB at a 64x64 grid); the sums take 24 MB and
    ``100 KB * classes``, for any number of images. Codes of int16 have longer histograms: 50 MB at
    step 1, twice that at each half of the smallest step.

    Parameters
    ----------
    split : Split
    workers : Workers, optional
        By default a process of this machine per core.

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
        rejected = f"{plural(len(split), 'image')}, {len(split):,} rejected"
        raise StoreError(f"{split.path} has nothing to count: {rejected}", "see `freqprep info`")
    labelled = bool((split.labels[split.valid] >= 0).any())
    classes = int(split.labels.max()) + 1 if labelled else 0
    sums = Sums.zero(split.attributes.encoding.precision.largest_code, classes, split.has_boxes)
    chunk_bytes = np.zeros(CHANNELS, np.int64)
    workers, places = workers.at_most(split.shards), engines.Places((split.path / MANIFEST,))
    with Progress(f"stats {split.attributes.split}", split.shards, unit="shard") as progress:
        for counts in engines.run(count_shards, _tasks(split, workers), workers, places):
            sums.add_shards(counts, shard_rows(split, counts.shard, counts.shards))
            chunk_bytes += counts.chunk_bytes
            progress.update(counts.shards)
    _check(split, sums)
    return Collected(sums, chunk_bytes)


def _tasks(split: Split, workers: engines.Workers) -> Iterator[CountTask]:
    most = shards_together(split.shards) if workers.on_cluster else 1
    path = workers.path(split.path)
    boxes = Ragged(split.array("box"), split.array("object_offset")) if split.has_boxes else None
    for shard in range(0, split.shards, most):
        count = min(most, split.shards - shard)
        rows = rows_of(len(split), shard, count).tolist()
        mine = None if boxes is None else [boxes[row] for row in rows]
        yield CountTask(path, split.content_id, shard, count, mine)


def shards_together(shards: int) -> int:
    """Return how many of a split's shards a worker of a cluster counts before it sends them.

    A result is about 1 MB for one and 4 MB for 32, and the main process adds all of them up.
    """
    return max(1, min(_MOST_TOGETHER, shards // _LEAST_TASKS))


def steps_of(split: Split) -> np.ndarray:
    """Return the quantization steps, raster order; 0 for channels not stored, as their codes are.

    float64, shape (192,).
    """
    steps: np.ndarray = np.nan_to_num(split.steps.astype(np.float64), nan=0.0)
    return steps


def shard_rows(split: Split, shard: int, shards: int) -> ShardRows:
    """Read the properties of the rows of some shards that the sums need."""
    rows = rows_of(len(split), shard, shards)
    steps = steps_of(split)
    moments = split.moments
    return ShardRows(
        parts=parts_of(len(split), shard, shards),
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
