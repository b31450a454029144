"""Training steps fed by the loader, compared with the same steps on one batch in memory."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from freqprep.convert.request import Request
from freqprep.convert.run import convert
from freqprep.streaming.batch import Batch
from freqprep.training.distributed import World, choose_device
from freqprep.training.loop import train_step
from freqprep.training.planning import plan
from freqprep.training.recipe import preset_recipe
from freqprep.training.request import TrainingRequest
from freqprep.training.run_state import RunState
from tests.benchmarks.replicas import replicate
from tests.benchmarks.table import show

_ROUNDS = 3
_GRIDS = {
    "cuda": {"resnet50": 56, "mobilenet_v2": 112},
    "cpu": {"resnet50": 14, "mobilenet_v2": 28},
}
_BATCH = {"cuda": 256, "cpu": 16}
_STEPS = {"cuda": 60, "cpu": 12}
_COPIES = {"cuda": 28, "cpu": 4}


def run(data: Path, folder: Path) -> dict[str, object]:
    device = choose_device(None)
    source = replicate(data / "imagenet", folder / "source", _COPIES[device.type])
    convert(Request("imagenet", source, folder / "s.zarr"))
    where = torch.cuda.get_device_name() if device.type == "cuda" else "CPU, reduced grids"
    print(f"{where}, torch {torch.__version__}, 2 reading threads, square-24 from paper-64")
    rows = []
    for model, grid in _GRIDS[device.type].items():
        rows.append((model, grid, *_compare(folder, model, grid, device)))
    show(
        ("network", "grid", "synthetic, images/s", "streamed, images/s", "ratio", "data wait %"),
        rows,
    )
    return {"device": where, "rows": rows}


def _compare(
    folder: Path, model: str, grid: int, device: torch.device
) -> tuple[float, float, float, float]:
    """Images per second of synthetic and of streamed steps, best of several interleaved rounds."""
    recipe = preset_recipe("short", model, batch_size=_BATCH[device.type], epochs=1000)
    request = TrainingRequest(
        folder / "s.zarr", folder / model, model, recipe, grid=grid, val_split="train"
    )
    state = RunState(request, plan(request), World(0, 1, device))
    with state.loader:
        batches = itertools.chain.from_iterable(iter(state.loader) for _ in itertools.count())
        first = _kept(next(batches))
        _seconds(state, itertools.repeat(first), 3, device)  # warm-up
        task: Any = state.task
        inputs, augment = task.augment(first), task.augment
        best = {"synthetic": float("inf"), "streamed": float("inf")}
        waited = 0.0
        for _ in range(_ROUNDS):
            task.augment = lambda batch: inputs
            best["synthetic"] = min(
                best["synthetic"],
                _seconds(state, itertools.repeat(first), _STEPS[device.type], device),
            )
            task.augment = augment
            before = state.loader.wait_seconds
            seconds = _seconds(state, batches, _STEPS[device.type], device)
            if seconds < best["streamed"]:
                best["streamed"], waited = seconds, (state.loader.wait_seconds - before) / seconds
    images = _STEPS[device.type] * recipe.batch_size
    return (
        images / best["synthetic"],
        images / best["streamed"],
        best["synthetic"] / best["streamed"],
        100 * waited,
    )


def _kept(batch: Batch) -> Batch:
    """Copy a batch into its own memory."""
    return dataclasses.replace(batch, codes=batch.codes.clone(), labels=batch.labels.clone())


def _seconds(state: RunState, batches: Iterator[Batch], steps: int, device: torch.device) -> float:
    wait: Callable[[], object] = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    wait()
    began = time.perf_counter()
    for batch in itertools.islice(batches, steps):
        train_step(state, batch)
    wait()
    return time.perf_counter() - began
