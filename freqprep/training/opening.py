"""The summary that a run prints first, and the estimate of the time that is left."""

from __future__ import annotations

import itertools
import time

import torch

from freqprep.spectrum.channels import CHANNELS
from freqprep.store.split import Split
from freqprep.text.quantities import duration, plural
from freqprep.text.terminal import table
from freqprep.training.channels import DEFAULT_CHANNELS
from freqprep.training.distributed import World
from freqprep.training.recipe import Recipe
from freqprep.training.request import RunPlan
from freqprep.training.run_state import RunState

_TIMED_STEPS = 10
_TIMED_SECONDS = 5.0
_MOST_OF_ALL = 1 / 10


def describe_start(run: RunState, plan: RunPlan) -> str:
    """Describe in a short table what a run is about to do.

    Parameters
    ----------
    run : RunState
        Before its first step.
    plan : RunPlan

    Returns
    -------
    str
        Lines of text, without the last line's end.
    """
    recipe, request = run.recipe, run.request
    accumulated = f" in {recipe.accumulate} parts" if recipe.accumulate > 1 else ""
    preset = "" if request.preset is None else f", preset {request.preset}"
    rows = [
        ("network", _network(run)),
        ("input", _inputs(run)),
        ("images", _images(plan)),
        ("batch", f"{plural(recipe.batch_size, 'image')}{accumulated}, {_steps(run)} an epoch"),
        ("learning rate", _learning_rate(recipe, len(run.loader))),
        ("epochs", f"{recipe.epochs}{preset}"),
        *([("grids", _grids(run))] if recipe.grid_ramp else []),
        ("order", _order(run, plan.train)),
        ("device", _device(run.world)),
        ("seed", str(request.seed)),
        ("begins", _begins(run, plan)),
        ("run folder", str(request.run)),
    ]
    return f"training on {request.store}\n{table(rows)}"


def _network(run: RunState) -> str:
    config, network, task = run.config, run.network, run.task
    parts = [
        config.model,
        *(["with a gate"] if config.gate else []),
        *(["the authors' strides"] if config.strides != "canonical" else []),
        f"{_millions(sum(one.numel() for one in network.parameters()))} parameters",
        f"{_millions(run.multiply_accumulates)} multiply-accumulates {task.arithmetic_unit}",
    ]
    return ", ".join(parts)


def _millions(number: int) -> str:
    return f"{number / 1e6:,.{1 if number < 1e8 else 0}f} million"


def _inputs(run: RunState) -> str:
    """Describe channels and size of the network's input."""
    inputs, read = run.config.inputs, len(run.config.inputs.read)
    what = f"RGB from {plural(read, 'channel')}"
    if inputs.channels:
        every = "all" if len(inputs.channels) == CHANNELS else "all that are stored"
        asked = run.request.channels or (every if run.config.gate else DEFAULT_CHANNELS)
        name = f" ({asked})" if isinstance(asked, str) and "," not in asked else ""
        what = f"{plural(len(inputs.channels), 'channel')}{name} of {read} read"
    return f"{what}, {run.task.input_size()}"


def _images(plan: RunPlan) -> str:
    train = f"{_valid(plan.train)} to train on, {plural(len(plan.config.class_ids), 'class')}"
    return f"{train}; {'no validation' if plan.val is None else f'{_valid(plan.val)} to validate'}"


def _valid(split: Split) -> str:
    """Count the valid images of a split, and the rejected ones."""
    valid = int(split.valid.sum())
    rejected = len(split) - valid
    return f"{valid} ({rejected} rejected)" if rejected else str(valid)


def _steps(run: RunState) -> str:
    return plural(len(run.loader), "step")


def _learning_rate(recipe: Recipe, steps: int) -> str:
    way = "in a straight line" if recipe.schedule == "linear" else "along a cosine"
    fall = f"falling to 0 {way}"
    if recipe.schedule == "steps":
        drops = ", ".join(f"{recipe.epochs * share:g}" for share in recipe.drops)
        fall = f"a tenth from epoch {drops} on"
    total = recipe.epochs * steps
    warmup = round(recipe.warmup_epochs * steps + min(recipe.warmup_steps, total / 5))
    return f"{recipe.lr:g}, {fall}" + f", {plural(warmup, 'step')} of warm-up" * (warmup > 0)


def _grids(run: RunState) -> str:
    """Describe which epochs train with which grid, and the channels read before the last one."""
    task, epochs = run.task, run.recipe.epochs
    parts = []
    for grid, group in itertools.groupby(range(epochs), task.grid_at):
        first, *more = (epoch + 1 for epoch in group)
        when = f"epochs {first} to {more[-1]}" if more else f"epoch {first}"
        parts.append(f"{grid} in {when}")
    early, late = (len(task.inputs_at(epoch).read) for epoch in (0, epochs - 1))
    read = f"; {early} channels read before the last" if early < late else ""
    return f"{', '.join(parts)}{read}"


def _order(run: RunState, train: Split) -> str:
    """Describe the shuffling, and count the images that an epoch leaves out."""
    state = run.loader.state_dict()
    how = "all images shuffled, kept in memory"
    if state["regime"] == "lanes":
        lanes, shards = plural(state["lanes"], "lane"), state["lanes"] * state["window"]
        how = f"shuffled in {lanes}, over {shards:g} shards at a time"
    if state["group_by_aspect"]:
        how += ", batches of one aspect"
    dropped, valid = run.loader.dropped, int(train.valid.sum())
    of_all = f"{dropped} of {plural(valid, 'image')} left out of an epoch"
    left = of_all if dropped else "none left out"
    return f"{how}; {left}; {plural(run.loader.threads, 'reading thread')}"


def _device(world: World) -> str:
    if world.device.type == "cuda":
        name = f"{torch.cuda.get_device_name(world.device)}, bfloat16"
    else:
        name = f"CPU, {plural(torch.get_num_threads(), 'thread')}"
    return name if world.size == 1 else f"{name}; {world.size} processes"


def _begins(run: RunState, plan: RunPlan) -> str:
    if not plan.resumes:
        init = run.request.init
        return "with random weights" if init is None else f"with the weights of {init}"
    loader, epochs = run.loader, run.recipe.epochs
    if loader.epoch >= epochs:
        return f"nothing is left to train: {plural(epochs, 'epoch')} of {epochs} done"
    return (
        f"where the checkpoint is: epoch {loader.epoch + 1} of {epochs}, after"
        f" {loader.step} of {plural(len(loader), 'step')}"
    )


class Forecast:
    """Estimate of the time that is left, made once from the first steps.

    The first step is not timed: it allocates, and compiles where that was asked. Ten steps that
    take five seconds are timed, or as many as a tenth of the run has.

    Parameters
    ----------
    run : RunState
        Before its first step.
    validates : bool
        Whether there is a validation, which is not in the time.
    """

    def __init__(self, run: RunState, validates: bool) -> None:
        self._run, self._validates = run, validates
        self._first = run.steps_done
        self._last = run.recipe.epochs * len(run.loader)
        self._began: float | None = None
        self._said = not run.world.is_leader

    def step_done(self) -> str:
        """Count a step; return the estimate as text once, else an empty text."""
        done = self._run.steps_done
        if self._said:
            return ""
        if self._began is None:
            self._began = self._now()
            return ""
        timed = done - self._first - 1
        enough = timed >= _TIMED_STEPS and time.monotonic() - self._began >= _TIMED_SECONDS
        if not enough and done - self._first < (self._last - self._first) * _MOST_OF_ALL:
            return ""
        self._said = True
        left = self._last - done
        each = (self._now() - self._began) / timed
        if not left:
            return ""
        seconds = each * self._steps_like_the_last(done)
        more = "; validation comes on top" if self._validates else ""
        steps = f"step {done}" if timed == 1 else f"steps {done - timed + 1} to {done}"
        return (
            f"time left: about {duration(seconds / 60)} for {plural(left, 'step')}, at"
            f" {each:.2g} s each in {steps}{more}"
        )

    def _steps_like_the_last(self, done: int) -> float:
        """Count the steps that are left, those of larger grids by their area."""
        steps, epochs = len(self._run.loader), self._run.recipe.epochs
        if self._run.recipe.grid_ramp is None:
            return self._last - done
        grid = self._run.task.grid_at
        areas = sum(grid(step // steps) ** 2 for step in range(done, epochs * steps))
        return areas / grid((done - 1) // steps) ** 2

    def _now(self) -> float:
        """Return seconds of the monotonic clock, once the device has finished its work."""
        if self._run.world.device.type == "cuda":
            torch.cuda.synchronize(self._run.world.device)
        return time.monotonic()
