"""Estimates of a packing from a few shards: ``pack --dry-run``. Nothing is written."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

from freqprep import engines
from freqprep.pack.planning import PackPlan, make_plans, still_to_pack
from freqprep.pack.request import PackRequest
from freqprep.pack.run import shard_source
from freqprep.pack.shard_task import ShardSource
from freqprep.progress import Progress
from freqprep.spectrum.channels import NAMES
from freqprep.store.manifest import MANIFEST
from freqprep.store.plan import evenly_spread
from freqprep.store.root import store_exists
from freqprep.store.writer import unfinished_split

_SAMPLED_SHARDS = 3


@dataclass(frozen=True)
class PackEstimate:
    """Size and time of the packing of one split.

    Attributes
    ----------
    images, shards, files : int
    channels : tuple of str
        Names of the channels kept, in stored order.
    level : int
        Level of zstd.
    bytes_before, stored_bytes : int
        Size of the split as it is, and once it is packed.
    stored_bytes_per_image : float
        Over valid images.
    minutes : float
    sampled_shards : int
        Number of shards packed for the estimate.
    """

    images: int
    shards: int
    files: int
    channels: tuple[str, ...]
    level: int
    bytes_before: int
    stored_bytes: int
    stored_bytes_per_image: float
    minutes: float
    sampled_shards: int

    def to_dict(self) -> dict[str, Any]:
        """Return JSON data."""
        return asdict(self)


def estimate(request: PackRequest) -> dict[str, PackEstimate]:
    """Estimate each split that `freqprep.pack.pack` would make.

    Parameters
    ----------
    request : PackRequest

    Returns
    -------
    dict of str to PackEstimate
        By name of the split.

    Raises
    ------
    StoreError, UsageError, SplitExistsError
        As `freqprep.pack.pack` would raise them.
    """
    plans = make_plans(request)
    store_exists(request.target)  # refuses anything else at this path
    partials = {name: unfinished_split(request.target, name) for name in plans}
    todo = still_to_pack(request, plans, partials)
    return {name: _estimate(plans[name], request.workers) for name in todo}


def _estimate(plan: PackPlan, workers: engines.Workers) -> PackEstimate:
    split = plan.split
    sample = evenly_spread(split.shards, _SAMPLED_SHARDS).tolist()
    before = after = seconds = 0.0
    with Progress(f"sample of {split.attributes.split}", len(sample), unit="shard") as progress:
        tasks = [shard_source(plan, shard, workers) for shard in sample]
        places = engines.Places((split.path / MANIFEST,))
        for old, new, took in engines.run(_measure, tasks, workers.at_most(len(sample)), places):
            before, after, seconds = before + old, after + new, seconds + took
            progress.update(1)
    shards = sum(split.shard_table.file_bytes(shard) for shard in range(split.shards))
    every = split.shard_table.all_bytes()
    stored = round(shards * after / before) + every - shards
    jobs = min(workers.count, split.shards)
    return PackEstimate(
        images=len(split),
        shards=split.shards,
        files=split.shard_table.files() + 2,
        channels=tuple(NAMES[index] for index in plan.attributes.channels),
        level=plan.attributes.level,
        bytes_before=every,
        stored_bytes=stored,
        stored_bytes_per_image=stored / max(int(split.valid.sum()), 1),
        minutes=seconds / len(sample) * split.shards / jobs / 60,
        sampled_shards=len(sample),
    )


def _measure(source: ShardSource) -> tuple[int, int, float]:
    """Return the bytes of a shard before and after, and the CPU seconds that it took."""
    began = time.process_time()
    after = sum(len(part) for part in source.parts())
    return source.file_bytes, after, time.process_time() - began
