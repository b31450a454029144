"""The paper's claim on equal terms: RGB, DCT channels and a learned 8x8 convolution.

Each training is a run folder: finished ones are skipped, unfinished ones are resumed. The learning
rate of each way is chosen first, by trials.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from torch import nn

from freqprep.convert.request import Request
from freqprep.convert.run import convert
from freqprep.importance.request import StatsRequest, compute_stats
from freqprep.models import networks
from freqprep.spectrum import BLOCK
from freqprep.spectrum.channels import channels as resolve
from freqprep.spectrum.quantization import PRECISIONS
from freqprep.store.channel_bytes import bytes_read
from freqprep.store.reader import open_store
from freqprep.store.selection_file import write_selection
from freqprep.training.model_config import ModelConfig, read_model_config
from tests.benchmarks.equal_terms.grid import (
    JPEGS,
    MODELS,
    PIXELS,
    STATS,
    STATS_CHOICE,
    TOP,
    WAYS,
    Scale,
    Training,
    choose_scale,
    store_path,
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


def run(data: Path, folder: Path) -> dict[str, object]:
    scale = choose_scale()
    source = data / scale.source
    record_origin(folder, scale.name, scale.workers)
    _prepare(scale, source, folder)
    with training_pool(scale.workers) as pool:
        for model in MODELS:
            _train_all(pool, partial(_train, scale, folder, source), scale, model, folder)
    return summarise(folder)


def _prepare(scale: Scale, source: Path, folder: Path) -> None:
    """Make the stores, and choose channels from the training split by stats."""
    used = {way for ways in scale.ways.values() for way in ways}
    for steps in sorted({WAYS[way].steps for way in used}):
        store = store_path(folder, steps)
        precision, resume = PRECISIONS[steps], store.exists()
        convert(
            Request(
                "imagefolder", source, store, size=scale.size, precision=precision, resume=resume
            )
        )
    if STATS in used and not (folder / STATS_CHOICE).exists():
        split = open_store(store_path(folder, "int8"))["train"]
        selection = compute_stats(split, StatsRequest(top=TOP)).choice.selection
        write_selection(folder / STATS_CHOICE, selection, {"command": f"stats --top {TOP}"})


def _train_all(
    pool: ProcessPoolExecutor, work: Any, scale: Scale, model: str, folder: Path
) -> None:
    tried = {way: by for (of, way), by in trials(scale, folder).items() if of == model}
    run_all(pool, work, [[training] for by in tried.values() for training in by.values()])
    rates = {
        way: min(by_rate, key=lambda rate: mean_loss([by_rate[rate].folder]))
        for way, by_rate in tried.items()
    }
    print(f"{model}, learning rates: {rates}", flush=True)
    run_all(pool, work, _chains(trainings(scale, model, rates, folder)))


def _chains(everything: Iterable[Training]) -> list[list[Training]]:
    """Group trainings to run in sequence: one on a gate's channels follows the gate."""
    chains: list[list[Training]] = []
    for training in everything:
        if WAYS[training.way].gate:
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
    way = WAYS[training.way]
    store, changes, goal = store_path(folder, way.steps), {}, dict(way.recipe)
    chosen: object = None
    if training.way == STATS:
        chosen = folder / STATS_CHOICE
    elif way.gate:
        gate = training.folder.parents[1] / way.gate / training.folder.name
        chosen = read_model_config(gate).results["gate"]["channels"]
    if chosen is not None:
        changes = {"channels": chosen, "read": chosen}
    if way.changes.get("gate") and not goal:
        goal = {"gate_budget": _bytes_of_the_square(store)}
    request = training.request(scale, store, goal, **changes)
    reading = reading_jpegs(request, source) if training.way == JPEGS else contextlib.nullcontext()
    with reading, _stem(training.way):
        return train_logged(request)


def _bytes_of_the_square(store: Path) -> str:
    split = open_store(store)["train"]
    read = bytes_read(split, resolve(f"square-{TOP}").indices)
    return f"{read / int(split.valid.sum()):.0f}B/image"


@contextlib.contextmanager
def _stem(way: str) -> Iterator[None]:
    """Let networks built in this block have a way's stem.

    Pixels as channels take the place of the learned 8x8 convolution: all that the DCT sees, without
    the DCT. The pixels are normalised already.
    """
    if way != PIXELS:
        yield
        return
    with mock.patch.object(networks, "_patches", lambda channels: nn.PixelUnshuffle(BLOCK)):
        yield
