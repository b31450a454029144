"""Throughput of the loader: compared with zstd alone and with JPEGs, and with a busy consumer."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numcodecs import zstd
from PIL import Image
from torch.utils.data import DataLoader

import freqprep
from freqprep.augment import Augment, ClassifierInput, Policy
from freqprep.convert.request import Request
from freqprep.convert.run import convert
from freqprep.models.torchvision_ops import import_torchvision
from freqprep.spectrum.channels import STORED_POSITION
from freqprep.store.schema import chunk_shape
from tests.benchmarks.replicas import replicate
from tests.benchmarks.table import show

_SELECTION = "square-24"
_LANES = {"window_bytes": 2**29}  # less than the split: two lanes, windows of 7 shards
_EXACT = {"window_bytes": 2**31}
_ROUNDS = 5
_JPEGS = 600
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
            ("bare zstd, frames in memory", _bare(split)),
            ("loader, lanes, reuse=True", lambda: _epoch(reusing)),
            ("loader, lanes, a loop", lambda: _epoch(lanes)),
            ("the same, 64 channels", lambda: _epoch(more)),
            ("the same, all 192 channels", lambda: _epoch(every)),
            ("loader, lanes, eight batches held: copies", lambda: _holding(lanes)),
            ("loader, lanes, float32 coefficients", lambda: _coefficients(lanes)),
            ("loader, lanes, first epoch, new memory", lambda: _first_epoch(split, _LANES)),
            ("loader, all in memory, first epoch, new memory", lambda: _first_epoch(split, _EXACT)),
            ("loader, all in memory, later epochs", lambda: _epoch(exact)),
            ("Dataset in a DataLoader, no worker", lambda: _dataset(split)),
            ("lanes, and augmentation on the CPU", _augmented(split, lanes, _SELECTION)),
            ("the same, 64 channels read", _augmented(split, more, "paper-64")),
            ("JPEGs, Pillow and torchvision", _jpegs(source)),
        ]
        for loader in (
            lanes,
            reusing,
            exact,
            more,
            every,
        ):  # an untimed epoch, which touches the memory for the first time
            _epoch(loader)
        best = {name: float("inf") for name, _ in ways}
        for _ in range(_ROUNDS):  # interleaved, so that other load affects all alike
            for name, measure in ways:
                best[name] = min(best[name], measure())
        bare, jpegs = best[ways[0][0]], best[ways[-1][0]]
        show(
            ("what", "images a CPU second", "of bare zstd", "x the JPEGs"),
            [
                (name, 1 / seconds, bare / seconds, jpegs / seconds)
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


def _bare(split: freqprep.Split) -> Callable[[], float]:
    positions = sorted(STORED_POSITION[i] for i in freqprep.channels(_SELECTION).indices)
    frames = []
    for shard in range(split.shards):
        with split.open_shard(shard) as file:
            frames += [file.chunk_frame(position) for position in positions]
    chunk = np.empty(chunk_shape(split.attributes.encoding.geometry), np.int8)

    def decode() -> int:
        for frame in frames:
            zstd.decompress(frame, chunk)
        return len(split)

    return lambda: _cpu(decode)


def _cpu(work: Callable[[], int]) -> float:
    """Processor seconds of all threads per delivered image."""
    began = time.process_time()
    images = work()
    return (time.process_time() - began) / images


def _epoch(loader: freqprep.Loader) -> float:
    return _cpu(lambda: sum(len(batch.rows) for batch in loader))


def _holding(loader: freqprep.Loader) -> float:
    """Consume like a loop that accumulates or queues: all batches but two are copies."""
    held: deque[freqprep.Batch] = deque(maxlen=8)

    def hold() -> int:
        images = 0
        for batch in loader:
            held.append(batch)
            images += len(batch)
        return images

    return _cpu(hold)


def _coefficients(loader: freqprep.Loader) -> float:
    return _cpu(lambda: sum(len(x) for x, _ in loader))


def _dataset(split: freqprep.Split) -> float:
    dataset = freqprep.Dataset(split, _SELECTION)
    loader = DataLoader(dataset, batch_sampler=dataset.batch_sampler(256))
    return _cpu(lambda: sum(len(x) for x, _ in loader))


def _first_epoch(split: freqprep.Split, options: dict[str, int]) -> float:
    with freqprep.Loader(split, _SELECTION, **options) as loader:
        return _epoch(loader)


def _augmented(split: freqprep.Split, loader: freqprep.Loader, read: str) -> Callable[[], float]:
    """Random resized crops to 448 pixels, flipped and normalised, as for a network."""
    inputs = ClassifierInput.frequency(split, *map(freqprep.channels, (_SELECTION, read)), 56)
    augment = Augment(inputs, split.attributes.encoding, Policy(), 0)
    return lambda: _cpu(lambda: sum(len(augment(batch)) for batch in loader))


def _jpegs(source: Path) -> Callable[[], float]:
    import_torchvision()
    from torchvision.transforms import v2

    crop, flip = v2.RandomResizedCrop(224), v2.RandomHorizontalFlip()
    to_float = v2.ToDtype(torch.float32, scale=True)
    normalise = v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    files = sorted(source.rglob("*.JPEG"))
    chosen = [files[i] for i in np.random.RandomState(0).permutation(len(files))[:_JPEGS]]

    def load() -> int:
        for path in chosen:
            image = flip(crop(Image.open(path).convert("RGB")))
            normalise(to_float(v2.functional.pil_to_tensor(image)))
        return len(chosen)

    return lambda: _cpu(load)


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
