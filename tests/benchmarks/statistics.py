"""One pass of ``freqprep stats`` compared with reading the same store, and its memory."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from freqprep.convert.request import Request
from freqprep.convert.run import convert
from freqprep.engines import Workers
from freqprep.importance.collect import collect
from freqprep.store.reader import Split, open_store
from freqprep.store.schema import ROWS_PER_SHARD
from tests.benchmarks.memory import peak_bytes
from tests.benchmarks.replicas import replicate
from tests.benchmarks.table import show

_COPIES = 50
_ROUNDS = 3


def run(data: Path, folder: Path) -> dict[str, object]:
    stores = {}
    for copies in (1, _COPIES):
        source = replicate(data / "imagenet", folder / f"source{copies}", copies)
        stores[copies] = folder / f"{copies}.zarr"
        convert(Request("imagenet", source, stores[copies]))
    split = open_store(stores[_COPIES])["train"]
    ways: dict[str, Callable[[], None]] = {
        "read_codes, all channels": lambda: _read(split, split.read_codes),
        "read, all channels": lambda: _read(split, split.read),
        "pass, 1 job": lambda: _discard(collect(split, Workers(1))),
        "pass, 2 jobs": lambda: _discard(collect(split, Workers(2))),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(_ROUNDS):  # interleaved, so that other load affects all alike
        for name, way in ways.items():
            began = time.monotonic()
            way()
            seconds[name].append(time.monotonic() - began)
    best = {name: min(found) for name, found in seconds.items()}
    codes, floats = best["read_codes, all channels"], best["read, all channels"]
    show(
        ("what", "s", "images/s", "/ read_codes", "/ read"),
        [(n, s, len(split) / s, s / codes, s / floats) for n, s in best.items()],
    )
    # The workers' peaks coincide in some runs only, least often in the short ones.
    peaks = {copies: max(_peak(store) for _ in range(_ROUNDS)) for copies, store in stores.items()}
    show(
        ("images", "peak MB, 2 jobs, all processes"),
        [(copies * 200, peak / 1e6) for copies, peak in peaks.items()],
    )
    return {"images": len(split), "seconds": seconds, "peak_bytes": peaks}


def _discard(_: object) -> None:
    """Discard a result."""


def _read(split: Split, read: Callable) -> None:
    """Read every row, a shard at a time, in this process on one core."""
    for first in range(0, len(split), ROWS_PER_SHARD):
        read(range(first, min(first + ROWS_PER_SHARD, len(split))))


def _peak(store: Path) -> int:
    command = [sys.executable, "-m", "freqprep_cli.main", "stats", os.fspath(store), "--jobs", "2"]
    return peak_bytes(command)
