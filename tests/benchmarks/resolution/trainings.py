"""Accuracy by resolution at fixed bytes: many channels of small images, or few of large ones.

For each size of stored images the channels, and the precision that they are stored with, are those
that ``freqprep stats`` proposes for the budget; no others are read. The network has a position for
each block. Beside it, RGB with maps of equal size, so of equal arithmetic, without a limit of
bytes. Each training is a run folder: finished ones are skipped, unfinished ones are resumed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from freqprep.convert.request import Request
from freqprep.convert.run import convert
from freqprep.importance.request import StatsRequest, compute_stats
from freqprep.importance.result import chosen_precision
from freqprep.report.style import as_png
from freqprep.store.reader import open_store
from freqprep.store.selection_file import write_selection
from freqprep.training import classifier_task
from freqprep.training.recipe import Recipe
from freqprep.training.request import TrainingRequest
from freqprep.training.transfer import fit_to_rgb
from tests.benchmarks.resolution.chart import Point, draw_sizes
from tests.benchmarks.table import show
from tests.benchmarks.training_runs import (
    finished_run,
    mean_loss,
    record_origin,
    run_all,
    train_logged,
    training_pool,
)

_RGB = "rgb"
_TRIAL_SEED = 100
_WORKERS = 2


@dataclass(frozen=True)
class Domain:
    """A data set, the network trained on it, and how.

    Attributes
    ----------
    data : str
        Folder of the data.
    kind : str
        Kind of source.
    model : str
    grids : dict of int to int
        Long side of the stored images in pixels -> grid of the network.
    budgets : tuple of str
        Limits of the bytes of the channels.
    recipe : Recipe
        With any learning rate.
    rates : tuple of float
        Learning rates to try with the smallest images, where there are several. That of the lowest
        mean loss of all inputs is used for all: of one seed, the rates of each differ by chance.
    seeds : int
    request : dict
        Fields of a `TrainingRequest`.
    score : str
        Figure of the validation.
    """

    data: str
    kind: str
    model: str
    grids: Mapping[int, int]
    budgets: tuple[str, ...]
    recipe: Recipe
    rates: tuple[float, ...]
    seeds: int
    request: Mapping[str, Any]
    score: str

    @property
    def inputs(self) -> tuple[str, ...]:
        """The budgets, and RGB."""
        return (*self.budgets, _RGB)


@dataclass(frozen=True)
class Training:
    """A network to train.

    Attributes
    ----------
    size : int
        Long side of the stored images, pixels.
    input : str
        Budget of its channels, or ``rgb``.
    rate : float
        Learning rate.
    seed : int
    kind : str
        Folder of its run's folder: trials or runs.
    """

    size: int
    input: str
    rate: float
    seed: int
    kind: str

    @property
    def folder(self) -> str:
        """Folder of the run, in that of the benchmark."""
        return f"{self.kind}/{self.size}-{_word(self.input)}/rate-{self.rate:g}/seed-{self.seed}"


def run_all_sizes(domain: Domain, data: Path, folder: Path) -> dict[str, object]:
    """Train all networks of a domain, and show their figures."""
    record_origin(folder, f"{domain.data}, CPU", _WORKERS)
    for size in domain.grids:
        _prepare(domain, data, folder, size)
    train = partial(_train, domain, folder)
    with training_pool(_WORKERS) as pool:
        rate = _best_rate(domain, folder, pool, train)
        print(f"learning rate: {rate:g}", flush=True)
        runs = [
            Training(size, given, rate, seed, "runs")
            for seed in range(domain.seeds)
            for size in domain.grids
            for given in domain.inputs
        ]
        run_all(pool, train, runs)
    return _show(domain, folder, runs)


def _best_rate(
    domain: Domain, folder: Path, pool: ProcessPoolExecutor, train: Callable[[Training], str]
) -> float:
    """Try the rates with the smallest images, and return that of the lowest mean loss."""
    if len(domain.rates) == 1:
        return domain.rates[0]
    smallest = min(domain.grids)
    tried = {
        rate: [Training(smallest, given, rate, _TRIAL_SEED, "trials") for given in domain.inputs]
        for rate in domain.rates
    }
    run_all(pool, train, [trial for trials in tried.values() for trial in trials])
    losses = {
        rate: mean_loss([folder / trial.folder for trial in trials])
        for rate, trials in tried.items()
    }
    return min(losses, key=losses.__getitem__)


def _prepare(domain: Domain, data: Path, folder: Path, size: int) -> None:
    """Store the images at a size, and as is proposed for each budget from these data."""

    def store(given: str, **precision: Any) -> Path:
        path = _store(folder, size, given)
        source, resume = data / domain.data, path.exists()
        convert(Request(domain.kind, source, path, size=size, resume=resume, **precision))
        return path

    split = open_store(store(_RGB))["train"]
    everything = len(split.attributes.channels)
    for budget in domain.budgets:
        path = _chosen(folder, size, budget)
        if not path.exists():
            result = compute_stats(split, StatsRequest(everything, budget=budget))
            store(budget, precision=chosen_precision(result))
            made_from = {"command": f"stats --budget {budget}"}
            write_selection(path, result.choice.selection, made_from)


def _store(folder: Path, size: int, given: str) -> Path:
    return folder / (f"{size}.zarr" if given == _RGB else f"{size}-{_word(given)}.zarr")


def _chosen(folder: Path, size: int, budget: str) -> Path:
    return folder / f"{size}-{_word(budget)}.json"


def _word(given: str) -> str:
    return given.partition("/")[0]


def _train(domain: Domain, folder: Path, training: Training) -> str:
    run_folder = folder / training.folder
    changes: dict[str, Any] = {"input": _RGB}
    if training.input != _RGB:
        chosen = _chosen(folder, training.size, training.input)
        changes = {"channels": chosen, "read": chosen}
    request = TrainingRequest(
        _store(folder, training.size, training.input),
        run_folder,
        domain.model,
        dataclasses.replace(domain.recipe, lr=training.rate),
        grid=domain.grids[training.size],
        seed=training.seed,
        device="cpu",
        threads=1,
        resume=True,
        **domain.request,
        **changes,
    )
    with _one_fit(folder / f"{training.size}-{_word(training.input)}.pt"):
        config = finished_run(run_folder) or train_logged(request)
    return f"{training.folder}: {domain.score} {config.results['validation'][domain.score]:.3f}"


@contextlib.contextmanager
def _one_fit(path: Path) -> Iterator[None]:
    """Fit the first stages to those of an RGB network once for all networks of equal input.

    A fit takes minutes. That of the first training is kept, and the others begin with its layers;
    their classifiers are drawn by their own seeds.
    """

    def fit(network: Any, *given: Any) -> str:
        if path.exists():
            network.features.load_state_dict(torch.load(path))
            return f"the first stages are those of {path.name}"
        said = fit_to_rgb(network, *given)
        if said:
            own = path.with_suffix(f".{os.getpid()}")
            torch.save(network.features.state_dict(), own)
            own.replace(path)  # another process may be reading it
        return said

    with mock.patch.object(classifier_task, "fit_to_rgb", fit):
        yield


def _show(domain: Domain, folder: Path, runs: list[Training]) -> dict[str, object]:
    """Print a table of the finished trainings, and draw ``chart.png``."""
    points = [
        point
        for size in domain.grids
        for given in domain.inputs
        if (point := _point(domain, folder, size, given, runs)) is not None
    ]
    header = ("size", "input", "channels", "bytes", "MMAC", f"{domain.score}, %", "sd", "seeds")
    rows = [
        (
            point.size,
            point.input,
            point.channels or "-",
            round(point.bytes),
            round(point.mmac, 1),
            f"{np.mean(point.scores):.1f}",
            f"{np.std(point.scores, ddof=1):.1f}" if len(point.scores) > 1 else "-",
            ", ".join(f"{score:.1f}" for score in point.scores),
        )
        for point in points
    ]
    show(header, rows)
    (folder / "chart.png").write_bytes(as_png(partial(draw_sizes, points, domain.score)))
    return {"rows": [dict(zip(header, row, strict=True)) for row in rows]}


def _point(
    domain: Domain, folder: Path, size: int, given: str, runs: list[Training]
) -> Point | None:
    folders = [folder / one.folder for one in runs if (one.size, one.input) == (size, given)]
    configs = [config for path in folders if (config := finished_run(path)) is not None]
    if not configs:
        return None
    results = [config.results for config in configs]
    return Point(
        size,
        "RGB" if given == _RGB else given,
        len(configs[0].inputs.channels),
        results[0]["read_bytes_per_image"],
        results[0]["multiply_accumulates"] / 1e6,
        tuple(100 * result["validation"][domain.score] for result in results),
    )
