"""Conversion and verification without the images, for 100,000 and for a million rows.

A step that takes ten times as long for ten times the rows is linear; one that takes longer does
not scale. Rows, files, objects and results are synthetic; the shards are real, with one block per
image. Times are processor times, so that other load has little effect.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from freqprep.convert.planning import plan_split
from freqprep.convert.request import Request
from freqprep.convert.retry_rejected import prepare_retry
from freqprep.convert.run import _publish
from freqprep.convert.shard_runs import _tasks
from freqprep.ragged import Ragged
from freqprep.sources import Classes, FileTable, Listing
from freqprep.sources.listing import Objects
from freqprep.spectrum.channels import CHANNELS
from freqprep.spectrum.moments import Moments
from freqprep.storage.disk import write_parts
from freqprep.store import shard as shard_bytes
from freqprep.store.journal import Journal, RowResults, ShardResult
from freqprep.store.layout import root_document, shard_path
from freqprep.store.plan import SplitPlan, load_plan, permutation, save_plan, shard_count
from freqprep.store.reader import open_store
from freqprep.store.schema import ROWS_PER_SHARD
from freqprep.store.verify import _array_problems, _check_shard, _CheckTask, _shape_problems
from freqprep.store.writer import PartialSplit
from freqprep.streaming.order import Order, reads
from freqprep.streaming.shuffling import choose_plan
from tests.benchmarks.table import show

SIZES = (100_000, 1_000_000)
CLASSES = 1000
SIDE = 8
SHARDS_VERIFIED = 100
OBJECTS_AN_IMAGE = 1
POLYGONS = (b"[[1,2,4,2,4,5,1,5]]", *9 * [b"[]"])
SHARD_BYTES, WINDOW_BYTES = 100 * 2**20, 2**30  # for the row order: as if images were large

Step = Callable[[str, Callable[[], Any]], Any]


def run(data: Path, folder: Path) -> dict[str, object]:
    """Compare the sizes, each in its own process, to measure memory separately."""
    found: list[dict[str, tuple[float, float]]] = []
    for images in SIZES:
        place = folder / str(images)
        place.mkdir(exist_ok=True)
        for part in ("write", "read"):
            report = place / f"{part}.json"
            words = ["-m", "tests.benchmarks.scale", place, str(images), part, report]
            subprocess.run([sys.executable, *words], check=True)
        found.append(
            {
                name: figures
                for part in ("write", "read")
                for name, figures in json.loads((place / f"{part}.json").read_text()).items()
            }
        )
    few, many = found
    header = ("step", *(f"{images:,} rows: CPU s" for images in SIZES), "times", "MB held after it")
    show(
        header,
        [
            (name, few[name][0], many[name][0], many[name][0] / few[name][0], many[name][1])
            for name in few
        ],
    )
    return {name: [few[name], many[name]] for name in few}


def measure(folder: Path, images: int, part: str) -> dict[str, tuple[float, float]]:
    """Seconds of each step, and resident megabytes of the process after it."""
    figures: dict[str, tuple[float, float]] = {}

    def step(name: str, work: Callable[[], Any]) -> Any:
        began = time.process_time()
        result = work()
        seconds = time.process_time() - began
        figures[name] = (seconds, psutil.Process().memory_info().rss / 1e6)
        return result

    request = Request("coco", folder, folder / "s.zarr", size=SIDE, jobs=1)
    {"write": _write, "read": _read}[part](step, request, images)
    return figures


def _write(step: Step, request: Request, images: int) -> None:
    listing, classes = _listing(images), _classes()
    partial = PartialSplit(request.store, "train")
    partial.start()
    (request.store / "zarr.json").write_bytes(root_document())
    step("permutation", lambda: permutation(images, 0))
    plan = step("plan", lambda: plan_split(request, listing, classes, classes))
    step("save the plan", lambda: save_plan(plan, partial.folder))
    step("load the plan", lambda: load_plan(partial.folder))
    aside = partial.folder / "tmp-aside"
    aside.mkdir()
    step(
        "tasks of all shards",
        lambda: _count(_tasks(request, plan, partial, aside, range(plan.shards), False)),
    )
    results = list(_results(plan, partial, aside))
    step("journal", lambda: _journal(partial, results))
    with step("read the journal", lambda: Journal(partial.journal_path, ShardResult)) as journal:
        step("publish", lambda: _publish(partial, plan, journal, aside))


def _read(step: Step, request: Request, images: int) -> None:
    split = step("open", lambda: open_store(request.store)["train"])
    step("labels, valid, sizes", lambda: (split.labels, split.valid, split.sizes))
    step("objects", lambda: split.objects)
    step("an epoch's order", lambda: _order(split.valid))
    again, listing = PartialSplit(request.store, "train"), _listing(images)
    step("make ready to retry", lambda: prepare_retry(again, split, listing, Path()))
    split = open_store(request.store)["train"]
    wrong = step("verify: small arrays", lambda: [*_shape_problems(split), *_array_problems(split)])
    tasks = [_CheckTask(split.path, shard, split.content_id) for shard in range(SHARDS_VERIFIED)]
    found = step(f"verify: {SHARDS_VERIFIED} shards", lambda: list(map(_check_shard, tasks)))
    assert not wrong and not any(what for _, _, what in found), (wrong, found[:3])


def _listing(images: int) -> Listing:
    labels = np.full(images, -1, np.int64)
    keys = Ragged.of_bytes(b"%012d.jpg" % number for number in range(images))
    fixed = np.full(images, 110_000, np.int64)
    sizes = np.full((images, 2), SIDE, np.int32)
    return Listing(
        "train",
        "train2017",
        keys,
        labels,
        FileTable(keys, np.full(images, -1, np.int64), fixed, fixed),
        image_ids=np.arange(images),
        stated_sizes=sizes,
        objects=_objects(images),
    )


def _objects(images: int) -> Objects:
    count = OBJECTS_AN_IMAGE * images
    numbers = np.arange(count)
    annotation = Ragged.of_bytes(
        b'{"id":%d,"image_id":%d,"category_id":%d,"iscrowd":0,"area":9.0,"bbox":[1,2,3,3],'
        b'"segmentation":%b}'
        % (number, number // OBJECTS_AN_IMAGE, number % CLASSES, POLYGONS[number % len(POLYGONS)])
        for number in range(count)
    )
    return Objects(
        offsets=np.arange(images + 1) * OBJECTS_AN_IMAGE,
        box=np.tile([1.0, 2.0, 3.0, 3.0], (count, 1)),
        label=numbers % CLASSES,
        area=np.full(count, 9.0),
        iscrowd=np.zeros(count, bool),
        annotation_id=numbers,
        annotation=annotation,
    )


def _classes() -> Classes:
    return Classes(tuple(range(CLASSES)), tuple(f"class {label}" for label in range(CLASSES)))


def _results(plan: SplitPlan, partial: PartialSplit, aside: Path) -> Iterator[ShardResult]:
    """Yield results of shards linked to one file of grey images; those of the first are missing."""
    encoding = plan.attributes.encoding
    codes = np.zeros((CHANNELS, ROWS_PER_SHARD, *encoding.geometry.grid), np.int8)
    first = partial.folder / "shard"
    entry = write_parts(first, shard_bytes.encode(codes), aside)
    for shard in range(plan.shards):
        path = shard_path(partial.split_folder, shard)
        path.parent.mkdir(parents=True)
        os.link(first, path)
        mine = plan.shard_rows(shard)
        rows = RowResults.empty(len(mine))
        rows.source_bytes[:] = 110_000
        if shard:
            rows.valid[:] = True
            rows.size[:] = rows.source_size[:] = SIDE
        moments = Moments(len(mine) if shard else 0, *np.zeros((2, CHANNELS), np.int64))
        defects = {} if shard else dict.fromkeys(mine, "missing: no such file")
        yield ShardResult(shard, entry.sha256, entry.file_bytes, rows, moments, defects)


def _journal(partial: PartialSplit, results: list[ShardResult]) -> None:
    with Journal(partial.journal_path, ShardResult) as journal:
        for result in results:
            journal.append(result)


def _order(valid: np.ndarray) -> None:
    shuffle = choose_plan(shard_count(len(valid)), SHARD_BYTES, WINDOW_BYTES)
    reads(Order(valid, shuffle, batch_size=256).batches(1))


def _count(items: Iterator[object]) -> int:
    return sum(1 for _ in items)


if __name__ == "__main__":
    place, rows, what, report = sys.argv[1:]
    Path(report).write_text(json.dumps(measure(Path(place), int(rows), what)) + "\n")
