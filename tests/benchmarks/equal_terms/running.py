"""The paper's claim on equal terms: RGB, DCT channels and a learned 8x8 convolution.

Each training is a run folder: finished ones are skipped, unfinished ones are resumed. The learning
rate of each model is chosen first, by trials of both RGB and DCT-24.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from freqprep.convert.request import Request
from freqprep.convert.run import convert
from freqprep.importance.request import StatsRequest, compute_stats
from freqprep.store.reader import open_store
from freqprep.store.selection_file import write_selection
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
from tests.benchmarks.equal_terms.summary import summarise
from tests.benchmarks.training_runs import (
    finished_run,
    mean_loss,
    record_origin,
    run_all,
    train_logged,
    training_pool,
)

_STORE, _STATS_CHOICE = "store.zarr", "stats.json"


def run(data: Path, folder: Path) -> dict[str, object]:
    scale = choose_scale()
    source = data / "flowers17"
    record_origin(folder, scale.name, scale.workers)
    _prepare(scale, source, folder)
    work = partial(_train, scale, folder, source)
    with training_pool(scale.workers) as pool:
        tried = trials(scale, folder)
        run_all(pool, work, [[t] for by in tried.values() for ts in by.values() for t in ts])
        rates = {
            model: min(by_rate, key=lambda rate: mean_loss([t.folder for t in by_rate[rate]]))
            for model, by_rate in tried.items()
        }
        print(f"learning rates: {rates}", flush=True)
        run_all(pool, work, _chains(trainings(scale, rates, folder)))
    return summarise(folder)


def _prepare(scale: Scale, source: Path, folder: Path) -> None:
    """Make the store, and choose channels from its training split by stats."""
    store = folder / _STORE
    convert(Request("imagefolder", source, store, size=scale.size, resume=store.exists()))
    if any(STATS in ways for ways in scale.ways.values()):
        selection = compute_stats(
            open_store(store)["train"], StatsRequest(top=TOP)
        ).choice.selection
        write_selection(folder / _STATS_CHOICE, selection, {"command": f"stats --top {TOP}"})


def _chains(everything: Iterable[Training]) -> list[list[Training]]:
    """Group trainings to run in sequence: those on the gate's channels follow the gate."""
    chains: list[list[Training]] = []
    for training in everything:
        if training.way == GATED:
            chains[-1].append(training)
        else:
            chains.append([training])
    return chains


def _train(scale: Scale, folder: Path, source: Path, chain: list[Training]) -> str:
    """Run the unfinished trainings one after the other; return messages about them."""
    said = []
    for training in chain:
        config = finished_run(training.folder) or _train_one(scale, folder, source, training)
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
    with reading:
        return train_logged(request)
