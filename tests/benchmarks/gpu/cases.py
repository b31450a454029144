"""The measurements, as cases that stand alone: each yields rows of tables, as they are found."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import freqprep
from freqprep.augment import Augment, ClassifierInput, Policy
from freqprep.streaming.batch import Batch
from freqprep.training.distributed import choose_device
from freqprep.training.run_state import RunState
from tests.benchmarks.gpu.operations import count_operations
from tests.benchmarks.gpu.runs import (
    Setting,
    endless,
    forms,
    kept,
    opened,
    seconds,
    take_steps,
    train_seconds,
    wait,
)

Rows = Iterator[tuple[str, dict[str, Any]]]
"""Name of a table, and a row of it."""

_ROUNDS = 3
_PROFILED = 3
_QUEUED_SECONDS = 0.2
_COMPARED = 64
"""Images of which augmentation on the device is compared with the CPU's."""


@dataclasses.dataclass(frozen=True)
class Case:
    """A measurement.

    Attributes
    ----------
    measure : callable
        Takes store and folder, and yields rows.
    seconds : float
        About what it takes: the case is left out when less is left.
    """

    measure: Callable[[Path, Path], Rows]
    seconds: float


def cases() -> dict[str, Case]:
    """All cases of this machine by name, the most important first; reduced on a CPU."""
    if choose_device(None).type == "cpu":
        return _cases([("mobilenet_v2", 28), ("resnet50", 14)], [], (1, 2), 16, 0.5)
    grids = [("mobilenet_v2", 112), ("resnet50", 56), ("resnet50", 28)]
    return _cases(grids, grids[:2], (1, 2, 4, 8, 16), 256, 2.0)


def _cases(
    plain: list[tuple[str, int]],
    compiled: list[tuple[str, int]],
    threads: tuple[int, ...],
    batch_size: int,
    round_seconds: float,
) -> dict[str, Case]:
    found = {
        "exactness": Case(exactness, 15),
        "reading": Case(partial(reading, threads=threads, batch_size=batch_size), 30),
        "bandwidth": Case(bandwidth, 5),
    }
    settings = [
        Setting(model, grid, kind, compiles, batch_size)
        for compiles, chosen in ((False, plain), (True, compiled))
        for kind in ("frequency", "rgb")
        for model, grid in chosen
    ]
    for setting in settings:
        takes = 90 if setting.compiled else 25
        measure = partial(training, setting=setting, round_seconds=round_seconds)
        found[str(setting)] = Case(measure, takes)
    return found


def bandwidth(store: Path, folder: Path) -> Rows:
    """Copies of 64 MiB from host to device."""
    device = choose_device(None)
    size = 2**26
    for pinned in (True, False):
        host = torch.empty(size, dtype=torch.uint8)
        host = host.pin_memory() if pinned and device.type == "cuda" else host
        target = torch.empty(size, dtype=torch.uint8, device=device)
        copy = partial(target.copy_, host, non_blocking=True)
        best = min(seconds(copy, device) for _ in range(10))
        memory = "pinned" if pinned else "pageable"
        yield "host to device", {"memory": memory, "GB/s": size / best / 1e9}


def exactness(store: Path, folder: Path) -> Rows:
    """Differences between augmentation on the device and on the CPU, in normalised units."""
    device = choose_device(None)
    split = freqprep.open_store(store)["train"]
    read, used = freqprep.channels("paper-64"), freqprep.channels("square-24")
    inputs = {
        f"frequency {grid}": ClassifierInput.frequency(split, used, read, grid)
        for grid in (28, 56, 112)
    }
    inputs["rgb 224"] = ClassifierInput.rgb(split)
    precision = torch.get_float32_matmul_precision()
    for name, spec in inputs.items():
        augment = Augment(spec, split.attributes.encoding, Policy(), 0)
        batch = _read(split, spec.read_selection)
        truth = augment(batch)
        for (form, context), tf32 in itertools.product(forms(device).items(), (False, True)):
            torch.set_float32_matmul_precision("high" if tf32 else "highest")
            try:
                with context:
                    error = augment(batch.to(device)).float().cpu() - truth
            finally:
                torch.set_float32_matmul_precision(precision)
            yield (
                "augmentation against the CPU's",
                {
                    "input": name,
                    "form": form,
                    "TF32": "on" if tf32 else "off",
                    "largest difference": float(error.abs().max()),
                    "RMS": float(error.double().square().mean().sqrt()),
                },
            )


def _read(split: freqprep.Split, selection: freqprep.Selection) -> Batch:
    rows = np.flatnonzero(split.valid)[:_COMPARED]
    codes = torch.from_numpy(split.read_codes(rows, selection))
    return Batch(codes, torch.zeros(len(rows)), rows, split.sizes[rows], 0, 0)


def reading(store: Path, folder: Path, threads: tuple[int, ...], batch_size: int) -> Rows:
    """The loader alone: images delivered to the device in a second, by threads and channels."""
    device = choose_device(None)
    split = freqprep.open_store(store)["train"]
    for channels in ("square-24", "paper-64", "all"):
        row: dict[str, Any] = {"channels": len(freqprep.channels(channels))}
        for count in threads:
            with freqprep.Loader(
                split,
                channels,
                batch_size=batch_size,
                threads=count,
                device=device,
                lanes=1,  # decodes in every epoch
                window_bytes=2**28,
                reuse=True,
            ) as loader:
                best = min(seconds(partial(_drain, loader), device) for _ in range(_ROUNDS))
                row[f"{count} threads"] = len(loader) * batch_size / best
        yield "reading alone, images/s", row


def _drain(loader: freqprep.Loader) -> None:
    for _ in loader:
        pass


def training(store: Path, folder: Path, setting: Setting, round_seconds: float) -> Rows:
    """Steps on synthetic and on streamed data; and the augmentation by itself."""
    with opened(setting, store, folder) as run:
        batches = endless(run)
        first = kept(next(batches))
        train_seconds(run, itertools.repeat(first), 2)  # compiles, chooses convolutions
        step = train_seconds(run, itertools.repeat(first), 2) / 2
        if not setting.compiled:
            yield "augmentation", setting.columns | _augmentation(run, first, step)
        yield "training", setting.columns | _throughput(run, batches, first, step, round_seconds)
        if not setting.compiled:
            yield from _operations(run, batches, setting)


def _augmentation(run: RunState, batch: Batch, step: float) -> dict[str, float]:
    """Time of augmentation by itself: until the device is done, and until the host is free."""
    task: Any = run.task
    device, size = run.world.device, len(batch)
    by_form = {}

    def augment(times: int = 1) -> None:
        for _ in range(times):
            task.augment(batch)

    for form, context in reversed(forms(device).items()):  # what training takes, last
        with context:
            augment()  # compiles
            times = max(1, min(50, round(_QUEUED_SECONDS / seconds(augment, device))))
            whole = min(seconds(partial(augment, times), device) for _ in range(_ROUNDS)) / times
        by_form[f"{form}, ms a batch"] = 1e3 * whole
    began = time.perf_counter()
    augment()
    host = time.perf_counter() - began
    wait(device)
    return by_form | {
        "µs an image": 1e6 * whole / size,
        "host, ms a batch": 1e3 * host,
        "step, ms a batch": 1e3 * step,
        "% of the step": 100 * whole / step,
    }


def _throughput(
    run: RunState, batches: Iterator[Batch], first: Batch, step: float, round_seconds: float
) -> dict[str, Any]:
    """Images per second of synthetic and of streamed steps, best of rounds in turn."""
    device = run.world.device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    steps = max(2, round(round_seconds / step))
    synthetic = streamed = float("inf")
    waited = 0.0
    for _ in range(_ROUNDS):
        synthetic = min(synthetic, train_seconds(run, itertools.repeat(first), steps))
        before = run.loader.wait_seconds
        if (taken := train_seconds(run, batches, steps)) < streamed:
            streamed, waited = taken, (run.loader.wait_seconds - before) / taken
    images = steps * len(first)
    peak = torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else None
    return {
        "compiled": run.request.compile,
        "synthetic, images/s": images / synthetic,
        "streamed, images/s": images / streamed,
        "ratio": synthetic / streamed,
        "data wait %": 100 * waited,
        "KB an image to the device": (first.codes.nbytes + first.labels.nbytes) / len(first) / 1e3,
        "peak GiB": peak,
    }


def _operations(run: RunState, batches: Iterator[Batch], setting: Setting) -> Rows:
    task: Any = run.task
    batch = kept(next(batches))
    work = {
        "augmentation": partial(task.augment, batch),
        "a whole step": partial(take_steps, run, batches),
    }
    for what, act in work.items():
        counts = count_operations(act, run.world.device, _PROFILED)
        yield "operations a batch", setting.columns | {"of": what} | counts
