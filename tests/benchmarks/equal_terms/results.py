"""Results of the finished trainings of a grid, by kind of input."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import t as student

from freqprep.training.metrics import read_metrics
from freqprep.training.model_config import ModelConfig
from tests.benchmarks.equal_terms.grid import JPEGS, MODELS, SEEDS, WAYS
from tests.benchmarks.training_runs import finished_run

_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Line:
    """Results of one kind of input.

    Attributes
    ----------
    model, way : str
    top1 : dict of int to float
        Accuracy of each seed, in percent.
    loss : float
        Mean cross-entropy on the validation images, nats.
    rate : float
        Learning rate.
    read, used : int
        Channels; used is 0 for RGB.
    bytes, source_bytes : float
        Bytes read per image, and bytes of its JPEG.
    operations, weights : int
        Multiply-accumulates per image, and number of parameters.
    seconds : float
        Mean training time of one network, without validation.
    curves : ndarray of float64, shape (seeds, epochs)
        Accuracy after each epoch, in percent.
    chosen : tuple of frozenset of str
        Channels that a gate chose, by seed; empty for other ways.
    """

    model: str
    way: str
    top1: dict[int, float]
    loss: float
    rate: float
    read: int
    used: int
    bytes: float
    source_bytes: float
    operations: int
    weights: int
    seconds: float
    curves: np.ndarray
    chosen: tuple[frozenset[str], ...]

    @property
    def mean(self) -> float:
        """Mean accuracy of the seeds, in percent."""
        return _mean(self.top1.values())

    @property
    def spread(self) -> float:
        """Standard deviation over the seeds; NaN for a single seed."""
        values = list(self.top1.values())
        return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")


def read_lines(folder: Path) -> list[Line]:
    """Read the results of all kinds of input that have a finished training."""
    found = (_line(folder, model, way) for model in MODELS for way in WAYS)
    return [line for line in found if line is not None]


def paired_difference(one: Line, reference: Line) -> tuple[float, float] | None:
    """Compute how much more accurate one way is than another, with equal seeds.

    Returns
    -------
    tuple of float, or None
        Mean of the seeds' differences, and half the 95 % confidence interval by Student's
        distribution, in percent; None of fewer than two common seeds.
    """
    both = sorted(set(one.top1) & set(reference.top1))
    if len(both) < 2:
        return None
    changes = np.array([one.top1[seed] - reference.top1[seed] for seed in both])
    error = changes.std(ddof=1) / np.sqrt(len(changes))
    width = float(student.ppf((1 + _CONFIDENCE) / 2, len(changes) - 1) * error)
    return float(changes.mean()), width


def shared_channels(line: Line) -> list[int]:
    """Count the channels that a gate chose with both seeds of each pair."""
    return [len(a & b) for a, b in itertools.combinations(line.chosen, 2)]


def _line(folder: Path, model: str, way: str) -> Line | None:
    """Results of one kind of input; None if no training is finished."""
    runs = {seed: folder / "runs" / model / way / f"seed-{seed}" for seed in SEEDS[model]}
    found = {
        seed: config for seed, run in runs.items() if (config := finished_run(run)) is not None
    }
    if not found:
        return None
    results = [config.results for config in found.values()]
    config, any_result = next(iter(found.values())), results[0]
    source_bytes = any_result["source_bytes_per_image"]
    return Line(
        model,
        way,
        {seed: 100 * one.results["validation"]["top1"] for seed, one in found.items()},
        _mean(result["validation"]["loss"] for result in results),
        config.recipe["lr"],
        0 if way == JPEGS else len(config.inputs.read),
        len(config.inputs.channels),
        # The gate of each seed chose other channels, so the bytes differ.
        source_bytes if way == JPEGS else _mean(r["read_bytes_per_image"] for r in results),
        source_bytes,
        any_result["multiply_accumulates"],
        any_result["parameters"],
        _mean(_seconds(runs[seed], one) for seed, one in found.items()),
        _curves([runs[seed] for seed in found]),
        tuple(map(_chosen, found.values())) if WAYS[way].changes.get("gate") else (),
    )


def _chosen(config: ModelConfig) -> frozenset[str]:
    return frozenset(config.results["gate"]["channels"])


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _curves(runs: list[Path]) -> np.ndarray:
    rows = [
        [100 * line["top1"] for line in read_metrics(run) if line["kind"] == "validation"]
        for run in runs
    ]
    return np.array([row[: min(map(len, rows))] for row in rows])


def _seconds(run: Path, config: ModelConfig) -> float:
    """Seconds of the steps, over all interruptions of the training."""
    seconds, before = 0.0, 0
    for line in read_metrics(run):
        if line["kind"] == "train":
            images = (line["steps"] - before) * int(config.recipe["batch_size"])
            seconds += images / line["images_per_second"]
            before = line["steps"]
    return seconds
