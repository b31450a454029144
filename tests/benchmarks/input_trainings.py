"""What the normalisation and the grid ramp do to short trainings: time and accuracy.

MobileNetV2 from random weights on imagenette, 28x28 blocks, equal epochs. Images, order, crops'
draws and recipe are the same. Each training is a run folder: finished ones are skipped, unfinished
ones are resumed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np

from freqprep.augment import ClassifierInput
from freqprep.convert.request import Request
from freqprep.convert.run import convert
from freqprep.spectrum.channels import Selection
from freqprep.store.split import Split
from freqprep.training.request import TrainingRequest
from tests.benchmarks.training_runs import (
    finished_run,
    recipe,
    record_origin,
    run_all,
    train_logged,
    training_pool,
)

_MODEL, _GRID, _SIZE = "mobilenet_v2", 28, 224
_EPOCHS, _BATCH, _RATE, _SEEDS = 3, 32, 0.025, 5
_WORKERS = 2
_RAMP = (20, 28)
_SECONDS = "cpu-seconds.jsonl"


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


WAYS = ("stored", "measured", "ramp")
"""Normalised by the moments of the stored images, and of the crops; the latter with a ramp."""


def run(data: Path, folder: Path) -> dict[str, object]:
    record_origin(folder, "imagenette, CPU", _WORKERS)
    store = folder / "int8.zarr"
    source = data / "imagenette"
    convert(Request("imagefolder", source, store, size=_SIZE, resume=store.exists()))
    with training_pool(_WORKERS) as pool:
        run_all(pool, _train, _trainings(store, folder))
    return {}


def _trainings(store: Path, folder: Path) -> list[Training]:
    """List the trainings seed by seed, so that what was interrupted has complete seeds."""
    return [
        Training(store, way, seed, folder / "runs" / way / f"seed-{seed}")
        for seed in range(_SEEDS)
        for way in WAYS
    ]


def _train(training: Training) -> str:
    config = finished_run(training.folder)
    if config is None:
        with _stored_moments() if training.way == "stored" else contextlib.nullcontext():
            began = time.process_time()
            config = train_logged(
                TrainingRequest(
                    training.store,
                    training.folder,
                    _MODEL,
                    dataclasses.replace(
                        recipe(_EPOCHS, _BATCH, _RATE),
                        grid_ramp=_RAMP if training.way == "ramp" else None,
                    ),
                    grid=_GRID,
                    seed=training.seed,
                    threads=1,
                    resume=True,
                )
            )
            seconds = time.process_time() - began
            with (training.folder / _SECONDS).open("a") as file:
                file.write(json.dumps(seconds) + "\n")
    found = config.results["validation"]
    where = f"{training.folder.parent.name}/{training.folder.name}"
    return f"{where}: top-1 {found['top1']:.1%}, cross-entropy {found['loss']:.3f}"


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
