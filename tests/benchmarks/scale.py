"""Conversion and verification without the images, for 100,000 and for a million rows.

A step that takes ten times as long for ten times the rows is linear; one that takes longer does
not scale. Rows, files, objects and results are synthetic; the shards are real, with one block per
image. Times are processor times, so that other load has little effect. `growth` does the same
without objects, at more sizes, beside the model of docs/scale.md.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from freqprep.convert.planning import plan_split
from freqprep.convert.publication import publish_results
from freqprep.convert.request import Request
from freqprep.convert.retry_rejected import prepare_retry
from freqprep.convert.shard_runs import shard_tasks
from freqprep.ragged import Ragged
from freqprep.sources import Classes, FileTable, Listing
from freqprep.sources.listing import Objects
from freqprep.spectrum.channels import CHANNELS
from freqprep.spectrum.moments import Moments
from freqprep.storage.disk import write_parts
from freqprep.store import shard as shard_bytes
from freqprep.store.journal import RowResults, ShardResult
from freqprep.store.layout import root_document, shard_path
from freqprep.store.plan import SplitPlan, load_plan, save_plan, shard_count
from freqprep.store.reader import open_store
from freqprep.store.row_order import permutation
from freqprep.store.schema import ROWS_PER_SHARD
from freqprep.store.verify import _check_shard, _CheckTask
from freqprep.store.verify_arrays import array_problems, shape_problems
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


@dataclass(frozen=True)
class Spent:
    """Processor seconds of a step, bytes held after it, and its peak beyond those before."""

    seconds: float
    held_bytes: int
    peak_bytes: int


def run(data: Path, folder: Path) -> dict[str, object]:
    """Compare the sizes."""
    few, many = (measured(folder / str(images), images, "coco") for images in SIZES)
    header = ("step", *(f"{images:,} rows: CPU s" for images in SIZES), "times", "MB held after it")
    show(
        header,
        [
            (
                name,
                few[name].seconds,
                many[name].seconds,
                many[name].seconds / few[name].seconds,
                many[name].held_bytes / 1e6,
            )
            for name in few
        ],
    )
    return {name: [asdict(few[name]), asdict(many[name])] for name in few}


def measured(place: Path, images: int, kind: str) -> dict[str, Spent]:
    """Measure the steps of one size, writing and reading each in a process of its own."""
    place.mkdir(exist_ok=True)
    found = {}
    for part in ("write", "read"):
        report = place / f"{part}.json"
        words = ["-m", "tests.benchmarks.scale", place, str(images), kind, part, report]
        subprocess.run([sys.executable, *words], check=True)
        found |= json.loads(report.read_text())
    return {name: Spent(**figures) for name, figures in found.items()}


def measure(folder: Path, images: int, kind: str, part: str) -> dict[str, Spent]:
    """Measure the steps of one part in this process."""
    figures: dict[str, Spent] = {}

    def step(name: str, work: Callable[[], Any]) -> Any:
        figures[name], result = spent(work)
        return result

    request = Request(kind, folder, folder / "s.zarr", size=SIDE, jobs=1)
    {"write": _write, "read": _read}[part](step, request, images)
    return figures


def spent(work: Callable[[], Any]) -> tuple[Spent, Any]:
    """Do some work; return what it took and its result."""
    before = resident_bytes()
    _CLEAR.write_text("5")  # the high-water mark starts again from here
    began = time.process_time()
    result = work()
    seconds = time.process_time() - began
    return Spent(seconds, resident_bytes(), resident_bytes("VmHWM") - before), result


_CLEAR = Path("/proc/self/clear_refs")


def resident_bytes(what: str = "VmRSS") -> int:
    """Resident memory of this process, or with ``VmHWM`` the most since it was cleared."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split(f"{what}:")[1].split()[0])


def _write(step: Step, request: Request, images: int) -> None:
    listing, classes = _listing(images, request.kind), _classes()
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
        lambda: _count(
            shard_tasks(
                plan,
                request.root,
                request.workers,
                partial.split_folder,
                aside,
                range(plan.shards),
                compiled=False,
            )
        ),
    )
    results = list(_results(plan, partial, aside))
    step("journal", lambda: _journal(partial, results))
    with step("read the journal", lambda: partial.journal(ShardResult)) as journal:
        step("publish", lambda: publish_results(partial, plan, journal.finished))


def _read(step: Step, request: Request, images: int) -> None:
    split = step("open", lambda: open_store(request.store)["train"])
    step("labels, valid, sizes", lambda: (split.labels, split.valid, split.sizes))
    if split.has_boxes:
        step("objects", lambda: split.objects)
    step("an epoch's order", lambda: _order(split.valid))
    again, listing = PartialSplit(request.store, "train"), _listing(images, request.kind)
    step("make ready to retry", lambda: prepare_retry(again, split, listing, Path()))
    split = open_store(request.store)["train"]
    wrong = step("verify: small arrays", lambda: [*shape_problems(split), *array_problems(split)])
    few = range(min(SHARDS_VERIFIED, split.shards))
    tasks = [_CheckTask(split.path, shard, split.content_id) for shard in few]
    found = step(f"verify: {len(tasks)} shards", lambda: list(map(_check_shard, tasks)))
    assert not wrong and not any(what for _, _, what in found), (wrong, found[:3])


def _listing(images: int, kind: str) -> Listing:
    form = b"%012d.jpg" if kind == "coco" else b"n01440764/n01440764_%08d.JPEG"
    keys = Ragged.of_bytes(form % number for number in range(images))
    fixed = np.full(images, 110_000, np.int64)
    files = FileTable(keys, np.full(images, -1, np.int64), fixed, fixed)
    if kind != "coco":
        return Listing("train", "train", keys, np.arange(images) % CLASSES, files)
    return Listing(
        "train",
        "train2017",
        keys,
        np.full(images, -1, np.int64),
        files,
        image_ids=np.arange(images),
        stated_sizes=np.full((images, 2), SIDE, np.int32),
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
    entry = write_parts(first, shard_bytes.encode(codes, plan.attributes.level), aside)
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
    with partial.journal(ShardResult) as journal:
        for result in results:
            journal.append(result)


def _order(valid: np.ndarray) -> None:
    shuffle = choose_plan(shard_count(len(valid)), SHARD_BYTES, WINDOW_BYTES)
    reads(Order(valid, shuffle, batch_size=256).batches(1))


def _count(items: Iterator[object]) -> int:
    return sum(1 for _ in items)


if __name__ == "__main__":
    place, rows, kind, what, report = sys.argv[1:]
    found = measure(Path(place), int(rows), kind, what)
    Path(report).write_text(json.dumps({name: asdict(spent) for name, spent in found.items()}))
