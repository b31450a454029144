"""Batches of stored codes for any PyTorch loop: ``for batch in freqprep.Loader(split): ...``."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from freqprep.errors import StoreError, UsageError
from freqprep.store.selections import ChannelsLike, select
from freqprep.store.split import Split
from freqprep.streaming.batch import Batch
from freqprep.streaming.delivery import Delivery, check_device
from freqprep.streaming.memory import Memory, mixing_of, wait_for_first
from freqprep.streaming.misuse import (
    DROPPED_SILENTLY,
    DroppedRows,
    check_content,
    check_worker,
    dropped_rows,
)
from freqprep.streaming.order import Batches, Order
from freqprep.streaming.pipeline import Pipeline
from freqprep.streaming.processes import this_process
from freqprep.streaming.shuffling import aspect_bins
from freqprep.streaming.state import VERSION, Position, identity, position, whole

if TYPE_CHECKING:
    import torch


class Loader:
    """Reads batches of a split ahead of the consumer, in an order that seed and epoch fix.

    Each ``for`` gives one epoch, ``len(loader)`` batches, and the next one the next epoch, however
    the batches are consumed: an epoch that was left before its end is over too. Only after
    `load_state_dict` the rest of an epoch is given. A second iterator ends the first. Threads run
    only while an iterator is alive; there are no worker processes.

    Shuffled training takes whole global batches and drops what is left; rejected rows never appear.
    Which rows a global batch has does not depend on the number of ranks, threads or the device.
    With ``shuffle=False`` the valid rows come in order, the last batch may be smaller, and batch b
    goes to rank ``b % world_size`` as a whole.

    Parameters
    ----------
    split : Split
    channels : str, int, sequence or Selection
        What `freqprep.channels` takes; batches have them in the order asked for.
    batch_size : int
        Rows of a **global** batch; when shuffling a rank gets ``batch_size // world_size``.
    shuffle : bool
    seed : int
        0 to 2**32 - 1.
    rank, world_size : int, optional
        This process and how many share the epoch: by default what torch's process group says
        or, where none is initialised, the environment that ``torchrun`` makes. Asked again for each
        epoch, so the group may be initialised later. Shuffled lanes allow only counts that divide
        both the lanes and ``batch_size``.
    threads : int
        Reading threads. One decodes about 15,000 images of 24 channels a second at a 64x64 grid,
        so 2 feed most GPUs; more where storage answers slowly.
    window_bytes : int
        Memory for decoded shards in this process when 64 channels are read; other numbers take
        it in proportion, so that the order of rows does not depend on what is read. A shard of 64
        channels takes ``128 * 64 * grid rows * grid columns`` bytes (int16: twice that): 33.6 MB at
        64x64. If all of the split fits, each rank reads it once, keeps it until `close` and
        shuffles exactly. If not, seven eighths of it are shards whose rows are being mixed.
    lanes : int, optional
        Parallel windows, a multiple of every number of ranks that is to be used. By default up to
        16, at least 16 shards each; giving it also turns off keeping all in memory. A rank holds
        the windows of its lanes, so its share of ``window_bytes``.
    group_by_aspect : bool
        Put images of about the same aspect into a batch, for networks that pad images to a common
        size. Sixteen global batches at a time are regrouped and their order is drawn; up to 30 more
        batches have to be held in memory, and shards of lanes may be read by several ranks.
    device : str or torch.device
        ``cpu``, or a CUDA device: batches are then made in pinned memory and copied by a stream
        of their own.
    reuse : bool
        A batch's codes are overwritten once the next batch is asked for. By default they stay
        valid for as long as anything refers to them. That costs nothing while the consumer holds
        two batches, as a loop does; further ones are copied.

    Attributes
    ----------
    split : Split
    selection : Selection
    steps : ndarray of float32, shape (C,)
        Quantization steps of the chosen channels.
    batch_size : int
    epoch : int
        Epoch of the next batch, from 0; it rises when the last batch of one is delivered.
    step : int
        Batches of this rank that were delivered in it, not those read ahead.
    dropped : int
        Valid rows that an epoch leaves out, other ones each time: what is less than a whole batch,
        and what longer lanes have beyond the shortest.
    wait_seconds : float
        Time the consumer has waited for batches, in all.

    Raises
    ------
    UsageError
        An option out of range, a number of ranks that cannot share the epoch (the allowed ones
        are named), no whole batch to train on, no such device.
    UnknownChannelError
        No such channels.
    StoreError
        The split has no valid row, or is not the one that was opened any more.
    MissingPackageError
        torch is not installed.

    Warns
    -----
    DroppedRows
        An epoch drops more than 3 % of the rows.
    UserWarning
        A worker process of a DataLoader reads a shuffled split.

    While iterating, errors of reading (`ShardMissingError`, `CorruptStoreError`) come as they are.
    """

    def __init__(
        self,
        split: Split,
        channels: ChannelsLike = "square-24",
        *,
        batch_size: int = 256,
        shuffle: bool = True,
        seed: int = 0,
        rank: int | None = None,
        world_size: int | None = None,
        threads: int = 2,
        window_bytes: int = 2**30,
        lanes: int | None = None,
        group_by_aspect: bool = False,
        device: str | torch.device = "cpu",
        reuse: bool = False,
    ) -> None:
        self._device = check_device(device)
        if not isinstance(split, Split):
            raise UsageError(
                f"a loader reads a split, not {type(split).__name__}",
                'give freqprep.open_store(path)["train"]',
            )
        self.split = split
        self.selection = select(channels, split)
        self.steps = split.steps[list(self.selection.indices)]
        self.batch_size = whole("batch_size", batch_size)
        budget = whole("window_bytes", window_bytes)
        check_content(split)
        if not split.valid.any():
            raise StoreError(
                f"{split.path} has no valid rows: all {len(split)} images were rejected",
                "`freqprep info` says why; repair them and convert with --retry-rejected",
            )
        lanes = None if lanes is None else whole("lanes", lanes)
        mixing = mixing_of(split, self.selection, budget, lanes, shuffle)
        self._told = (
            None if rank is None else whole("rank", rank, 0),
            None if world_size is None else whole("world_size", world_size),
        )
        self._last_order = Order(
            split.valid,
            mixing,
            self.batch_size,
            whole("seed", seed, 0),
            *this_process(*self._told),
            aspect_bins(split.sizes) if group_by_aspect else None,
        )
        self._memory = Memory(
            split, self.selection, budget, whole("threads", threads), self._device, bool(reuse)
        )
        self._steps_there: torch.Tensor | None = None  # on the device
        self._position = Position()
        self.wait_seconds = 0.0
        self._pipeline: Pipeline | None = None  # of the iterator that is alive
        self._process = os.getpid()
        self._closed = False
        if self.dropped > DROPPED_SILENTLY * split.valid.sum():
            warnings.warn(dropped_rows(self._last_order, split.path), DroppedRows, stacklevel=2)

    @property
    def _order(self) -> Order:
        """The order of this process: a process group may have been initialised meanwhile."""
        rank, world_size = this_process(*self._told)
        if (rank, world_size) != (self._last_order.rank, self._last_order.world_size):
            self._last_order = replace(self._last_order, rank=rank, world_size=world_size)
        return self._last_order

    @property
    def epoch(self) -> int:
        """Epoch of the next batch."""
        return self._position.epoch

    @property
    def step(self) -> int:
        """Batches of this rank that were delivered in the epoch."""
        return self._order.delivered(self._position.global_step)

    @property
    def dropped(self) -> int:
        """Valid rows that an epoch leaves out."""
        return self._last_order.dropped

    def __len__(self) -> int:
        """Batches of this rank in a whole epoch."""
        return self._order.steps

    def __iter__(self) -> Iterator[Batch]:
        """An epoch, or what is left of it after `load_state_dict`."""
        self._begin()
        order, epoch, step = self._order, self.epoch, self.step
        if step == order.steps:  # the other ranks alone have batches
            self._position.advance(order, step)
            return
        batches = order.batches(epoch, step)
        # Copies: a batch that is kept must not keep the whole epoch's rows.
        rows = [part.copy() for part in np.split(batches.rows, batches.edges[1:-1])]
        pipeline, delivery = self._memory.start(order, batches)
        self._pipeline = pipeline
        sent = 0
        try:
            for number in range(len(rows)):
                began = time.perf_counter()
                if number == 0 and order.rank == 0:
                    wait_for_first(pipeline, f"reading {self.split.path} for the first batch")
                pipeline.wait(number)
                self.wait_seconds += time.perf_counter() - began
                # The next one too, if it is there: its copy to a device then overlaps with work.
                while sent < min(number + 2, len(rows)) and pipeline.ready(sent):
                    delivery.send(sent, self.split.labels[rows[sent]])
                    sent += 1
                self._position.advance(order, step + number + 1)
                try:
                    yield self._batch(delivery, number, rows[number], epoch, batches)
                finally:
                    delivery.release(number)
                pipeline.make_room(delivery.ring.assign())
            pipeline.check()
        finally:
            pipeline.stop()
            delivery.settle()

    def _begin(self) -> None:
        """End what runs, and check that an epoch can be given."""
        if self._closed:
            raise UsageError("the loader is closed", "make a new one")
        self._stop()
        check_content(self.split)
        check_worker(shuffled=self._order.mixing.regime != "rows")
        self._position.begin()

    def _batch(
        self, delivery: Delivery, number: int, rows: np.ndarray, epoch: int, batches: Batches
    ) -> Batch:
        import torch

        if self._steps_there is None:
            self._steps_there = torch.tensor(self.steps, device=self._device)
        codes, labels = delivery.tensors(number)
        step, sizes = int(batches.numbers[number]), self.split.sizes[rows]
        return Batch(codes, labels, rows, sizes, epoch, step, self._steps_there)

    def state_dict(self) -> dict[str, Any]:
        """Where the loader is, as JSON data: what fixes the order, the epoch and the step.

        Batches read ahead do not count. All ranks are taken to be at the same step.
        """
        return {
            "version": VERSION,
            **identity(self._last_order, self.split, self.selection),
            "epoch": self.epoch,
            "step": self._position.global_step,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another loader of the same order was; the number of ranks may differ.

        An iterator that is under way ends.

        Raises
        ------
        UsageError
            The state is damaged, of another version, or of another order: the first difference is
            named.
        """
        order = self._order
        epoch, step = position(
            state, identity(self._last_order, self.split, self.selection), order.global_steps
        )
        self._stop()
        self._position.load(epoch, step, order)

    def set_epoch(self, epoch: int) -> None:
        """Give this epoch next, from its start; or go on in it, if a state of it was loaded.

        Not needed: epochs follow one another. It is there for loops that call it, as they do for
        torch's ``DistributedSampler``, and ends an iterator that is under way in another epoch.

        Raises
        ------
        UsageError
            Not a whole number from 0 to 2**32 - 1.
        """
        if self._position.choose(epoch):
            self._stop()

    def close(self) -> None:
        """End the threads and free the memory; the loader cannot be iterated any more."""
        self._stop()
        self._memory.free()
        self._closed = True

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _stop(self) -> None:
        """End the iterator that is alive."""
        if self._process != os.getpid():  # a fork: threads, and who waits for them, are not here
            self._memory.free()
            self._pipeline, self._process = None, os.getpid()
        if self._pipeline is not None:
            self._pipeline.stop()
            self._pipeline = None

    def __getstate__(self) -> dict[str, Any]:
        """Options and position, for another process; a process group's rank goes with them."""
        order = self._order
        told = (order.rank, order.world_size) if order.world_size > 1 else self._told
        return {**self.__dict__, "_pipeline": None, "_steps_there": None, "_told": told}

    def __repr__(self) -> str:
        order = self._order
        mixing = order.mixing
        how = f"{mixing.lanes} lanes" if mixing.regime == "lanes" else mixing.regime
        return (
            f"Loader({str(self.split.path)!r}, {len(self.selection)} channels, {order.steps}"
            f" batches of {self.batch_size}, {how}, rank {order.rank} of {order.world_size},"
            f" at epoch {self.epoch}, step {self.step})"
        )
