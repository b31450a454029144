"""Ten million rows without images: what each step takes, and what a billion would by that.

The functions that the commands call plan, record, publish and open a split, verify its arrays and
draw an epoch of one rank of sixteen. Shards are empty files, and nothing is synced to disk. Writing
and reading are processes of their own; seconds are the processor's, memory is the peak of a step
beyond what was held before. Then as many rows of tables are planned (`table_rows`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from freqprep.convert.planning import plan_split
from freqprep.convert.publication import publish_results
from freqprep.convert.request import Request
from freqprep.spectrum.channels import CHANNELS
from freqprep.spectrum.moments import Moments
from freqprep.store.journal import RowResults, ShardResult
from freqprep.store.layout import root_document, shard_path
from freqprep.store.plan import SplitPlan, load_plan, save_plan, shard_count
from freqprep.store.reader import open_store
from freqprep.store.writer import PartialSplit
from freqprep.streaming.order import Order, reads
from freqprep.streaming.shuffling import choose_plan
from tests.benchmarks import scale, table_rows
from tests.benchmarks.scale import SHARD_BYTES, WINDOW_BYTES, Spent, Step, spent
from tests.benchmarks.table import show

ROWS = 10_000_000
BILLION = 10**9
RANKS = 16
_PATTERNS = 64
"""Different results of shards; all others repeat them."""


def run(data: Path, folder: Path, images: int = ROWS) -> dict[str, object]:
    """Measure and extrapolate."""
    taken, sizes = {}, {}
    for part in ("write", "read"):
        report = folder / f"{part}.json"
        words = ["-m", "tests.benchmarks.rows", folder, str(images), part, report]
        subprocess.run([sys.executable, *map(str, words)], check=True)
        found = json.loads(report.read_text())
        taken |= {name: Spent(**figures) for name, figures in found["steps"].items()}
        sizes |= found["bytes"]
    times = BILLION / images
    header = (f"{images:,} rows", "CPU s", "peak MB", "a billion: CPU s", "peak GB")
    show(
        header,
        [
            (
                name,
                step.seconds,
                step.peak_bytes / 1e6,
                step.seconds * times,
                step.peak_bytes * times / 1e9,
            )
            for name, step in taken.items()
        ],
    )
    print()
    lines = [(name, size / 1e6, size * times / 1e9) for name, size in sizes.items()]
    show(("bytes", "MB", "a billion: GB"), lines)
    print()
    tables = table_rows.run(data, folder / "of-tables", images)
    steps = {name: asdict(step) for name, step in taken.items()}
    return {"steps": steps, "bytes": sizes, "tables": tables}


def measure(folder: Path, images: int, part: str) -> dict[str, Any]:
    """Measure the steps of one part in this process."""
    steps: dict[str, Spent] = {}

    def step(name: str, work: Any) -> Any:
        steps[name], result = spent(work)
        return result

    request = Request("imagefolder", folder, folder / "s.zarr", size=scale.SIDE, jobs=1)
    sizes = {"write": _write, "read": _read}[part](step, request, images)
    return {"steps": {name: asdict(taken) for name, taken in steps.items()}, "bytes": sizes}


def _write(step: Step, request: Request, images: int) -> dict[str, int]:
    listings, classes = [scale._listing(images, request.kind)], scale._classes()
    partial = PartialSplit(request.store, "train")
    partial.start()
    (request.store / "zarr.json").write_bytes(root_document())
    plan = step("plan", lambda: plan_split(request, listings.pop(), classes, classes))
    step("save the plan", lambda: save_plan(plan, partial.folder))
    del plan
    plan = step("load the plan", lambda: load_plan(partial.folder))
    for shard in range(plan.shards):
        path = shard_path(partial.split_folder, shard)
        path.parent.mkdir(parents=True)
        path.touch()
    step("journal", lambda: _record(partial, plan))
    (journal,) = partial.folder.glob("journal.*")
    length = journal.stat().st_size
    with step("open the journal", lambda: partial.journal(ShardResult)) as opened:
        step("publish", lambda: publish_results(partial, plan, opened.finished))
    split = request.store / "train"
    small = [path for path in split.rglob("*") if path.is_file() and path.stat().st_size]
    listed = [path for path in small if path.parent.name == "shards"]
    return {
        "journal": length,
        "manifest": (split / "manifest.json").stat().st_size,
        "parts of the manifest": sum(path.stat().st_size for path in listed),
        "small arrays": sum(path.stat().st_size for path in small if path not in set(listed)),
    }


def _record(partial: PartialSplit, plan: SplitPlan) -> None:
    with partial.journal(ShardResult) as journal:
        for result in _results(plan):
            journal.append(result)


def _results(plan: SplitPlan) -> Iterator[ShardResult]:
    """Yield results of photographs: sizes, errors and sums of any value."""
    random = np.random.RandomState(0)
    patterns = []
    for _ in range(_PATTERNS):
        rows = RowResults.empty(128)
        rows.valid[:] = True
        rows.size[:] = random.randint(1, scale.SIDE + 1, (128, 2))
        rows.source_size[:] = random.randint(200, 3000, (128, 2))
        rows.source_bytes[:] = random.randint(10_000, 300_000, 128)
        rows.saturated[:] = random.randint(0, 40, 128)
        rows.luma_squared_error[:] = random.random_sample(128) * 1e6
        sums = random.randint(-(10**7), 10**7, CHANNELS), random.randint(0, 10**9, CHANNELS)
        patterns.append((rows, Moments(128 * 3000, *(part.astype(np.int64) for part in sums))))
    for shard in range(plan.shards):
        rows, moments = patterns[shard % _PATTERNS]
        count = len(plan.shard_rows(shard))
        digest = sha256(b"%d" % shard).hexdigest()
        yield ShardResult(shard, digest, 0, rows.rows(range(count)), moments)


def _read(step: Step, request: Request, images: int) -> dict[str, int]:
    def opened() -> Any:
        split = open_store(request.store)["train"]
        split.labels, split.valid, split.sizes  # noqa: B018
        return split

    step("open, the first on a machine", opened)
    split = step("open, another process", opened)
    order = step("order: of all epochs", lambda: _order(split.valid))
    step("order: an epoch of a rank", lambda: _epoch(order))
    return {}


def _order(valid: np.ndarray) -> Order:
    plan = choose_plan(shard_count(len(valid)), SHARD_BYTES, WINDOW_BYTES)
    return Order(valid, plan, batch_size=256, world_size=RANKS)


def _epoch(order: Order) -> None:
    for section in order.sections(1):
        reads(section)


if __name__ == "__main__":
    place, rows, what, report = sys.argv[1:]
    os.fsync = lambda _: None  # tens of thousands of them would be minutes of the disk
    Path(report).write_text(json.dumps(measure(Path(place), int(rows), what)))
