"""Bytes by training: selections and steps of equal bytes, each judged by networks trained on it.

MobileNetV2 from random weights on imagenette, 28x28 blocks. Images, order, crops, recipe and
arithmetic are the same; channels and steps differ, and only the channels of the network are read.
Each training is a run folder: finished ones are skipped, unfinished ones are resumed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from freqprep.spectrum.channels import channels as resolve
from freqprep.store.reader import open_store
from freqprep.training.request import TrainingRequest
from tests.benchmarks.bytes_by_training.stores import bytes_per_image, make_stores
from tests.benchmarks.table import show
from tests.benchmarks.training_runs import (
    ORIGIN,
    compare,
    describe_change,
    finished_run,
    mean_loss,
    recipe,
    record_origin,
    results_by_seed,
    run_all,
    train_logged,
    training_pool,
)
from tests.benchmarks.verdicts import Verdicts

_MODEL, _GRID = "mobilenet_v2", 28
_EPOCHS, _BATCH, _SEEDS = 3, 32, 5
_WORKERS = 2
_RATES, _TRIAL_EPOCHS, _TRIAL_SEED = (0.0125, 0.025, 0.05), 2, 100
_TRIED = ("square-24", "paper-64")
_RESULTS = "results.json"
_WEIGHTS, _JUDGED = "weights/mobilenet_v2_imagenet_folded.npz", 400


@dataclass(frozen=True)
class Way:
    """Channels, and the store they are read from.

    Attributes
    ----------
    channels : str
        Read, and all used by the network.
    steps : str
        Name of a precision, or of one of the coarse tables: also the name of the store.
    """

    channels: str
    steps: str

    @property
    def name(self) -> str:
        """Name of the folder of its runs."""
        return f"{self.channels}-at-{self.steps}"


REFERENCE = Way("square-24", "int8")
WAYS = (
    REFERENCE,
    Way("paper-48", "coarse-48"),
    Way("paper-64", "coarse-64"),
    Way("all", "compact"),
    Way("square-24", "coarse-48"),
)


@dataclass(frozen=True)
class Training:
    """One network to train.

    Attributes
    ----------
    store : Path
    channels : str
    seed, epochs : int
    rate : float
    folder : Path
        Folder of the run.
    """

    store: Path
    channels: str
    seed: int
    epochs: int
    rate: float
    folder: Path


def run(data: Path, folder: Path) -> dict[str, object]:
    record_origin(folder, "imagenette, CPU", _WORKERS)
    stores = make_stores(data / "imagenette", folder, {way.steps for way in WAYS})
    with training_pool(_WORKERS) as pool:
        tried = {rate: _trials(stores["int8"], folder, rate) for rate in _RATES}
        run_all(pool, _train, [training for each in tried.values() for training in each])
        losses = {rate: mean_loss([one.folder for one in each]) for rate, each in tried.items()}
        rate = min(losses, key=lambda one: losses[one])
        print(f"mean validation loss of the trials by learning rate: {losses}", flush=True)
        run_all(pool, _train, _trainings(stores, folder, rate))
    return summarise(folder, stores, judge(data / _WEIGHTS, stores))


def _trials(store: Path, folder: Path, rate: float) -> list[Training]:
    within = folder / "trials" / f"rate-{rate:g}"
    return [
        Training(store, channels, _TRIAL_SEED, _TRIAL_EPOCHS, rate, within / channels)
        for channels in _TRIED
    ]


def _trainings(stores: dict[str, Path], folder: Path, rate: float) -> list[Training]:
    """List the trainings seed by seed, so that what was interrupted has complete seeds."""
    return [
        Training(
            stores[way.steps], way.channels, seed, _EPOCHS, rate, _run_folder(folder, way, seed)
        )
        for seed in range(_SEEDS)
        for way in WAYS
    ]


def _run_folder(folder: Path, way: Way, seed: int) -> Path:
    return folder / "runs" / way.name / f"seed-{seed}"


def _train(training: Training) -> str:
    config = finished_run(training.folder)
    if config is None:
        config = train_logged(
            TrainingRequest(
                training.store,
                training.folder,
                _MODEL,
                recipe(training.epochs, _BATCH, training.rate),
                channels=training.channels,
                read=training.channels,
                grid=_GRID,
                seed=training.seed,
                threads=1,
                resume=True,
            )
        )
    found = config.results["validation"]
    where = f"{training.folder.parent.name}/{training.folder.name}"
    return f"{where}: top-1 {found['top1']:.1%}, cross-entropy {found['loss']:.3f}"


def judge(weights: Path, stores: Mapping[str, Path]) -> dict[Way, np.ndarray]:
    """Evaluate a network that was trained on pixels: cross-entropy of each validation image."""
    found = {}
    for way in WAYS:
        split = open_store(stores[way.steps])["val"]
        verdicts = Verdicts(split, weights, _JUDGED)
        found[way] = verdicts.loss(resolve(way.channels).indices)
    return found


def summarise(
    folder: Path, stores: Mapping[str, Path], judged: Mapping[Way, np.ndarray]
) -> dict[str, object]:
    """Print the table of the finished trainings, and write it as JSON.

    Parameters
    ----------
    folder : Path
        Folder of the benchmark.
    stores : mapping of str to Path
        Store of each name of steps.
    judged : mapping of Way to ndarray
        Cross-entropy of each image by `judge`.

    Returns
    -------
    dict
        ``origin``, and ``ways``: bytes, every seed's top-1 and cross-entropy, and the judge's.
    """
    found = {way: _results(folder, way) for way in WAYS}
    taken = {way: bytes_per_image(stores[way.steps], way.channels) for way in WAYS}
    rows = [
        (
            way.channels,
            way.steps,
            f"{taken[way] / 1e3:.2f}",
            f"{taken[way] / taken[REFERENCE]:.2f}",
            str(len(found[way])),
            *compare(found[way], found[REFERENCE], "top1", 100, 1),
            *compare(found[way], found[REFERENCE], "loss", 1, 3),
            describe_change(judged[way] - judged[REFERENCE], 3) if way != REFERENCE else "",
        )
        for way in WAYS
    ]
    show(_HEADER, rows)
    results = {
        "origin": json.loads((folder / ORIGIN).read_text()),
        "ways": [
            {
                **asdict(way),
                "bytes_per_image": taken[way],
                "seeds": found[way],
                "judge": {"images": len(judged[way]), "loss": float(judged[way].mean())},
            }
            for way in WAYS
        ],
    }
    (folder / _RESULTS).write_text(json.dumps(results, indent=1) + "\n")
    return results


_HEADER = (
    "channels", "steps", "KB an image", "of the first", "seeds", "top-1 %", "- first",
    "cross-entropy", "- first", "judge's - first",
)  # fmt: skip


def _results(folder: Path, way: Way) -> dict[int, dict[str, float]]:
    """Top-1 and cross-entropy of the finished trainings by seed."""
    return results_by_seed({seed: _run_folder(folder, way, seed) for seed in range(_SEEDS)})
