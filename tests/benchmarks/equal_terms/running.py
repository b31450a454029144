"""The paper's claim on equal terms: RGB, DCT channels and a learned 8x8 convolution.

Each training is a run folder: finished ones are skipped, unfinished ones are resumed. The learning
rate of each model is chosen first, by trials of both RGB and DCT-24.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import threading
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from freqprep.convert.request import Request
from freqprep.convert.run import convert
from freqprep.errors import RunError, UsageError
from freqprep.importance.request import StatsRequest, compute_stats
from freqprep.store.reader import open_store
from freqprep.store.selection_file import write_selection
from freqprep.streaming.loader import Loader
from freqprep.training import run_state
from freqprep.training.loop import train
from freqprep.training.model_config import ModelConfig, read_model_config
from tests.benchmarks.equal_terms.grid import (
    GATE,
    GATED,
    JPEGS,
    STATS,
    TOP,
    Scale,
    Training,
    choose_scale,
    trainings,
    trials,
)
from tests.benchmarks.equal_terms.jpegs import reading_jpegs
from tests.benchmarks.equal_terms.summary import ORIGIN, summarise

_STORE, _STATS_CHOICE = "store.zarr", "stats.json"
_WINDOW_BYTES = 2**33
"""Enough for the whole split; otherwise the row order would depend on the channels read."""

_STOPPED = threading.Event()
"""Set when this process is interrupted."""


def run(data: Path, folder: Path) -> dict[str, object]:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    scale = choose_scale()
    source = data / "flowers17"
    _write_origin(scale, folder)
    _prepare(scale, source, folder)
    work = partial(_train, scale, folder, source)
    with ProcessPoolExecutor(
        scale.workers, multiprocessing.get_context("spawn"), _single_thread
    ) as pool:
        tried = trials(scale, folder)
        _run_all(pool, work, [[t] for by in tried.values() for ts in by.values() for t in ts])
        rates = {
            model: min(by_rate, key=lambda rate: _loss(by_rate[rate]))
            for model, by_rate in tried.items()
        }
        print(f"learning rates: {rates}", flush=True)
        _run_all(pool, work, _chains(trainings(scale, rates, folder)))
    return summarise(folder)


def _write_origin(scale: Scale, folder: Path) -> None:
    """Record the origin of the results, with the commit of each time that the grid was resumed."""
    git = partial(subprocess.run, capture_output=True, text=True, cwd=Path(__file__).parent)
    commit = git(["git", "rev-parse", "HEAD"]).stdout.strip() or "unknown"
    if git(["git", "status", "--porcelain", "-uno"]).stdout.strip():
        commit += " with changes"
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    origin = {
        "scale": scale.name,
        "device": gpu or f"CPU, one compute thread a training, {scale.workers} trainings at a time",
        "torch": torch.__version__,
        "commits": [commit],
    }
    path = folder / ORIGIN
    if path.exists():
        before = json.loads(path.read_text())
        if before["scale"] != scale.name:
            raise UsageError(
                f"{folder} holds a grid that is {before['scale']}, this one is {scale.name}",
                "name another --folder",
            )
        origin["commits"] = list(dict.fromkeys([*before["commits"], commit]))
    path.write_text(json.dumps(origin, indent=1) + "\n")


def _prepare(scale: Scale, source: Path, folder: Path) -> None:
    """Make the store, and choose channels from its training split by stats."""
    store = folder / _STORE
    convert(Request("imagefolder", source, store, size=scale.size, resume=store.exists()))
    if any(STATS in ways for ways in scale.ways.values()):
        selection = compute_stats(
            open_store(store)["train"], StatsRequest(top=TOP)
        ).choice.selection
        write_selection(folder / _STATS_CHOICE, selection, {"command": f"stats --top {TOP}"})


def _single_thread() -> None:
    """Limit the compute threads, so that parallel trainings do not compete for cores."""
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


def _chains(everything: Iterable[Training]) -> list[list[Training]]:
    """Group trainings to run in sequence: those on the gate's channels follow the gate."""
    chains: list[list[Training]] = []
    for training in everything:
        if training.way == GATED:
            chains[-1].append(training)
        else:
            chains.append([training])
    return chains


def _run_all(pool: ProcessPoolExecutor, work: partial[str], chains: list[list[Training]]) -> None:
    futures = [pool.submit(work, chain) for chain in chains]
    try:
        for number, future in enumerate(as_completed(futures), 1):
            print(f"{number}/{len(futures)}: {future.result()}", flush=True)
    except BaseException:
        for worker in multiprocessing.active_children():
            worker.terminate()  # makes it save its run and stop
        pool.shutdown(cancel_futures=True)
        raise


def _train(scale: Scale, folder: Path, source: Path, chain: list[Training]) -> str:
    """Run the unfinished trainings one after the other; return messages about them."""
    if _STOPPED.is_set():  # the pool still runs queued tasks
        raise KeyboardInterrupt
    said = []
    for training in chain:
        training.folder.mkdir(parents=True, exist_ok=True)
        config = _finished(training)
        if config is None:
            with (
                (training.folder / "log.txt").open("a") as log,
                contextlib.redirect_stderr(log),
                mock.patch.object(run_state, "Loader", partial(Loader, window_bytes=_WINDOW_BYTES)),
            ):
                config = _train_one(scale, folder, source, training)
        top1 = config.results["validation"]["top1"]
        where = training.folder.relative_to(folder)
        said.append(f"{where}: top-1 {top1:.1%}")
    return "; ".join(said)


def _train_one(scale: Scale, folder: Path, source: Path, training: Training) -> ModelConfig:
    changes = {}
    if training.way == STATS:
        changes["channels"] = folder / _STATS_CHOICE
    elif training.way == GATED:
        gate = training.folder.parents[1] / GATE / training.folder.name
        changes["channels"] = read_model_config(gate).results["gate"]["channels"][:TOP]
    request = training.request(scale, folder / _STORE, **changes)
    reading = reading_jpegs(request, source) if training.way == JPEGS else contextlib.nullcontext()
    try:
        with reading:
            return train(request)
    except KeyboardInterrupt:
        _STOPPED.set()
        raise


def _finished(training: Training) -> ModelConfig | None:
    try:
        config = read_model_config(training.folder)
    except RunError:
        return None
    return config if config.results else None


def _loss(tried: list[Training]) -> float:
    """Mean over the kinds of input: the learning rate must suit all of them."""
    losses = [read_model_config(t.folder).results["validation"]["loss"] for t in tried]
    return float(np.mean([np.inf if loss is None else loss for loss in losses]))
