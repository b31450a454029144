"""State of a run: all that changes during training, made, saved and restored."""

from __future__ import annotations

import time
import warnings
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from freqprep.errors import RunError
from freqprep.importance.network_view import Views
from freqprep.models.initial import load_weights
from freqprep.progress import say
from freqprep.spectrum.channels import channels
from freqprep.storage.disk import remove_aside
from freqprep.store.channel_bytes import bytes_read
from freqprep.store.selections import select
from freqprep.store.split import Split
from freqprep.streaming.loader import Loader
from freqprep.streaming.misuse import DroppedRows
from freqprep.training.checkpoint import (
    AVERAGE,
    NETWORK,
    load_strict,
    read_checkpoint,
    write_checkpoint,
)
from freqprep.training.distributed import World
from freqprep.training.gate_goal import GateGoal
from freqprep.training.gate_selection import GateSelector
from freqprep.training.metrics import Meter, MetricsLog
from freqprep.training.model_config import write_model_config
from freqprep.training.optimization import EMA, load_optimizer, make_optimizer
from freqprep.training.pace import Spent, Stopwatch
from freqprep.training.parent_run import gate_note, not_taken_over, parent_config
from freqprep.training.request import RUN_FILES, RunPlan, TrainingRequest
from freqprep.training.same_start import check_same_step
from freqprep.training.tasks import TASKS, TrainingTask

_PICTURES = 128


class RunState:
    """State of a run: new, or from its checkpoint.

    Parameters
    ----------
    request : TrainingRequest
    plan : RunPlan
    world : World

    Attributes
    ----------
    network : torch.nn.Module
        Being trained.
    model : callable
        The network as it is called in a step: distributed and compiled, where that was asked. The
        compiler is outside, so that it sees where gradients are exchanged.
    average : EMA
    optimizer : torch.optim.Optimizer
    loader : Loader
        Of the channels that the current epoch reads.
    task : TrainingTask
    meter : Meter
    log : MetricsLog or None
        Only in the process that leads.
    validation : dict
        What came of the last validation; empty before it.
    gate : dict
        What the gate did at the end of the last epoch; empty without one.
    selector : GateSelector or None
        Of a gate that ends with a number of channels, or of bytes.
    unvalidated : bool
        Whether an epoch has ended and was not validated yet.
    saved : float
        When the last checkpoint was written, or the run began; seconds of the monotonic clock.
    """

    def __init__(self, request: TrainingRequest, plan: RunPlan, world: World) -> None:
        self.request, self.config, self.world = request, plan.config, world
        self._train = plan.train
        self.recipe = request.recipe
        self.task: TrainingTask = TASKS[plan.config.model](request, plan)
        self._augmenting = Stopwatch(self.task.augment, world.device)
        self.loader = self._make_loader(self.task.inputs_at(0).read)
        torch.manual_seed(request.seed)
        network = plan.config.build(trained_stages=request.trained_stages, regions=request.regions)
        self.network = network.to(world.device, memory_format=torch.channels_last)
        if request.init is not None and not plan.resumes:
            self._begin_with(request.init)
        world.broadcast_parameters(self.network)
        self.average = EMA(self.network, self.recipe.average)
        self.optimizer = make_optimizer(self.network, self.recipe)
        self.meter = Meter(world.device)
        self.validation: dict[str, Any] = {}
        self.gate: dict[str, Any] = {}
        self.unvalidated = False
        self.selector = self._make_selector() if self.config.selects else None
        written = self._restore() if plan.resumes else 0
        check_same_step(world, self.steps_done)
        model = _distributed(self.network, world)
        self.model: Any = torch.compile(model) if request.compile else model
        self.log: MetricsLog | None = None
        if world.is_leader:
            request.run.mkdir(parents=True, exist_ok=True)
            remove_aside(request.run, RUN_FILES)
            if not plan.resumes:
                write_model_config(request.run, plan.config)
            self.log = MetricsLog(request.run, written, self.steps_done)
        self.saved = time.monotonic()

    def spent(self) -> Spent:
        """Return the time spent on data and augmentation so far; waits for the device."""
        return Spent(self.loader.wait_seconds, self._augmenting.seconds())

    @property
    def steps_done(self) -> int:
        """Number of optimizer steps, over all epochs."""
        return self.loader.epoch * len(self.loader) + self.loader.step

    @property
    def epochs_done(self) -> float:
        """Number of epochs, with the fraction of the current one."""
        return self.loader.epoch + self.loader.step / len(self.loader)

    def switch_loader(self, epoch: int) -> None:
        """Read the channels of an epoch; its rows and their order are the same for all channels."""
        read = self.task.inputs_at(epoch).read
        if read != self.loader.selection.names:
            self.loader.close()
            if self._train.shard_cache is not None:
                self._train.shard_cache.cache.renew()
            self.loader = self._make_loader(read)
            self.loader.set_epoch(epoch)

    def close(self) -> None:
        """End the loader's threads."""
        self.loader.close()

    def write(self, kind: str, values: dict[str, Any]) -> None:
        """Write a line of metrics, in the leading process."""
        if self.log is not None:
            self.log.write(kind, self.steps_done, self.epochs_done, values)

    def save(self) -> None:
        """Write the checkpoint, in the leading process."""
        if self.log is None:
            return
        state = {
            NETWORK: self.network.state_dict(),
            AVERAGE: self.average.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "loader": self.loader.state_dict(),
            "position": {
                "epoch": self.loader.epoch,
                "step": self.loader.step,
                "steps": len(self.loader),
            },
            "meter": self.meter.state_dict(self.spent()),
            "metrics_bytes": self.log.sync(),
            "validation": self.validation,
            "gate": self.gate,
            "unvalidated": self.unvalidated,
            "selector": None if self.selector is None else self.selector.state_dict(),
        }
        write_checkpoint(self.request.run, self.config, state)
        self.saved = time.monotonic()

    @cached_property
    def multiply_accumulates(self) -> int:
        """Multiply-accumulates of one image, counted once; of a detector, its backbone's."""
        return self.task.arithmetic(self.network)

    def results(self) -> dict[str, Any]:
        """Return the results that a finished run's config states.

        Returns
        -------
        dict
            ``validation``, of the last epoch, empty without one; ``parameters``;
            ``multiply_accumulates`` of one image (of a detector, its backbone's);
            ``read_bytes_per_image``: from disk, of the channels read (in the last epoch), the
            shards' indexes included; ``source_bytes_per_image``: of the image files that the store
            was made from.
        """
        train, network = self._train, self.average.network
        valid = max(int(train.valid.sum()), 1)
        read = self.config.inputs.read_selection.indices
        source = int(train.array("source_bytes")[train.valid].sum())
        return {
            "validation": self.validation,
            "parameters": sum(parameter.numel() for parameter in network.parameters()),
            "multiply_accumulates": self.multiply_accumulates,
            "read_bytes_per_image": bytes_read(train, read) / valid,
            "source_bytes_per_image": source / valid,
        }

    def _make_loader(self, read: tuple[str, ...]) -> Loader:
        request, world = self.request, self.world
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DroppedRows)  # it is said when training begins
            return Loader(
                self._train,
                list(read),
                batch_size=self.recipe.batch_size,
                seed=request.seed,
                rank=world.rank,
                world_size=world.size,
                threads=request.threads,
                lanes=request.lanes,
                device=world.device,
                group_by_aspect=self.task.varied_shapes,
                reuse=True,
                transform=self._augmenting,
            )

    def _make_selector(self) -> GateSelector:
        used = channels(list(self.config.inputs.channels)).indices
        goal = GateGoal.of(self.recipe, self._train, used)
        steps = self.recipe.epochs * len(self.loader)
        return GateSelector(self.network, goal, steps, self.world)

    def _restore(self) -> int:
        """Restore the checkpoint; return the length of the metrics file at that moment."""
        folder = self.request.run
        state = read_checkpoint(folder, self.config)
        load_strict(self.network, state.get(NETWORK), folder)
        load_strict(self.average.network, state.get(AVERAGE), folder)
        try:
            load_optimizer(self.optimizer, state["optimizer"], self.network)
            self.switch_loader(state["loader"]["epoch"])
            self.loader.load_state_dict(state["loader"])
            if self.world.is_leader:  # they are the leading process's sums
                self.meter.load_state_dict(state["meter"], self.spent())
            self.validation, self.gate = dict(state["validation"]), dict(state["gate"])
            self.unvalidated = bool(state.get("unvalidated"))  # older checkpoints lack it
            if self.selector is not None:
                self.selector.load_state_dict(state["selector"])
            written = int(state["metrics_bytes"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RunError(
                f"the checkpoint in {folder} does not fit: {error}",
                "train again into another folder",
            ) from None
        return written

    def _begin_with(self, init: Path) -> None:
        network = self.network
        parent = parent_config(init)
        others = not_taken_over(self.config, parent)
        leave = tuple(prefix for prefixes in others.values() for prefix in prefixes)
        loaded = load_weights(network, init, partial(_pictures, self._train), leave)
        if self.world.is_leader:
            reasons = ["not in it", "of another shape", *(f"for other {what}" for what in others)]
            say(
                f"{init}: {len(loaded.loaded)} tensors loaded; {' or '.join(reasons)}, and so"
                f" initialised: {', '.join(loaded.initialised) or 'none'}"
            )
        remarks = (
            gate_note(init, self.config, parent),
            self.task.complete_weights(network, loaded, self.world.device),
        )
        for remark in filter(None, remarks):
            if self.world.is_leader:
                say(remark)


def _pictures(split: Split) -> torch.Tensor:
    """Return some images as an RGB network's input: float32 (n, 3, 224, 224), in 0..255."""
    rows = np.flatnonzero(split.valid)[:_PICTURES]
    everything = select(None, split)
    return torch.from_numpy(Views(split, rows, [everything]).rgb(everything))


def _distributed(network: torch.nn.Module, world: World) -> torch.nn.Module:
    if world.size == 1:
        return network
    devices = None if world.device.type == "cpu" else [world.device]
    return torch.nn.parallel.DistributedDataParallel(network, device_ids=devices)
