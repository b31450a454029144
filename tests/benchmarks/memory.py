"""Peak memory of a conversion compared with its stated bound, for few and for many images."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil

from freqprep.convert.request import Request
from freqprep.store.plan import memory_bound
from tests.benchmarks.replicas import replicate
from tests.benchmarks.table import show

_CASES = [(1, 1, ()), (1, 28, ()), (2, 28, ()), (2, 4, ("--size", "1024"))]


def run(data: Path, folder: Path) -> dict[str, object]:
    rows = []
    for jobs, copies, options in _CASES:
        source = replicate(data / "imagenet", folder / f"source{copies}", copies)
        store = folder / f"{jobs}-{copies}-{len(options)}.zarr"
        command = [sys.executable, "-m", "freqprep_cli.main", "convert", "imagenet"]
        peak = peak_bytes([*command, str(source), str(store), "--jobs", str(jobs), *options])
        size = int(options[1]) if options else None
        encoding = Request("imagenet", source, store, size=size).encoding
        bound = memory_bound(encoding, jobs, copies * 200)
        rows.append((jobs, copies * 200, encoding.geometry.size, peak / 1e6, bound / 1e6))
    show(("jobs", "images", "size", "peak MB, all processes", "stated bound MB"), rows)
    return {"rows": rows}


def peak_bytes(command: list[str]) -> int:
    """Peak of the summed private memory of a command and its children, by sampling."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        peak = 0
        parent = psutil.Process(process.pid)
        while process.poll() is None:
            peak = max(peak, _private_bytes(parent))
            time.sleep(0.02)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed with {process.returncode}")
    return peak


def _private_bytes(parent: psutil.Process) -> int:
    total = 0
    try:
        for process in (parent, *parent.children(recursive=True)):
            total += process.memory_full_info().uss
    except psutil.Error:  # the process has ended
        pass
    return total
