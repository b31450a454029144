"""Many trainings, each in a folder of its own: finished ones are skipped, others are resumed.

On a CPU each training has one compute thread, so that its result does not depend on how many run
at a time.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import TypeVar
from unittest import mock

import numpy as np
import torch

from freqprep.augment import Policy
from freqprep.errors import RunError, UsageError
from freqprep.streaming.loader import Loader
from freqprep.training import run_state
from freqprep.training.loop import train
from freqprep.training.model_config import ModelConfig, read_model_config
from freqprep.training.recipe import Recipe
from freqprep.training.request import TrainingRequest

ORIGIN = "origin.json"

_WINDOW_BYTES = 2**33
"""Enough for the whole split; otherwise the row order would depend on the channels read."""

_FEWEST_SEEDS = 2

_STOPPED = threading.Event()
"""Set in a process whose training was interrupted: the pool still hands it queued tasks."""

Task = TypeVar("Task")


def recipe(epochs: int, batch_size: int, rate: float) -> Recipe:
    """Return the recipe of all compared trainings."""
    return Recipe(
        epochs,
        batch_size,
        rate,
        weight_decay=5e-5,
        warmup_epochs=epochs / 10,
        label_smoothing=0.1,
        average=0.99,
        policy=Policy(scale=(0.25, 1.0)),
    )


def record_origin(folder: Path, scale: str, workers: int) -> None:
    """Record the origin of the results, with the commit of each time that they were continued."""
    git = partial(subprocess.run, capture_output=True, text=True, cwd=Path(__file__).parent)
    commit = git(["git", "rev-parse", "HEAD"]).stdout.strip() or "unknown"
    if git(["git", "status", "--porcelain", "-uno"]).stdout.strip():
        commit += " with changes"
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    origin = {
        "scale": scale,
        "device": gpu or f"CPU, one compute thread a training, {workers} trainings at a time",
        "torch": torch.__version__,
        "commits": [commit],
    }
    path = folder / ORIGIN
    if path.exists():
        before = json.loads(path.read_text())
        if before["scale"] != scale:
            raise UsageError(
                f"{folder} holds a grid that is {before['scale']}, this one is {scale}",
                "name another --folder",
            )
        origin["commits"] = list(dict.fromkeys([*before["commits"], commit]))
    path.write_text(json.dumps(origin, indent=1) + "\n")


@contextlib.contextmanager
def training_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Provide processes that train; SIGTERM stops them as an interrupt does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _single_thread) as pool:
        yield pool


def _single_thread() -> None:
    """Limit the compute threads, so that parallel trainings do not compete for cores."""
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


def run_all(pool: ProcessPoolExecutor, work: Callable[[Task], str], tasks: Sequence[Task]) -> None:
    """Run tasks in processes, and print the message of each; an interrupt stops all of them."""
    futures = [pool.submit(work, task) for task in tasks]
    try:
        for number, future in enumerate(as_completed(futures), 1):
            print(f"{number}/{len(futures)}: {future.result()}", flush=True)
    except BaseException:
        for worker in multiprocessing.active_children():
            worker.terminate()  # makes it save its run and stop
        pool.shutdown(cancel_futures=True)
        raise


def train_logged(request: TrainingRequest) -> ModelConfig:
    """Train, with the log in the run's folder; the rows are read in the same order in all runs."""
    if _STOPPED.is_set():
        raise KeyboardInterrupt
    request.run.mkdir(parents=True, exist_ok=True)
    try:
        with (
            (request.run / "log.txt").open("a") as log,
            contextlib.redirect_stderr(log),
            mock.patch.object(run_state, "Loader", partial(Loader, window_bytes=_WINDOW_BYTES)),
        ):
            return train(request)
    except KeyboardInterrupt:
        _STOPPED.set()
        raise


def finished_run(folder: Path) -> ModelConfig | None:
    """Return the config of a finished run with its results; None of any other folder."""
    try:
        config = read_model_config(folder)
    except RunError:
        return None
    return config if config.results else None


def mean_loss(folders: Sequence[Path]) -> float:
    """Return the mean validation loss of finished runs; infinite if one diverged."""
    losses = [read_model_config(folder).results["validation"]["loss"] for folder in folders]
    return float(np.mean([np.inf if loss is None else loss for loss in losses]))


def results_by_seed(folders: Mapping[int, Path]) -> dict[int, dict[str, float]]:
    """Return top-1 and cross-entropy of the finished runs among some seeds' folders."""
    found = {}
    for seed, folder in folders.items():
        config = finished_run(folder)
        if config is not None:
            validation = config.results["validation"]
            found[seed] = {name: validation[name] for name in ("top1", "loss")}
    return found


def compare(
    mine: Mapping[int, Mapping[str, float]],
    reference: Mapping[int, Mapping[str, float]],
    name: str,
    factor: float,
    digits: int,
) -> tuple[str, str]:
    """Describe a number of all seeds, and its change from that of equal seeds of a reference.

    Parameters
    ----------
    mine, reference : mapping of int to mapping of str to float
        Numbers by seed and name.
    name : str
    factor : float
        What the numbers are multiplied by.
    digits : int
        After the point.

    Returns
    -------
    tuple of str
        Mean and deviation; mean difference and its standard error, empty for the reference.
    """
    values = factor * np.array([found[name] for found in mine.values()])
    both = sorted(set(mine) & set(reference))
    changes = factor * np.array([mine[seed][name] - reference[seed][name] for seed in both])
    if len(changes) < _FEWEST_SEEDS:
        return "-", "-"
    spread = f"{values.mean():.{digits}f} (sd {values.std(ddof=1):.{digits}f})"
    return spread, "" if mine is reference else describe_change(changes, digits)


def describe_change(values: np.ndarray, digits: int) -> str:
    """Return mean and standard error as text."""
    error = values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():+.{digits}f} +- {error:.{digits}f}"
