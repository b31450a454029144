"""Estimates of a conversion from a sample: ``convert --dry-run``. Nothing is written."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from freqprep import engines
from freqprep.convert.planning import class_list, discover, plan_split, refuse_existing
from freqprep.convert.request import Request
from freqprep.convert.shard_task import ImageFiles, compile_coding
from freqprep.convert.unpacking import unpacked
from freqprep.convert.window_tasks import unpackers
from freqprep.errors import ImageDefect
from freqprep.images.encoder import Encoder
from freqprep.images.encoding import Encoding
from freqprep.sources import FileTable
from freqprep.spectrum.channels import CHANNELS
from freqprep.spectrum.coding import worth_compiling
from freqprep.storage.paths import AnyPath
from freqprep.store import shard
from freqprep.store.class_counts import ClassCounts, ObjectCounts, count_labels, count_objects
from freqprep.store.existing import pending
from freqprep.store.plan import SplitPlan, estimated_bytes, evenly_spread, memory_bound
from freqprep.store.root import store_exists
from freqprep.store.schema import IMAGE_ARRAYS, OBJECT_ARRAYS, ROWS_PER_SHARD
from freqprep.store.writer import unfinished_split

_RUNS_SAMPLED = 16
_OTHER_FILES = 3  # the documents of group and coefficients, and the manifest


@dataclass(frozen=True)
class Estimate:
    """Size, time and memory of the conversion of one split.

    Attributes
    ----------
    images, shards, files, classes : int
    class_counts : ClassCounts
        Counts of the listed images.
    objects : ObjectCounts or None
    geometry : dict
    stored_bytes : int
        Size of the finished split.
    source_bytes : int
    minutes : float
    memory_bytes : int
        Upper bound, all processes together.
    sampled : int
        Number of images encoded for the estimate.
    shrunk_in_sample : int
        Number of sampled images that were scaled down.
    rejected_in_sample : dict of str to int
    ignored : dict of str to int
        Entries of the source that are not images of the split: description -> count.
    """

    images: int
    shards: int
    files: int
    classes: int
    class_counts: ClassCounts
    objects: ObjectCounts | None
    geometry: dict[str, Any]
    stored_bytes: int
    source_bytes: int
    minutes: float
    memory_bytes: int
    sampled: int
    shrunk_in_sample: int
    rejected_in_sample: dict[str, int]
    ignored: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON data, with class counts as ``class_ids``, ``class_names``, ...."""
        document = asdict(self)
        del document["class_counts"]
        return {**document, **self.class_counts.to_dict()}


def estimate(request: Request) -> dict[str, Estimate]:
    """Estimate each split that `freqprep.convert.convert` would make.

    Parameters
    ----------
    request : Request

    Returns
    -------
    dict of str to Estimate
        By name of the split.

    Raises
    ------
    SourceError, UsageError, SplitExistsError
        As `freqprep.convert.convert` would raise them.
    """
    found = discover(request)
    store_exists(request.store)  # refuses anything else at this path
    partials = {name: unfinished_split(request.store, name) for name in found.listings}
    refuse_existing(request, partials)
    todo = pending(partials, request.resume)
    classes = class_list(request, found, set(todo))
    return {
        name: _estimate(
            plan_split(request, found.listings[name], found.classes, classes),
            request.root,
            request.workers,
        )
        for name in todo
    }


def _estimate(plan: SplitPlan, root: AnyPath, workers: engines.Workers) -> Estimate:
    encoding = plan.attributes.encoding
    jobs = min(workers.count, plan.shards)
    compiled = worth_compiling(len(plan.listing) // jobs)
    if compiled:
        compile_coding(encoding)
    tables = ImageFiles.of_images(root, plan.listing, _sampled_images(plan))
    with unpacked(tables, f"read {plan.attributes.split}") as files:
        sample = _encode(files, encoding, compiled, plan.attributes.level)
    class_counts, objects = _counts(plan)
    arrays = len(IMAGE_ARRAYS) + (len(OBJECT_ARRAYS) if plan.listing.objects is not None else 0)
    if isinstance(plan.listing.files, FileTable):
        source_bytes = int(plan.listing.files.length.sum())
    else:
        source_bytes = int(np.maximum(files.table.length, 0).mean() * len(plan.listing))
    return Estimate(
        images=len(plan.listing),
        shards=plan.shards,
        files=plan.shards + 2 * arrays + _OTHER_FILES,
        classes=len(plan.attributes.class_ids),
        class_counts=class_counts,
        objects=objects,
        geometry=asdict(encoding.geometry),
        stored_bytes=estimated_bytes(len(plan.listing), sample.stored_bytes / len(files)),
        source_bytes=source_bytes,
        minutes=sample.seconds / len(files) * len(plan.listing) / jobs / 60,
        memory_bytes=memory_bound(encoding, jobs, len(plan.listing), unpackers(plan, workers)),
        sampled=len(files),
        shrunk_in_sample=sample.shrunk,
        rejected_in_sample=dict(sorted(sample.reasons.items())),
        ignored=plan.listing.ignored,
    )


def _sampled_images(plan: SplitPlan) -> np.ndarray:
    """Return as many images of the listing as a shard has: chunks of fewer compress less."""
    runs = plan.listing.runs
    if runs is None:
        return plan.order.take(evenly_spread(len(plan.listing), ROWS_PER_SHARD))
    # Of tables the beginnings of some runs: to read any row is to read those before it.
    chosen = evenly_spread(len(runs), _RUNS_SAMPLED)
    each = -(-ROWS_PER_SHARD // len(chosen))
    first, lengths = (np.cumsum(runs) - runs)[chosen], np.minimum(runs[chosen], each)
    listed = [np.arange(begin, begin + n) for begin, n in zip(first, lengths, strict=True)]
    return np.concatenate(listed)[:ROWS_PER_SHARD]


class _Sample(NamedTuple):
    stored_bytes: int
    seconds: float
    shrunk: int
    reasons: Counter[str]


def _encode(files: ImageFiles, encoding: Encoding, compiled: bool, level: int) -> _Sample:
    encoder = Encoder(encoding, compiled)
    codes = np.zeros((CHANNELS, len(files), *encoding.geometry.grid), encoding.dtype)
    reasons, shrunk = Counter[str](), 0
    began = time.process_time()
    for index, source_image in enumerate(files.images()):
        try:
            image = source_image.encode(encoder, codes[:, index])
            shrunk += max(image.source_size) > max(image.size)
        except ImageDefect as defect:
            reasons[defect.reason] += 1
    stored = sum(len(part) for part in shard.encode(codes, level))
    return _Sample(stored, time.process_time() - began, shrunk, reasons)


def _counts(plan: SplitPlan) -> tuple[ClassCounts, ObjectCounts | None]:
    """Count the listed images and objects of each class."""
    ids, names = plan.attributes.class_ids, plan.attributes.class_names
    objects = plan.listing.objects
    if objects is None:
        return count_labels(ids, names, plan.listing.labels), None
    listed = np.ones(len(plan.listing), bool)
    return count_objects(ids, names, listed, objects.offsets, objects.label, objects.iscrowd)
