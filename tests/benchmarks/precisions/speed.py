"""Processor time of reading and of converting, by precision."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import freqprep
from freqprep.convert.request import Request
from freqprep.convert.run import convert
from freqprep.pack import PackRequest, pack
from freqprep.spectrum.quantization import PRECISIONS
from freqprep.store.schema import ROWS_PER_SHARD
from tests.benchmarks.conversion import cpu_seconds
from tests.benchmarks.precisions.tables import OFFERED
from tests.benchmarks.replicas import replicate
from tests.benchmarks.table import show

_READ = ("square-24", "paper-48", "paper-64", "all")
_READ_ROUNDS, _CONVERT_ROUNDS = 15, 3
_COPIES = 4
_LEVEL = 17
_PACKED = ("int8", "compact")


def measure(data: Path, folder: Path) -> dict[str, object]:
    """Time stores of the same images in turn; the least of the rounds counts."""
    return {
        "reading": _reading(data, folder),
        "conversion": _conversion(replicate(data / "imagenet", folder / "source", _COPIES), folder),
    }


def _reading(data: Path, folder: Path) -> list[Sequence[object]]:
    stores: dict[tuple[str, int], freqprep.Split] = {}
    for name in (*OFFERED, "int16"):
        store = folder / f"{name}.zarr"
        convert(
            Request("imagenet", data / "imagenet", store, precision=PRECISIONS[name], resume=True)
        )
        stores[name, 1] = freqprep.open_store(store)["train"]
        if name in _PACKED:
            target = folder / f"{name}-{_LEVEL}.zarr"
            pack(PackRequest(store, target, level=_LEVEL, resume=True))
            stores[name, _LEVEL] = freqprep.open_store(target)["train"]
    best = {(key, read): float("inf") for key in stores for read in _READ}
    for _ in range(_READ_ROUNDS):  # in turn, so that other load affects all alike
        for (key, read), known in best.items():
            best[key, read] = min(known, _read(stores[key], read))
    rows = []
    for key in stores:
        rates = [1 / best[key, read] for read in _READ]
        ratios = [best[("int8", 1), read] / best[key, read] for read in _READ]
        rows.append((*key, *rates, *ratios))
    print("\nread_codes: images a CPU second")
    heads = tuple(f"{len(freqprep.channels(read))} channels" for read in _READ)
    show(("precision", "level", *heads, *(f"{head}, x int8" for head in heads)), rows)
    return [*rows]


def _read(split: freqprep.Split, read: str) -> float:
    began = time.process_time()
    for first in range(0, len(split), ROWS_PER_SHARD):
        split.read_codes(range(first, min(first + ROWS_PER_SHARD, len(split))), read)
    return (time.process_time() - began) / len(split)


def _conversion(source: Path, folder: Path) -> list[Sequence[object]]:
    """Processor time of whole processes, in turn."""
    images = sum(1 for _ in source.rglob("*.JPEG"))
    took: dict[str, list[float]] = {name: [] for name in OFFERED}
    for number in range(_CONVERT_ROUNDS):
        for name, seconds in took.items():
            store = folder / f"timed-{name}-{number}.zarr"
            options = ["--precision", name, "--jobs", "1"]
            command = [sys.executable, "-m", "freqprep", "convert", "imagenet"]
            seconds.append(cpu_seconds([*command, str(source), str(store), *options]))
    rows = []
    for name, seconds in took.items():
        ratios = sorted(mine / int8 for mine, int8 in zip(seconds, took["int8"], strict=True))
        each = min(seconds) / images * 1e3
        middle = ratios[len(ratios) // 2]
        rows.append((name, each, min(seconds) / min(took["int8"]), middle, ratios[0], ratios[-1]))
    print(f"\nconvert, one job, {images} images, {_CONVERT_ROUNDS} rounds in turn")
    show(("precision", "CPU ms an image", "x int8", "median of rounds", "least", "most"), rows)
    return [*rows]
