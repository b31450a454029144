"""Ten million rows of tables without images: what listing and planning them takes.

Parquet files are written with empty images, paths and labels, in row groups of 100, as the Hugging
Face hub has them; then the functions that the commands call list, plan, save and load them, hand
out shards and read all rows in order. Seconds are the processor's. Memory is what the process had
to itself at most, beyond what it held before the step; pages of files, which the system may drop,
are stated apart.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from freqprep.convert.planning import discover, plan_split
from freqprep.convert.request import Request
from freqprep.convert.shard_task import ImageFiles
from freqprep.sources import Discovered
from freqprep.store.layout import root_document
from freqprep.store.plan import SplitPlan, load_plan, save_plan
from freqprep.store.writer import PartialSplit
from tests.benchmarks.table import show

ROWS = 10_000_000
BILLION = 10**9
GROUP = 100
_ROWS_A_FILE = 250_000
_CLASSES = 1000
_SHARDS_HANDED_OUT = 1280
_EVERY = 0.005


@dataclass(frozen=True)
class Taken:
    """Processor seconds of a step, its peak of memory, and the pages of files beside it."""

    seconds: float
    peak_bytes: int
    file_bytes: int


def run(data: Path, folder: Path, images: int = ROWS) -> dict[str, object]:
    """Measure and extrapolate."""
    tables = folder / "tables"
    write(tables, images)
    report = folder / "report.json"
    words = ["-m", "tests.benchmarks.table_rows", folder, report]
    subprocess.run([sys.executable, *map(str, words)], check=True)
    steps = {name: Taken(**taken) for name, taken in json.loads(report.read_text()).items()}
    times = BILLION / images
    header = (f"{images:,} rows of tables", "CPU s", "peak MB", "bytes a row", "files MB")
    header += ("a billion: CPU s", "peak GB")
    show(
        header,
        [
            (
                name,
                step.seconds,
                step.peak_bytes / 1e6,
                step.peak_bytes / images,
                step.file_bytes / 1e6,
                step.seconds * times,
                step.peak_bytes * times / 1e9,
            )
            for name, step in steps.items()
        ],
    )
    return {name: asdict(step) for name, step in steps.items()}


def write(tables: Path, images: int, group: int = GROUP, rows_a_file: int = _ROWS_A_FILE) -> None:
    """Write tables of so many rows; all images are empty."""
    tables.mkdir(parents=True)
    files = -(-images // rows_a_file)
    for number, first in enumerate(range(0, images, rows_a_file)):
        rows = range(first, min(first + rows_a_file, images))
        paths = pa.array([f"n01440764_{row:010d}.JPEG" for row in rows])
        cells = pa.StructArray.from_arrays([pa.array([b""] * len(rows)), paths], ["bytes", "path"])
        table = pa.table({"image": cells, "label": np.arange(len(rows)) % _CLASSES})
        path = tables / f"train-{number:05}-of-{files:05}.parquet"
        pq.write_table(table, path, row_group_size=group, use_dictionary=False)


def measure(folder: Path) -> dict[str, Taken]:
    """List and plan the tables in this process."""
    steps: dict[str, Taken] = {}

    def step(name: str, work: Callable[[], Any]) -> Any:
        steps[name], result = taken(work)
        return result

    request = Request("parquet", folder / "tables", folder / "s.zarr", size=8, jobs=1)
    partial = PartialSplit(request.store, "train")
    partial.start()
    (request.store / "zarr.json").write_bytes(root_document())
    found = [step("list", lambda: discover(request))]
    plans = [step("plan", lambda: _plan(request, found.pop()))]
    step("save the plan", lambda: save_plan(plans.pop(), partial.folder))
    plan = step("load the plan", lambda: load_plan(partial.folder))
    step(f"files of {_SHARDS_HANDED_OUT} shards", lambda: _hand_out(plan))
    step("all rows in order", lambda: _read(plan))
    return steps


def _plan(request: Request, found: Discovered) -> SplitPlan:
    return plan_split(request, found.listings["train"], found.classes, found.classes)


def _hand_out(plan: SplitPlan) -> None:
    for shard in range(min(plan.shards, _SHARDS_HANDED_OUT)):
        ImageFiles.of_rows(Path(), plan, plan.shard_rows(shard))


def _read(plan: SplitPlan) -> None:
    """Read what publication writes."""
    for _, index in plan.blocks():
        plan.listing.keys.take(index)
        plan.listing.labels[index]


def taken(work: Callable[[], Any]) -> tuple[Taken, Any]:
    """Do some work; return what it took and its result."""
    before, most, done = _memory(), [(0, 0)], threading.Event()

    def watch() -> None:
        while not done.wait(_EVERY):
            most.append(_memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.process_time()
    try:
        result = work()
        seconds = time.process_time() - began
    finally:
        done.set()
        watcher.join()
    most.append(_memory())
    peaks = (max(own for own, _ in most), max(files for _, files in most))
    return Taken(seconds, peaks[0] - before[0], peaks[1] - before[1]), result


def _memory() -> tuple[int, int]:
    """Memory of this process alone, and pages of files that it maps, in bytes."""
    status = Path("/proc/self/status").read_text()
    own, files = (
        1024 * int(status.split(f"{name}:")[1].split()[0]) for name in ("RssAnon", "RssFile")
    )
    return own, files


if __name__ == "__main__":
    place, report = sys.argv[1:]
    found = measure(Path(place))
    Path(report).write_text(json.dumps({name: asdict(step) for name, step in found.items()}))
