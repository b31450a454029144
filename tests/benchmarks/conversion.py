"""Conversion: processor time compared with decoding alone in Pillow, and two jobs with one."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from freqprep import engines
from freqprep.compilation import can_compile
from freqprep.convert.planning import discover, plan_split
from freqprep.convert.request import Request
from freqprep.convert.shard_task import ImageFiles, ShardTask, compile_coding, convert_shard
from freqprep.spectrum.coding import worth_compiling
from tests.benchmarks.replicas import replicate
from tests.benchmarks.table import show

_ROUNDS = 3
_DECODE = """
import random, sys
from pathlib import Path
from PIL import Image
paths = sorted(Path(sys.argv[1]).rglob("*.JPEG"))
if sys.argv[2] == "shuffled":
    random.Random(0).shuffle(paths)
for path in paths:
    with Image.open(path) as image:
        image.load()
"""


def run(data: Path, folder: Path) -> dict[str, object]:
    source = replicate(data / "imagenet", folder / "source")
    images = sum(1 for _ in source.rglob("*.JPEG"))
    # Consecutive copies of one image stay in the processor's cache, unlike a real data set. The
    # conversion reads images in random order, so Pillow is timed in random order too.
    bare: dict[str, list[float]] = {"shuffled": [], "in listing order": []}
    whole = []
    if can_compile():
        compile_coding(Request("imagenet", source, folder).encoding)  # once on a machine
    for round_number in range(_ROUNDS):  # interleaved, so that other load affects all alike
        for order, seconds in bare.items():
            seconds.append(cpu_seconds([sys.executable, "-c", _DECODE, str(source), order]))
        store = folder / f"{round_number}.zarr"
        command = [sys.executable, "-m", "freqprep_cli.main", "convert", "imagenet"]
        whole.append(cpu_seconds([*command, str(source), str(store), "--jobs", "1"]))
    ratios = {
        order: sorted(w / b for w, b in zip(whole, seconds, strict=True))
        for order, seconds in bare.items()
    }
    rates = {jobs: _rate(source, folder / f"jobs{jobs}", jobs) for jobs in (1, 2)}
    show(
        ("what", "CPU ms an image", "images/s, wall"),
        [
            *(
                (f"Pillow bare decode, {order}", min(seconds) / images * 1e3, "")
                for order, seconds in bare.items()
            ),
            ("freqprep convert, all of it", min(whole) / images * 1e3, ""),
            ("convert, 1 job, after start-up", "", rates[1]),
            ("convert, 2 jobs, after start-up", "", rates[2]),
        ],
    )
    for order, found in ratios.items():
        rounds = " ".join(f"{ratio:.2f}" for ratio in found)
        print(f"convert / bare decode {order}, CPU, {_ROUNDS} rounds: {rounds} (aim 2.2)")
    print(f"2 jobs / 1 job: {rates[2] / rates[1]:.2f} (aim 1.8)")
    return {"images": images, "cpu_ratios": ratios, "jobs_ratio": rates[2] / rates[1]}


def cpu_seconds(command: list[str]) -> float:
    """CPU seconds of a command and its workers, start-up included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _rate(source: Path, folder: Path, jobs: int) -> float:
    """Images per second between the first result of every job and the last result."""
    aside = folder / "aside"
    aside.mkdir(parents=True)
    request = Request("imagenet", source, folder / "unused.zarr")
    found = discover(request)
    listing = found.listings["train"]
    plan = plan_split(request, listing, found.classes, found.classes)
    compiled = worth_compiling(len(plan.listing) // jobs)
    tasks = (
        ShardTask(
            shard,
            plan.shard_rows(shard).start,
            ImageFiles.of_rows(source, plan, plan.shard_rows(shard)),
            request.encoding,
            compiled,
            request.level,
            folder / "split",
            aside,
        )
        for shard in range(plan.shards)
    )
    began, images = 0.0, 0
    for number, result in enumerate(engines.run(convert_shard, tasks, engines.Workers(jobs)), 1):
        if number <= jobs:
            began = time.monotonic()
        else:
            images += len(result.rows.valid)
        ended = time.monotonic()
    return images / (ended - began)
