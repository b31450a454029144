"""Accuracy by resolution at fixed bytes: many channels of small images, or few of large ones.

MobileNetV2 on flowers17, whose photographs are 500 pixels high and more. For each size of stored
images the channels are those that ``freqprep stats`` proposes for the budget; no others are read.
The network has a position for each block. Beside it, RGB with maps of equal size, so of equal
arithmetic, without a limit of bytes. All begin with ImageNet's weights, the first stages fitted
(``freqprep train --init``). Each training is a run folder: finished ones are skipped, unfinished
ones are resumed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from freqprep.convert.request import Request
from freqprep.convert.run import convert
from freqprep.importance.request import StatsRequest, compute_stats
from freqprep.spectrum import BLOCK
from freqprep.store.reader import open_store
from freqprep.store.selection_file import write_selection
from freqprep.training.request import TrainingRequest
from tests.benchmarks.table import show
from tests.benchmarks.training_runs import (
    finished_run,
    mean_loss,
    recipe,
    record_origin,
    run_all,
    train_logged,
    training_pool,
)

SIZES = (224, 448, 672)
BUDGETS = ("12KB/image", "24KB/image")
_RGB = "rgb"
_SOURCE, _MODEL = "flowers17", "mobilenet_v2"
_WEIGHTS = "weights/mobilenet_v2_imagenet_folded.npz"
_EPOCHS, _BATCH, _SEEDS, _WORKERS = 6, 32, 3, 2
_RATES, _TRIAL_SEED = (0.0025, 0.005, 0.01, 0.02), 100


@dataclass(frozen=True)
class Way:
    """An input of the network.

    Attributes
    ----------
    size : int
        Long side of the stored images, pixels; the network's grid is an eighth of it.
    budget : str
        Limit of the bytes of its channels; or ``rgb``, for a quarter of the size in pixels.
    """

    size: int
    budget: str

    @property
    def name(self) -> str:
        """Name of the folder of its runs."""
        return f"{self.size}-{self.budget.partition('/')[0]}"


WAYS = tuple(Way(size, budget) for size in SIZES for budget in (*BUDGETS, _RGB))


@dataclass(frozen=True)
class Training:
    """A network to train.

    Attributes
    ----------
    way : Way
    rate : float
        Learning rate.
    seed : int
    kind : str
        Folder of its run's folder: trials or runs.
    """

    way: Way
    rate: float
    seed: int
    kind: str

    @property
    def folder(self) -> str:
        """Folder of the run, in that of the benchmark."""
        return f"{self.kind}/{self.way.name}/rate-{self.rate:g}/seed-{self.seed}"


def run(data: Path, folder: Path) -> dict[str, object]:
    record_origin(folder, f"{_SOURCE}, CPU", _WORKERS)
    for size in SIZES:
        _prepare(data, folder, size)
    train = partial(_train, data, folder)
    with training_pool(_WORKERS) as pool:
        # Of the smallest images, whose trainings are short.
        tried = {
            budget: [
                Training(Way(SIZES[0], budget), rate, _TRIAL_SEED, "trials") for rate in _RATES
            ]
            for budget in (*BUDGETS, _RGB)
        }
        run_all(pool, train, [trial for trials in tried.values() for trial in trials])
        rates = {
            budget: min(trials, key=lambda trial: mean_loss([folder / trial.folder])).rate
            for budget, trials in tried.items()
        }
        print(f"learning rates: {rates}", flush=True)
        runs = [
            Training(way, rates[way.budget], seed, "runs") for seed in range(_SEEDS) for way in WAYS
        ]
        run_all(pool, train, runs)
    return _show(folder, runs)


def _prepare(data: Path, folder: Path, size: int) -> None:
    """Store the images at a size, and choose the channels for each budget from the data."""
    store = _store(folder, size)
    convert(Request("imagefolder", data / _SOURCE, store, size=size, resume=store.exists()))
    split = open_store(store)["train"]
    for way in WAYS:
        path = _chosen(folder, way)
        if way.size == size and way.budget != _RGB and not path.exists():
            everything = len(split.attributes.channels)
            choice = compute_stats(split, StatsRequest(everything, budget=way.budget)).choice
            write_selection(path, choice.selection, {"command": f"stats --budget {way.budget}"})


def _store(folder: Path, size: int) -> Path:
    return folder / f"{size}.zarr"


def _chosen(folder: Path, way: Way) -> Path:
    return folder / f"{way.name}.json"


def _train(data: Path, folder: Path, training: Training) -> str:
    way, run_folder = training.way, folder / training.folder
    chosen = _chosen(folder, way)
    changes: dict[str, Any] = {"input": _RGB}
    if way.budget != _RGB:
        changes = {"channels": chosen, "read": chosen}
    config = finished_run(run_folder) or train_logged(
        TrainingRequest(
            _store(folder, way.size),
            run_folder,
            _MODEL,
            recipe(_EPOCHS, _BATCH, training.rate),
            grid=way.size // BLOCK,
            init=data / _WEIGHTS,
            seed=training.seed,
            device="cpu",
            threads=1,
            resume=True,
            **changes,
        )
    )
    return f"{training.folder}: top-1 {config.results['validation']['top1']:.1%}"


def _show(folder: Path, runs: list[Training]) -> dict[str, object]:
    rows = []
    for way in WAYS:
        done = [finished_run(folder / one.folder) for one in runs if one.way == way]
        configs = [config for config in done if config is not None]
        results = [config.results for config in configs]
        top1 = 100 * np.array([found["validation"]["top1"] for found in results])
        rows.append(
            (
                way.size,
                "RGB" if way.budget == _RGB else len(configs[0].inputs.channels),
                results[0]["read_bytes_per_image"],
                results[0]["multiply_accumulates"] / 1e6,
                f"{top1.mean():.1f}",
                f"{top1.std(ddof=1):.1f}",
                ", ".join(f"{value:.1f}" for value in top1),
            )
        )
    header = ("size", "channels", "bytes", "MMAC", "top-1 %", "sd", "seeds")
    show(header, rows)
    return {"rows": [dict(zip(header, row, strict=True)) for row in rows]}
