"""Throughput of the loader: compared with zstd alone and with JPEGs, and with a busy consumer."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import torch
from torch.utils.data import DataLoader

import freqprep
from freqprep.convert.request import Request
from freqprep.convert.run import convert
from tests.benchmarks.epochs import (
    bare,
    cropped_jpegs,
    loaded,
    seconds_an_image,
)
from tests.benchmarks.replicas import replicate
from tests.benchmarks.table import show

_SELECTION = "square-24"
_LANES = {"window_bytes": 2**29}  # less than the split: two lanes, windows of 7 shards
_EXACT = {"window_bytes": 2**31}
_ROUNDS = 5
_COMPUTING = 1.5
"""Time of the consumer in the second table, relative to the time of reading."""


def run(data: Path, folder: Path) -> dict[str, object]:
    torch.set_num_threads(1)
    source = replicate(data / "imagenet", folder / "source")
    convert(Request("imagenet", source, folder / "s.zarr"))
    split = freqprep.open_store(folder / "s.zarr")["train"]
    with (
        freqprep.Loader(split, _SELECTION, **_LANES) as lanes,
        freqprep.Loader(split, _SELECTION, **_LANES, reuse=True) as reusing,
        freqprep.Loader(split, _SELECTION, **_EXACT) as exact,
        freqprep.Loader(split, "paper-64", **_LANES) as more,
        freqprep.Loader(split, None, **_LANES) as every,
    ):
        ways: list[tuple[str, Callable[[], float]]] = [
            ("bare zstd, frames in memory", bare(split, _SELECTION)),
            ("loader, lanes, reuse=True", lambda: loaded(reusing)),
            ("loader, lanes, a loop", lambda: loaded(lanes)),
            ("the same, 64 channels", lambda: loaded(more)),
            ("the same, all 192 channels", lambda: loaded(every)),
            ("loader, lanes, eight batches held: copies", lambda: _holding(lanes)),
            ("loader, lanes, float32 coefficients", lambda: _coefficients(lanes)),
            ("loader, lanes, first epoch, new memory", lambda: _first_epoch(split, _LANES)),
            ("loader, all in memory, first epoch, new memory", lambda: _first_epoch(split, _EXACT)),
            ("loader, all in memory, later epochs", lambda: loaded(exact)),
            ("Dataset in a DataLoader, no worker", lambda: _dataset(split)),
            ("JPEGs, Pillow and torchvision", cropped_jpegs(source)),
        ]
        for loader in (lanes, reusing, exact, more, every):  # untimed: touches new memory
            loaded(loader)
        best = {name: float("inf") for name, _ in ways}
        for _ in range(_ROUNDS):  # interleaved, so that other load affects all alike
            for name, measure in ways:
                best[name] = min(best[name], measure())
        zstd, jpegs = best[ways[0][0]], best[ways[-1][0]]
        show(
            ("what", "images a CPU second", "of bare zstd", "x the JPEGs"),
            [
                (name, 1 / seconds, zstd / seconds, jpegs / seconds)
                for name, seconds in best.items()
            ],
        )
        waiting = {"windows in lanes": _waiting(lanes), "all in memory": _waiting(exact)}
    print()
    show(
        ("computing 1.5 x as long as reading", "first batch, ms", "then waits, % of the time"),
        [
            (name, 1e3 * found["first_batch_seconds"], 100 * found["share_of_the_rest"])
            for name, found in waiting.items()
        ],
    )
    return {"images": len(split), "cpu_seconds_an_image": best, "waiting": waiting}


def _holding(loader: freqprep.Loader) -> float:
    """Consume like a loop that accumulates or queues: all batches but two are copies."""
    held: deque[freqprep.Batch] = deque(maxlen=8)

    def hold() -> int:
        images = 0
        for batch in loader:
            held.append(batch)
            images += len(batch)
        return images

    return seconds_an_image(hold)


def _coefficients(loader: freqprep.Loader) -> float:
    return seconds_an_image(lambda: sum(len(x) for x, _ in loader))


def _dataset(split: freqprep.Split) -> float:
    dataset = freqprep.Dataset(split, _SELECTION)
    loader = DataLoader(dataset, batch_sampler=dataset.batch_sampler(256))
    return seconds_an_image(lambda: sum(len(x) for x, _ in loader))


def _first_epoch(split: freqprep.Split, options: dict[str, int]) -> float:
    with freqprep.Loader(split, _SELECTION, **options) as loader:
        return loaded(loader)


def _waiting(loader: freqprep.Loader) -> dict[str, float]:
    """Wait of a busy consumer: seconds for the first batch, share of the time for the rest.

    Takes the round with the smallest share: other load on the machine only adds to it.
    """
    rounds = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        for _ in loader:
            pass
        step = _COMPUTING * (time.perf_counter() - began) / len(loader)
        before, began = loader.wait_seconds, time.perf_counter()
        for batch in loader:
            if batch.step == 0:
                first = loader.wait_seconds - before
            _compute(step)
        waited = loader.wait_seconds - before - first
        rounds.append((waited / (time.perf_counter() - began), first))
    share, first = min(rounds)
    return {"first_batch_seconds": first, "share_of_the_rest": share}


def _compute(seconds: float) -> None:
    """Keep one core busy without holding Python's lock, like a training step."""
    matrix = torch.ones(256, 256)
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        matrix @ matrix
