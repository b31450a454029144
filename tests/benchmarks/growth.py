"""What grows with rows and tasks, measured without pixels beside the model of docs/scale.md.

Plan, journal, manifest and order are made by the functions that commands call, for 10,000 to a
million rows. A cluster is simulated event by event: one scheduler, one main process, and workers.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from freqprep.convert.planning import discover, plan_split
from freqprep.convert.request import Request
from freqprep.storage.disk import FileEntry
from freqprep.store.manifest import Manifest
from tests.benchmarks import scale
from tests.benchmarks.scale_model import (
    DATA_SETS,
    DataSet,
    Model,
    bytes_of,
    conversion,
)
from tests.benchmarks.scale_tables import WORKERS, duration
from tests.benchmarks.table import show

SIZES = (10_000, 100_000, 1_000_000)
LARGER = 8_000_000  # without a file for each shard; above 2**23 `rows` measures
_MOST_FILES = 100_000
_SPREAD = 0.15  # of the time of a task
_AHEAD = 2  # tasks a worker


def run(data: Path, folder: Path) -> dict[str, object]:
    """Compare rows, then clusters."""
    model = Model()
    rows = [line for images in SIZES for line in _rows(model, images, folder / str(images))]
    rows += _in_memory(model, LARGER)
    show(("rows", "what", "measured", "model", "of the model"), rows)
    print()
    tasks = [_cluster(model, data_set, count) for data_set in DATA_SETS for count in WORKERS]
    show(("", "cores", "tasks", "simulated", "model", "of the model"), tasks)
    return {"rows": rows, "tasks": tasks}


def _rows(model: Model, images: int, folder: Path) -> list[tuple[object, ...]]:
    costs, data = model.costs, DataSet("", images)
    spent = scale.measured(folder, images, "imagefolder")
    split = folder / "s.zarr/train"
    planning = ("permutation", "plan", "save the plan", "load the plan")
    seconds = {
        "planning": (sum(spent[name].seconds for name in planning), images * costs.plan_row),
        "hand out": (spent["tasks of all shards"].seconds, data.shards * costs.hand_out),
        "record": (spent["journal"].seconds, data.shards * costs.record),
        "publish": (spent["publish"].seconds, costs.imports + images * costs.publish_row),
        "open": (
            spent["open"].seconds + spent["labels, valid, sizes"].seconds,
            costs.imports + data.shards * costs.open_shard + images * costs.read_row,
        ),
        "order of an epoch": (spent["an epoch's order"].seconds, images * costs.order_row),
    }
    if images <= _MOST_FILES:
        seconds["list"] = (_listing(folder / "names", images), images * costs.list_row)
    expected = bytes_of(model, data)
    sizes = {
        "plan, peak": (spent["plan"].peak_bytes, images * costs.plan_row_bytes),
        "publish, peak": (spent["publish"].peak_bytes, images * costs.publish_row_bytes),
        "order, peak": (spent["an epoch's order"].peak_bytes, images * costs.order_row_bytes),
        "manifest": ((split / "manifest.json").stat().st_size, expected["manifest"]),
    }
    return _lines(images, seconds, sizes)


def _in_memory(model: Model, images: int) -> list[tuple[object, ...]]:
    costs, data = model.costs, DataSet("", images)
    order, _ = scale.spent(lambda: scale._order(np.ones(images, bool)))
    entry = FileEntry(costs.shard_bytes, "0" * 64)
    shards = {f"coefficients/c/{shard}/0/0/0": entry for shard in range(data.shards)}
    written = Manifest(_attributes(), shards).to_bytes()
    parsed, _ = scale.spent(lambda: Manifest.from_bytes(written, Path("manifest.json")))
    seconds = {
        "order of an epoch": (order.seconds, images * costs.order_row),
        "manifest, parsed": (parsed.seconds, data.shards * costs.open_shard),
    }
    sizes = {
        "order, peak": (order.peak_bytes, images * costs.order_row_bytes),
        "manifest, parsed": (parsed.peak_bytes, data.shards * costs.held_manifest_shard),
        "manifest": (len(written), bytes_of(model, data)["manifest"]),
    }
    return _lines(images, seconds, sizes)


def _attributes() -> dict[str, Any]:
    request, classes = Request("imagefolder", Path(), Path()), scale._classes()
    few = scale._listing(1, request.kind)
    return plan_split(request, few, classes, classes).attributes.to_dict()


def _lines(
    images: int, seconds: dict[str, tuple[float, float]], sizes: dict[str, tuple[float, float]]
) -> list[tuple[object, ...]]:
    return [
        *((images, f"{name}, s", *pair, pair[0] / pair[1]) for name, pair in seconds.items()),
        *(
            (images, f"{name}, MB", pair[0] / 1e6, pair[1] / 1e6, pair[0] / pair[1])
            for name, pair in sizes.items()
        ),
    ]


def _listing(root: Path, images: int) -> float:
    """Processor seconds to list so many empty files in a hundred class folders."""
    for number in range(images):
        parent = root / f"n{number % 100:08}"
        parent.mkdir(parents=True, exist_ok=True)
        (parent / f"{parent.name}_{number:08}.JPEG").touch()
    began = time.process_time()
    discover(Request("imagefolder", root, root / "s.zarr"))
    return time.process_time() - began


def _cluster(model: Model, data: DataSet, workers: int) -> tuple[object, ...]:
    costs = model.costs
    estimate = conversion(model, data, workers)
    each = estimate.shards_a_task
    tasks = -(-data.shards // each)
    spread = np.random.RandomState(0).uniform(1 - _SPREAD, 1 + _SPREAD, tasks)
    simulated = makespan(
        (spread * each * costs.convert).tolist(),
        workers,
        1 / model.site.tasks_per_second,
        each * (costs.hand_out + costs.record),
    )
    expected = max(estimate.parallel[name] for name in ("cores", "scheduler", "main process"))
    shown = (duration(simulated), duration(expected), simulated / expected)
    return (data.name, f"{workers:,}", f"{tasks:,}", *shown)


def makespan(
    seconds: Iterable[float], workers: int, hand_out: float, record: float, ahead: int = _AHEAD
) -> float:
    """Simulate a windowed submission of tasks; return when the last result is recorded.

    Parameters
    ----------
    seconds : iterable of float
        Time of each task in its worker, in the order of submission.
    workers : int
    hand_out : float
        Seconds of the scheduler for each task; it has one at a time.
    record : float
        Seconds of the main process for each result, one at a time; it then submits one more task.
    ahead : int
        Tasks in flight for each worker.
    """
    waiting = iter(seconds)
    free, running = [0.0] * workers, []
    scheduler = main = 0.0

    def submit(now: float, at_once: int) -> None:
        nonlocal scheduler
        for _, length in zip(range(at_once), waiting, strict=False):
            scheduler = max(scheduler, now) + hand_out
            end = max(heapq.heappop(free), scheduler) + length
            heapq.heappush(free, end)
            heapq.heappush(running, end)

    submit(0.0, ahead * workers)
    while running:
        main = max(main, heapq.heappop(running)) + record
        submit(main, 1)
    return main
