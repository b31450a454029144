"""What one full shard costs: processor time of one core, bytes and requests.

These are the figures that docs/scale_model.py multiplies; it says which of them it uses.
"""

from __future__ import annotations

import dataclasses
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import freqprep
from freqprep.convert.planning import discover, plan_split
from freqprep.convert.request import Request
from freqprep.convert.run import convert
from freqprep.convert.shard_task import ImageFiles, ShardTask, compile_coding, convert_shard
from freqprep.importance.collect import shard_rows
from freqprep.importance.shard_counts import CountTask, count_shards
from freqprep.importance.sums import Sums
from freqprep.spectrum.channels import CHANNELS, STORED_POSITION, ranges
from freqprep.store.journal import Journal, ShardResult
from freqprep.store.plan import SplitPlan, make_plan, save_plan
from freqprep.store.reader import Split
from freqprep.store.root import open_or_create_root
from freqprep.store.row_order import permutation
from freqprep.store.schema import ROWS_PER_SHARD
from freqprep.store.shard import index_bytes
from freqprep.store.verify import _check_shard
from freqprep.store.writer import PartialSplit
from tests.benchmarks.epochs import loaded
from tests.benchmarks.table import show

SELECTIONS = ("square-24", "paper-64", None)
_COPIES = 8  # shards
_SHARDS = 3
_ROUNDS = 3


def run(data: Path, folder: Path) -> dict[str, object]:
    """Measure everything in turn, in one process on one core; the best of the rounds."""
    source = data / "imagenet"
    request = Request("imagenet", source, folder / "s.zarr", jobs=1, resume=True)
    plan = _repeated(request)
    convert(request)
    split = freqprep.open_store(request.store)["train"]
    compile_coding(request.encoding)
    tasks = {compiled: _tasks(request, plan, folder, compiled) for compiled in (False, True)}
    counts = [CountTask(split.path, split.content_id, shard, 1, None) for shard in range(_SHARDS)]
    together = count_shards(CountTask(split.path, split.content_id, 0, _COPIES, None))
    checks = [(split.path, shard, split.content_id) for shard in range(_SHARDS)]
    results = [convert_shard(task) for task in tasks[True]]
    counted = [count_shards(task) for task in counts]
    ways: dict[str, Callable[[], Any]] = {
        "convert, NumPy": lambda: [convert_shard(task) for task in tasks[False]],
        "convert, compiled": lambda: [convert_shard(task) for task in tasks[True]],
        "stats": lambda: [count_shards(task) for task in counts],
        "stats, added up in the main process": lambda: _add(split, counted),
        f"the same, {_COPIES} shards at once, all": lambda: _add(split, [together] * _SHARDS),
        "verify": lambda: [_check_shard(task) for task in checks],
        "journal, in the main process": lambda: _append(folder / "journal", results),
    }
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(_ROUNDS):  # interleaved, so that other load affects all alike
        for name, way in ways.items():
            began = time.process_time()
            way()
            best[name] = min(best[name], (time.process_time() - began) / _SHARDS)
    best |= {f"load {name or 'all 192'}": _loaded(split, name) for name in SELECTIONS}
    show(("a shard of 128 images", "CPU ms"), [(name, 1e3 * cost) for name, cost in best.items()])
    print()
    first = plan.listing.files.take(plan.order.take(plan.shard_rows(0)))
    sizes = {
        "source files": int(first.length.sum()),
        "shard": split.shard_table.entry(0).file_bytes,
        "task of a conversion, pickled": len(pickle.dumps(tasks[True][0])),
        "result of a conversion, pickled": len(pickle.dumps(results[0])),
        "line of the journal": (folder / "journal").stat().st_size // _SHARDS,
        "result of stats, pickled": len(pickle.dumps(counted[0])),
        f"the same, {_COPIES} shards at once, all": len(pickle.dumps(together)),
    }
    show(("a shard of 128 images", "bytes"), list(sizes.items()))
    print()
    read = {selection or "all 192": _read(split, selection) for selection in SELECTIONS}
    show(
        ("channels", "bytes an image", "requests a shard"),
        [(name, length, requests) for name, (length, requests) in read.items()],
    )
    return {"cpu_seconds": best, "bytes": sizes, "reading": read}


def _repeated(request: Request) -> SplitPlan:
    """Begin a split whose shards each have the same 128 different images.

    Copies in one shard would compress like one image.
    """
    found = discover(request)
    plan = plan_split(request, found.listings["train"], found.classes, found.classes)
    again = np.tile(np.arange(ROWS_PER_SHARD), _COPIES)
    images = np.empty(len(again), np.int64)  # each row is to have its image, whatever the order
    images[permutation(len(again), request.seed)] = plan.order.take(again)
    attributes = dataclasses.replace(plan.attributes, images=len(again))
    plan = make_plan(plan.listing.take(images), attributes)
    open_or_create_root(request.store)
    partial = PartialSplit(request.store, "train")
    partial.start()
    save_plan(plan, partial.folder)
    return plan


def _tasks(request: Request, plan: SplitPlan, folder: Path, compiled: bool) -> list[ShardTask]:
    aside = folder / "aside"
    aside.mkdir(exist_ok=True)
    return [
        ShardTask(
            shard,
            plan.shard_rows(shard).start,
            ImageFiles.of_rows(request.source, plan, plan.shard_rows(shard)),
            request.encoding,
            compiled,
            request.level,
            folder / "split",
            aside,
        )
        for shard in range(_SHARDS)
    ]


def _add(split: Split, counted: list[Any]) -> None:
    largest = split.attributes.encoding.precision.largest_code
    sums = Sums.zero(largest, len(split.attributes.class_ids), False)
    for counts in counted:
        sums.add_shards(counts, shard_rows(split, counts.shard, counts.shards))


def _append(path: Path, results: list[ShardResult]) -> None:
    path.unlink(missing_ok=True)
    with Journal(path, ShardResult) as journal:
        for result in results:
            journal.append(result)


def _loaded(split: Split, selection: str | None) -> float:
    """Seconds a shard of whole epochs in lanes, with the reading threads."""
    with freqprep.Loader(split, selection, lanes=1, window_bytes=2**28) as loader:
        loaded(loader)  # untimed: touches new memory
        return min(loaded(loader) for _ in range(_ROUNDS)) * ROWS_PER_SHARD


def _read(split: Split, selection: str | None) -> tuple[float, int]:
    """Bytes an image, and requests a shard: its index and each run of channels."""
    positions = sorted(STORED_POSITION[i] for i in freqprep.channels(selection).indices)
    with split.open_shard(0) as file:
        total = int(file.chunk_lengths[positions].sum()) + index_bytes(CHANNELS)
    return total / ROWS_PER_SHARD, 1 + len(list(ranges(positions)))
