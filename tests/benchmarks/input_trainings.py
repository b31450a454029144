"""What the normalisation and the grid ramp do to short trainings: time and accuracy.

MobileNetV2 from random weights on imagenette, 28x28 blocks, equal epochs. Images, order, crops'
draws and recipe are the same. Each training is a run folder: finished ones are skipped, unfinished
ones are resumed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from freqprep.augment import ClassifierInput
from freqprep.convert.request import Request
from freqprep.convert.run import convert
from freqprep.models.networks import multiply_accumulates
from freqprep.spectrum.channels import Selection
from freqprep.store.split import Split
from freqprep.training.distributed import World
from freqprep.training.loop import train_step
from freqprep.training.model_config import ModelConfig
from freqprep.training.planning import plan
from freqprep.training.request import TrainingRequest
from freqprep.training.run_state import RunState
from tests.benchmarks.table import show
from tests.benchmarks.training_runs import (
    ORIGIN,
    compare,
    finished_run,
    recipe,
    record_origin,
    results_by_seed,
    run_all,
    train_logged,
    training_pool,
)

_MODEL, _GRID, _SIZE = "mobilenet_v2", 28, 224
_EPOCHS, _BATCH, _RATE, _SEEDS = 3, 32, 0.025, 5
_WORKERS = 2
_RAMP = (20, 28)
_SECONDS = "cpu-seconds.jsonl"

_HEADER = (
    "way", "seeds", "top-1 %", "- measured", "cross-entropy", "- measured", "CPU s", "- measured"
)  # fmt: skip

_STEPS_HEADER = (
    "network", "first grid", "last", "batch", "ms an image", "at the last", "ratio of arithmetic",
    "of time",
)  # fmt: skip
_STEPS = (
    ("mobilenet_v2", (20, 28), 32),
    ("mobilenet_v2", (80, 112), 4),
    ("resnet50", (20, 28), 8),
    ("resnet50", (40, 56), 4),
)
_ROUNDS = 5


@dataclass(frozen=True)
class Training:
    """One network to train.

    Attributes
    ----------
    store : Path
    way : str
        One of `WAYS`.
    seed : int
    folder : Path
        Folder of the run.
    """

    store: Path
    way: str
    seed: int
    folder: Path


WAYS = ("measured", "stored", "ramp")
"""Normalised by the moments of the crops, or of the stored images; the former with a ramp."""

_REFERENCE = "measured"


def run(data: Path, folder: Path) -> dict[str, object]:
    record_origin(folder, "imagenette, CPU", _WORKERS)
    store = folder / "int8.zarr"
    source = data / "imagenette"
    convert(Request("imagefolder", source, store, size=_SIZE, resume=store.exists()))
    with training_pool(_WORKERS) as pool:
        run_all(pool, _train, _trainings(store, folder))
    return {**summarise(folder), "steps": time_steps(store, folder)}


def summarise(folder: Path) -> dict[str, object]:
    """Print the table of the finished trainings; return it, and how they came about.

    Parameters
    ----------
    folder : Path
        Folder of the benchmark.

    Returns
    -------
    dict
        ``origin``, and ``ways``: top-1, cross-entropy and processor time by way and seed.
    """
    folders = {
        way: {seed: _run_folder(folder, way, seed) for seed in range(_SEEDS)} for way in WAYS
    }
    found = {way: results_by_seed(by_seed) for way, by_seed in folders.items()}
    for way, by_seed in found.items():
        for seed, numbers in by_seed.items():
            lines = (folders[way][seed] / _SECONDS).read_text().splitlines()
            numbers["seconds"] = math.fsum(map(float, lines))  # of each time it was continued
    first = found[_REFERENCE]
    rows = [
        (
            way,
            str(len(mine)),
            *compare(mine, first, "top1", 100, 1),
            *compare(mine, first, "loss", 1, 3),
            *compare(mine, first, "seconds", 1, 0),
        )
        for way, mine in found.items()
    ]
    show(_HEADER, rows)
    return {"origin": json.loads((folder / ORIGIN).read_text()), "ways": found}


def time_steps(store: Path, folder: Path) -> list[tuple[object, ...]]:
    """Time a step of training at a ramp's two grids, in turn; processor time of its thread."""
    rows: list[tuple[object, ...]] = []
    for model, ramp, images in _STEPS:
        numbers = dataclasses.replace(recipe(2, images, _RATE), grid_ramp=ramp)
        request = TrainingRequest(
            store,
            folder / "steps" / f"{model}-{ramp[1]}",
            model,
            numbers,
            grid=ramp[1],
            threads=1,
            resume=True,
        )
        state = RunState(request, plan(request), World(0, 1, torch.device("cpu")))
        with contextlib.closing(state):
            batch = next(iter(state.loader))
            best = {grid: float("inf") for grid in ramp}
            for _ in range(_ROUNDS):
                for epoch, grid in enumerate(ramp):
                    began = time.thread_time()
                    train_step(state, dataclasses.replace(batch, epoch=epoch))
                    best[grid] = min(best[grid], time.thread_time() - began)
        arithmetic = [
            multiply_accumulates(state.network, state.task.inputs_at(epoch).shape)
            for epoch in (0, 1)
        ]
        first, last = (1e3 * best[grid] / images for grid in ramp)
        ratios = arithmetic[0] / arithmetic[1], first / last
        rows.append((model, *ramp, images, first, last, *ratios))
    show(_STEPS_HEADER, rows)
    return rows


def _run_folder(folder: Path, way: str, seed: int) -> Path:
    return folder / "runs" / way / f"seed-{seed}"


def _trainings(store: Path, folder: Path) -> list[Training]:
    """List the trainings seed by seed, so that what was interrupted has complete seeds."""
    return [
        Training(store, way, seed, _run_folder(folder, way, seed))
        for seed in range(_SEEDS)
        for way in WAYS
    ]


def _train(training: Training) -> str:
    config = finished_run(training.folder)
    if config is None:
        ramp = _RAMP if training.way == "ramp" else None
        request = TrainingRequest(
            training.store,
            training.folder,
            _MODEL,
            dataclasses.replace(recipe(_EPOCHS, _BATCH, _RATE), grid_ramp=ramp),
            grid=_GRID,
            seed=training.seed,
            threads=1,
            resume=True,
        )
        with _stored_moments() if training.way == "stored" else contextlib.nullcontext():
            config = _timed(request)
    found = config.results["validation"]
    where = f"{training.folder.parent.name}/{training.folder.name}"
    return f"{where}: top-1 {found['top1']:.1%}, cross-entropy {found['loss']:.3f}"


def _timed(request: TrainingRequest) -> ModelConfig:
    """Train, and record the processor time of this process, also of a part of a training."""
    began = time.process_time()
    try:
        return train_logged(request)
    finally:
        with (request.run / _SECONDS).open("a") as file:
            file.write(f"{time.process_time() - began}\n")


@contextlib.contextmanager
def _stored_moments() -> Iterator[None]:
    """Normalise by the moments of the stored images, which no crop has changed."""
    measured = ClassifierInput.frequency

    def stored(
        split: Split, used: Selection, read: Selection, grid: int, *rest: object
    ) -> ClassifierInput:
        order = list(used.indices)
        mean = split.moments.mean(split.steps)[order]
        std = split.moments.std(split.steps)[order]
        std = np.where(std > 0, std, 1)
        inputs = measured(split, used, read, grid, *rest)
        values = {name: tuple(v.tolist()) for name, v in (("mean", mean), ("std", std))}
        return ClassifierInput.from_dict({**inputs.to_dict(), **values})

    with mock.patch.object(ClassifierInput, "frequency", stored):
        yield
