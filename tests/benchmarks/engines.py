"""Conversion of 10 and 100 times the images on each engine: time, and the memory of all processes.

A cluster is one that the command starts, with two workers. Images are small, so that the work
beside the pixels counts; they are links to the same 200.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from freqprep.engines import ENGINES
from tests.benchmarks.memory import peak_bytes
from tests.benchmarks.replicas import replicate
from tests.benchmarks.table import show

COPIES = (1, 10, 100)
_SIZE, _JOBS = "64", "2"


def run(data: Path, folder: Path) -> dict[str, object]:
    rows: list[tuple[object, ...]] = []
    sources = [replicate(data / "imagenet", folder / str(n), n, linked=True) for n in COPIES]
    for engine in ENGINES:
        seconds, peaks = [], []
        for copies, source in zip(COPIES, sources, strict=True):
            store = folder / f"{engine}-{copies}.zarr"
            command = [sys.executable, "-m", "freqprep_cli.main", "convert", "imagenet"]
            options = ["--size", _SIZE, "--jobs", _JOBS, "--engine", engine]
            began = time.monotonic()
            peaks.append(peak_bytes([*command, str(source), str(store), *options]) / 1e6)
            seconds.append(time.monotonic() - began)
        for index, copies in enumerate(COPIES):
            times = seconds[index] / seconds[index - 1] if index else 1.0
            more = peaks[index] / peaks[index - 1] if index else 1.0
            rows.append((engine, 200 * copies, seconds[index], times, peaks[index], more))
    show(("engine", "images", "seconds", "times", "peak MB, all processes", "times"), rows)
    return {"rows": rows}
