"""A run to measure: its state as in training, batches without end, and their time."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from freqprep.augment import resample
from freqprep.augment.resample_triton import can_launch
from freqprep.streaming.batch import Batch
from freqprep.training.distributed import init_distributed
from freqprep.training.loop import train_step
from freqprep.training.planning import plan
from freqprep.training.recipe import preset_recipe
from freqprep.training.request import TrainingRequest
from freqprep.training.run_state import RunState


@dataclasses.dataclass(frozen=True)
class Setting:
    """What is trained, and how.

    Attributes
    ----------
    model : str
    grid : int
        Side of the input to the first block; RGB has the same arithmetic behind its stem.
    input : {"frequency", "rgb"}
    compiled : bool
    batch_size : int
    """

    model: str
    grid: int
    input: str
    compiled: bool
    batch_size: int

    def __str__(self) -> str:
        return f"{self.model} {self.input} {self.grid}" + " compiled" * self.compiled

    @property
    def columns(self) -> dict[str, Any]:
        """The setting in a row of a table."""
        return {"network": self.model, "input": self.input, "grid": self.grid}


@contextmanager
def opened(setting: Setting, store: Path, folder: Path) -> Iterator[RunState]:
    """Set up training as `freqprep.train` does, on the device that it would choose."""
    recipe = preset_recipe("short", setting.model, batch_size=setting.batch_size, epochs=1000)
    request = TrainingRequest(
        store,
        folder / str(setting),
        setting.model,
        recipe,
        input=setting.input,
        grid=setting.grid,
        compile=setting.compiled,
        val_split="train",
    )
    with init_distributed(None) as world:
        run = RunState(request, plan(request), world)
        with run.loader:
            run.network.train()
            yield run


def endless(run: RunState) -> Iterator[Batch]:
    """Batches of one epoch after the other."""
    return itertools.chain.from_iterable(iter(run.loader) for _ in itertools.count())


def kept(batch: Batch) -> Batch:
    """Copy a batch into its own memory; a step on it augments nothing."""
    return dataclasses.replace(batch, codes=batch.codes.clone(), labels=batch.labels.clone())


def forms(device: torch.device) -> dict[str, AbstractContextManager[object]]:
    """Contexts in which each form of the augmentation on a device is used."""
    found: dict[str, AbstractContextManager[object]] = {"chosen": contextlib.nullcontext()}
    if device.type == "cuda" and can_launch(device):
        without = mock.patch.object(resample, "can_launch", lambda _: False)
        found = {"Triton": contextlib.nullcontext(), "dense": without}
    return found


def take_steps(run: RunState, batches: Iterator[Batch], steps: int = 1) -> None:
    for batch in itertools.islice(batches, steps):
        train_step(run, batch)


def train_seconds(run: RunState, batches: Iterator[Batch], steps: int) -> float:
    """Take some steps; return the seconds of all."""
    return seconds(lambda: take_steps(run, batches, steps), run.world.device)


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Seconds until all that was queued is done."""
    wait(device)
    began = time.perf_counter()
    work()
    wait(device)
    return time.perf_counter() - began


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
