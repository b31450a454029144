"""Packing at several levels of zstd: bytes, time, and the speed of reading what was packed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import freqprep
from freqprep.convert.request import Request
from freqprep.convert.run import convert
from freqprep.pack import PackRequest, pack
from freqprep.store.schema import chunk_shape
from tests.benchmarks.reading import decompress, stored_frames
from tests.benchmarks.table import show

_LEVELS = (1, 13, 17)
_KEPT = ("all", "paper-48")
_READ = ("square-24", "paper-64", "all")
_ROUNDS = 25
_SOURCES = {"imagenet": ("imagenet", "train"), "flowers17": ("imagefolder", "val")}


def run(data: Path, folder: Path) -> dict[str, object]:
    figures: dict[str, object] = {}
    for name, (kind, split) in _SOURCES.items():
        store = folder / f"{name}.zarr"
        convert(Request(kind, data / name, store, split=split))
        print(f"{name} {split}, {len(freqprep.open_store(store)[split])} images")
        rows = _bytes_and_time(store, split, folder / name)
        ends = (_LEVELS[0], _LEVELS[-1])
        packed = [freqprep.open_store(folder / name / f"all-{level}.zarr") for level in ends]
        reading = _reading(*(opened[split] for opened in packed))
        figures[name] = {"packing": rows, "reading": reading}
    return figures


def _bytes_and_time(store: Path, split: str, folder: Path) -> list[tuple[object, ...]]:
    """Pack at each level; bytes of whole splits, CPU time of one job."""
    rows: list[tuple[object, ...]] = []
    for kept in _KEPT:
        first = 0.0
        for level in _LEVELS:
            target = folder / f"{kept}-{level}.zarr"
            began = time.process_time()
            (summary,) = pack(PackRequest(store, target, level, kept, split=split, jobs=1)).values()
            took = (time.process_time() - began) / summary.images
            each = summary.stored_bytes_per_image
            first = first or each
            source = each / summary.source_bytes_per_image
            rows.append((kept, level, each / 1e3, source, each / first, took * 1e3))
    header = ("channels", "level", "KB an image", "x source", "x level 1", "CPU ms an image")
    show(header, rows)
    return rows


def _reading(one: freqprep.Split, other: freqprep.Split) -> list[tuple[object, ...]]:
    """Decompress frames from memory on one thread; both levels in turn, the best of each."""
    chunk = np.empty(chunk_shape(one.attributes.encoding.geometry), one.attributes.encoding.dtype)
    rows: list[tuple[object, ...]] = []
    for name in _READ:
        frames = [stored_frames(split, _positions(split, name)) for split in (one, other)]
        best = [float("inf")] * len(frames)
        for _ in range(_ROUNDS):
            for number, own in enumerate(frames):
                best[number] = min(best[number], decompress(own, chunk))
        first, second = (len(one) / seconds for seconds in best)
        rows.append((len(freqprep.channels(name)), first, second, second / first))
    levels = [f"level {level}: images a CPU second" for level in (_LEVELS[0], _LEVELS[-1])]
    show(("channels read", *levels, "ratio"), rows)
    return rows


def _positions(split: freqprep.Split, name: str) -> Sequence[int]:
    return sorted(split.attributes.positions[i] for i in freqprep.channels(name).indices)
