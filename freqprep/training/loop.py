"""The training loop: epochs, steps and their metrics."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch

from freqprep.errors import RunError, UsageError
from freqprep.progress import Progress, say
from freqprep.store.split import Split
from freqprep.streaming.batch import Batch
from freqprep.streaming.loader import Loader
from freqprep.text.quantities import plural
from freqprep.training.checkpoint import CHECKPOINT
from freqprep.training.curves import CURVES, GATE_PANELS, write_curves
from freqprep.training.distributed import init_distributed, without_benchmark
from freqprep.training.gating import gate_of, propose
from freqprep.training.interrupts import Interrupts, held_interrupts
from freqprep.training.model_config import ModelConfig, write_model_config
from freqprep.training.opening import Forecast, describe_start
from freqprep.training.pace import Pace
from freqprep.training.planning import check_unchanged, plan
from freqprep.training.request import RunPlan, TrainingRequest
from freqprep.training.run_lock import run_lock
from freqprep.training.run_state import RunState
from freqprep.training.same_start import check_same_plan
from freqprep.training.tasks import TASKS

__all__ = ["train"]

_MOST_STEPS_A_LINE = 50
_LINES_AN_EPOCH = 4
_MINUTES_A_CHECKPOINT = 10

_drawing = threading.Lock()


def train(request: TrainingRequest) -> ModelConfig:
    """Train a network, from the start or from the checkpoint in the run's folder.

    The run's folder gets ``model.json`` (the config), ``checkpoint.pt``, ``metrics.jsonl`` and
    ``curves.png``, with a gate also ``gate-scores.json``, ``gate-selection.json`` and
    ``gate-map.png``. With the same request, data and number of compute threads, a run on the CPU
    gives the same weights to the bit, also when it was interrupted and resumed: the order, the
    augmentation, dropout and the gate's noise are functions of seed, epoch and step. With more than
    two processes a resumed run may differ in the last bits: torch adds up gradients in another
    order in the first step of each start.

    Parameters
    ----------
    request : TrainingRequest

    Returns
    -------
    ModelConfig
        With results.

    Raises
    ------
    UsageError, RunError, StoreError
        What was asked cannot be done, or the data cannot be read; or another thread is training, or
        another process into the same folder.
    KeyboardInterrupt
        Interrupted; the run was saved after its last step, and can be resumed.
    """
    with contextlib.ExitStack() as stack:
        world = stack.enter_context(init_distributed(request.device))
        stack.enter_context(_own_draws(world.device))
        planned = plan(request, world.size)
        config = planned.config
        check_same_plan(world, config)
        if world.is_leader:
            stack.enter_context(run_lock(request.run))
            check_unchanged(request, planned)
        varied = TASKS[config.model].varied_shapes
        stack.enter_context(without_benchmark(varied))  # it would measure each new canvas
        run = RunState(request, planned, world)
        if world.is_leader:
            say(describe_start(run, planned))
            for note in planned.notes:
                say(f"note: {note}")
        with contextlib.closing(run), held_interrupts(world.size == 1) as waiting:
            _train_all(run, planned, Interrupts(world, waiting))
        results = run.results()
        if run.gate:
            results["gate"] = propose(run.gate, planned, request, world)
        config = dataclasses.replace(config, results=results)
        if world.is_leader:
            write_model_config(request.run, config)
        world.wait()
        return config


@contextlib.contextmanager
def _own_draws(device: torch.device) -> Iterator[None]:
    """Reserve torch's random generators for one run; the caller's state is restored afterwards."""
    if not _drawing.acquire(blocking=False):
        raise UsageError(
            "another thread of this process is training, and both would draw from torch's one"
            " generator",
            "train when it has ended, or in a process of its own",
        )
    try:
        with torch.random.fork_rng([] if device.type == "cpu" else [device]):
            yield
    finally:
        _drawing.release()


def _train_all(run: RunState, planned: RunPlan, interrupts: Interrupts) -> None:
    epochs = run.recipe.epochs
    forecast = Forecast(run, planned.val is not None)
    with contextlib.ExitStack() as stack:
        if run.log is not None:
            stack.callback(run.log.close)
        if run.unvalidated:
            _end_epoch(run, planned, interrupts)
        elif run.loader.epoch >= epochs and _curves_are_behind(run.request.run):
            _draw_curves(run)
        while run.loader.epoch < epochs:
            _train_epoch(run, interrupts, forecast)
            run.switch_loader(run.loader.epoch)
            run.world.broadcast_parameters(run.average.network)
            if run.selector is not None:
                run.selector.choose(_last_step(run), run.average.network)
            run.unvalidated = True
            _end_epoch(run, planned, interrupts)


def _last_step(run: RunState) -> int:
    """Return the number of the last step of the epoch that has ended."""
    return run.loader.epoch * len(run.loader) - 1


def _end_epoch(run: RunState, planned: RunPlan, interrupts: Interrupts) -> None:
    """Validate, save and draw after an epoch's last step."""
    stops = interrupts.now()
    if stops or run.world.size > 1:  # several processes answer a later one after the validation
        run.save()
    if stops:
        _leave(run)
    if planned.val is not None:
        run.validation = _validate(run, planned.val, interrupts)
    if run.config.gate:
        run.gate = _gate(run, planned, _last_step(run))
        run.write("gates", run.gate)
    run.unvalidated = False
    run.save()
    _draw_curves(run)
    if run.loader.epoch < run.recipe.epochs and interrupts.now():
        _leave(run)


def _curves_are_behind(folder: Path) -> bool:
    """Return whether a run was killed between its last checkpoint and its curves."""
    curves, checkpoint = folder / CURVES, folder / CHECKPOINT
    return not curves.exists() or curves.stat().st_mtime_ns < checkpoint.stat().st_mtime_ns


def _draw_curves(run: RunState) -> None:
    if run.log is not None:
        gates = () if run.selector is None else GATE_PANELS
        write_curves(run.request.run, (*run.task.curve_panels, *gates))


def _gate(run: RunState, planned: RunPlan, step: int) -> dict[str, Any]:
    """Describe the gate after an epoch that ended with a step."""
    if run.selector is not None:
        return run.selector.state(step)
    return gate_of(run.average.network, planned, run.world, run.request.threads)


def _train_epoch(run: RunState, interrupts: Interrupts, forecast: Forecast) -> None:
    """Train for the rest of the current epoch."""
    interrupts.begin()
    loader, images = run.loader, run.recipe.batch_size
    run.network.train()
    if loader.step == 0:
        run.meter.start(run.spent())
    steps = min(_MOST_STEPS_A_LINE, -(-len(loader) // _LINES_AN_EPOCH))
    what, remedy = f"epoch {loader.epoch + 1}/{run.recipe.epochs}", _remedy(loader)
    pace = Pace()
    with _progress(run, what, len(loader) * images, loader.step * images) as progress:
        for batch in loader:
            train_step(run, batch)
            last = batch.step + 1 == len(loader)
            line = last or (batch.step + 1) % steps == 0
            notes = _report(run, batch, pace) if line else ()
            if progress is not None:
                progress.update(images, *notes)
            if estimate := forecast.step_done():
                say(estimate)
            if last:
                continue  # the end of the epoch saves, and asks for interrupts first
            if interrupts.after_step():
                run.save()
                _leave(run)
            if time.monotonic() - run.saved > 60 * _MINUTES_A_CHECKPOINT:
                run.save()
    if run.world.is_leader and (text := pace.describe(remedy)):
        say(f"{what}: {text}")


def _remedy(loader: Loader) -> str:
    """Say what makes data arrive faster."""
    if loader.epoch == 0 and loader.state_dict()["regime"] == "exact":
        return "all images were read into memory, which later epochs need not do"
    return (
        f"to read faster: more than {plural(loader.threads, 'thread')} (--threads), fewer channels"
        " (--read), a store with these alone on a fast disk (freqprep pack)"
    )


def train_step(run: RunState, batch: Batch) -> None:
    """Take one step of the optimizer on one batch."""
    recipe, device = run.recipe, run.world.device
    number = batch.epoch * len(run.loader) + batch.step
    key = run.request.seed, batch.epoch, batch.step
    # Dropout, the gate and the choice of regions draw from here on; each rank its own.
    torch.manual_seed(_draw_seed(*key, run.world.rank))
    for group in run.optimizer.param_groups:
        group["lr"] = recipe.learning_rate(number, len(run.loader))
    run.optimizer.zero_grad(set_to_none=True)
    parts = list(_parts(batch, recipe.accumulate))
    model, selector = run.model, run.selector
    if selector is not None:
        selector.begin(number)
        model = partial(selector.forward, run.model)
    for index, part in enumerate(parts):
        share = len(part.rows) / len(batch.rows)
        last = index + 1 == len(parts)
        with _no_sync(run, last):
            with torch.autocast("cuda", torch.bfloat16, device.type == "cuda"):
                loss, numbers = run.task.loss(model, part, key)
            torch.autograd.backward(loss * share)
        if selector is not None:
            selector.observe(len(batch.rows))
            numbers |= selector.numbers(number)
        run.meter.add(len(part.rows), numbers)
    if recipe.clip:
        torch.nn.utils.clip_grad_norm_(run.network.parameters(), recipe.clip)
    run.optimizer.step()
    if selector is not None:
        selector.learn()
    run.average.update(number)


def _parts(batch: Batch, count: int) -> Iterator[Batch]:
    """Split a batch into parts of nearly equal length."""
    if count == 1:
        yield batch
        return
    for rows in np.array_split(np.arange(len(batch.rows)), min(count, len(batch.rows))):
        part = slice(int(rows[0]), int(rows[-1]) + 1)
        yield dataclasses.replace(
            batch,
            codes=batch.codes[part],
            labels=batch.labels[part],
            rows=batch.rows[part],
            sizes=batch.sizes[part],
            inputs=batch.inputs[part],
        )


def _no_sync(run: RunState, last: bool) -> Any:
    """Exchange gradients with the last part only."""
    return contextlib.nullcontext() if last or run.world.size == 1 else run.model.no_sync()


def _draw_seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def _report(run: RunState, batch: Batch, pace: Pace) -> tuple[str, ...]:
    """Write a line of metrics for the steps since the last one; some of it in a few words."""
    values = run.meter.take(run.world, run.spent)
    pace.add(values)
    values["lr"] = run.optimizer.param_groups[0]["lr"]
    values["grid"] = run.task.grid_at(batch.epoch)
    run.write("train", values)
    if not math.isfinite(values["loss"]):
        raise RunError(
            f"the loss is {values['loss']} in epoch {batch.epoch + 1}, step {batch.step + 1}",
            "train again with a smaller --lr",
        )
    return *run.task.brief(values), f"data wait {values['data_wait']:.1%}"


def _validate(run: RunState, split: Split, interrupts: Interrupts) -> dict[str, Any]:
    def leave(*_: Any) -> None:
        if interrupts.here():
            run.save()
            _leave(run)

    network = run.average.network
    hook = network.register_forward_pre_hook(leave)
    try:
        found, numbers, line = run.task.validate(network, split, run.world)
    finally:
        hook.remove()
    run.write("validation", numbers)
    if run.world.is_leader:
        say(f"epoch {run.loader.epoch}/{run.recipe.epochs}: {line}")
    return found


def _progress(run: RunState, what: str, total: int, done: int) -> Any:
    return (
        Progress(what, total, done, keep=True) if run.world.is_leader else contextlib.nullcontext()
    )


def _leave(run: RunState) -> NoReturn:
    """End an interrupted run that was saved."""
    if run.world.is_leader:
        say(f"saved in {run.request.run}: go on with --resume")
    raise KeyboardInterrupt
