"""Batches of stored codes for any PyTorch loop: ``for batch in freqprep.Loader(split): ...``."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from freqprep.errors import StoreError, UsageError
from freqprep.progress import Progress
from freqprep.store.schema import ROWS_PER_SHARD
from freqprep.store.selections import ChannelsLike, select
from freqprep.store.split import Split
from freqprep.streaming.batch import Batch
from freqprep.streaming.delivery import Delivery, check_device, make_delivery
from freqprep.streaming.filling import Cache, from_store, ring_depth
from freqprep.streaming.misuse import (
    DROPPED_SILENTLY,
    DroppedRows,
    check_content,
    check_worker,
    dropped_rows,
)
from freqprep.streaming.order import Batches, Order, reads
from freqprep.streaming.pipeline import Pipeline
from freqprep.streaming.processes import this_process
from freqprep.streaming.ring import LENT_AT_MOST
from freqprep.streaming.shuffling import LARGEST_SEED, aspect_bins, choose_mixing
from freqprep.streaming.state import VERSION, position, whole

if TYPE_CHECKING:
    import torch

_REFERENCE_CHANNELS = 64
"""Channels that ``window_bytes`` is for."""

_PATIENCE_SECONDS = 2.0
_BETWEEN_LOOKS_SECONDS = 0.2


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
        it in proportion. That way the order of rows does not depend on what is read, and runs on
        other channels, or on RGB, compare. A shard of 64 channels takes
        ``128 * 64 * grid rows * grid columns`` bytes (int16: twice that): 33.6 MB at 64x64. If
        all of the split fits, each rank reads it once, keeps it until `close` and shuffles
        exactly. If not, seven eighths of it are shards whose rows are being mixed; more is better
        mixed and costs nothing but memory. Besides it there are a few batches of output.
    lanes : int, optional
        Parallel windows, a multiple of every number of ranks that is to be used. By default up to
        16, at least 16 shards each; giving it also turns off keeping all in memory. A rank holds
        the windows of its lanes, so its share of ``window_bytes``.
    group_by_aspect : bool
        Put images of about the same ``log2(width / height)`` into a batch, so that a network that
        pads its images to a common size pads little. Sixteen global batches at a time are
        regrouped and their order is drawn. So each row still comes once an epoch; up to 30 more
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
        self._threads = whole("threads", threads)
        self._window_bytes = whole("window_bytes", window_bytes)
        check_content(split)
        if not split.valid.any():
            raise StoreError(
                f"{split.path} has no valid rows: all {len(split)} images were rejected",
                "`freqprep info` says why; repair them and convert with --retry-rejected",
            )
        encoding = split.attributes.encoding
        images = (len(self.selection), *encoding.geometry.grid)
        self._shard_bytes = ROWS_PER_SHARD * int(np.prod(images)) * encoding.dtype.itemsize
        self._filled = len(np.unique(np.flatnonzero(split.valid) // ROWS_PER_SHARD))
        mixing = choose_mixing(
            self._filled,
            self._shard_bytes * _REFERENCE_CHANNELS // len(self.selection),
            self._window_bytes,
            None if lanes is None else whole("lanes", lanes),
            shuffle,
        )
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
        self._reuse = bool(reuse)
        self.epoch = 0
        self._global_step = 0
        self._goes_on = False  # at this step: a state was loaded, and no batch delivered since
        self.wait_seconds = 0.0
        if self.dropped > DROPPED_SILENTLY * split.valid.sum():
            warnings.warn(dropped_rows(self._last_order, split.path), DroppedRows, stacklevel=2)
        self._forget()

    def _forget(self) -> None:
        """Nothing runs and nothing is kept."""
        self._cache: Cache | None = None
        self._delivery: Delivery | None = None
        self._pipeline: Pipeline | None = None  # of the iterator that is alive
        self._closed = False
        self._process = os.getpid()

    @property
    def _order(self) -> Order:
        """The order of this process: a process group may have been initialised meanwhile."""
        rank, world_size = this_process(*self._told)
        if (rank, world_size) != (self._last_order.rank, self._last_order.world_size):
            self._last_order = replace(self._last_order, rank=rank, world_size=world_size)
        return self._last_order

    @property
    def step(self) -> int:
        """Batches of this rank that were delivered in the epoch."""
        return self._order.delivered(self._global_step)

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
        if not self._goes_on and self._global_step:
            self._set(self.epoch + 1, 0)
        order, epoch, step = self._order, self.epoch, self.step
        if step == order.steps:  # the other ranks alone have batches
            self._set(epoch + 1, 0)
            return
        batches = order.batches(epoch, step)
        # Copies: a batch that is kept must not keep the whole epoch's rows.
        rows = [part.copy() for part in np.split(batches.rows, batches.edges[1:-1])]
        pipeline, delivery = self._start(order, batches)
        sent = 0
        try:
            for number in range(len(rows)):
                began = time.perf_counter()
                self._wait(pipeline, number)
                self.wait_seconds += time.perf_counter() - began
                # The next one too, if it is there: its copy to a device then overlaps with work.
                while sent < min(number + 2, len(rows)) and pipeline.ready(sent):
                    delivery.send(sent, self.split.labels[rows[sent]])
                    sent += 1
                self._advance(order, step + number + 1)
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
        self._leave_other_process()
        if self._closed:
            raise UsageError("the loader is closed", "make a new one")
        self._stop()
        check_content(self.split)
        check_worker(shuffled=self._order.mixing.regime != "rows")

    def _advance(self, order: Order, step: int) -> None:
        """So many batches of the epoch are delivered; the epoch is over with the last one."""
        self._goes_on = False
        if step == order.steps:
            self._set(self.epoch + 1, 0)
        else:
            self._global_step = order.global_step(step)

    def _set(self, epoch: int, global_step: int) -> None:
        self.epoch, self._global_step = epoch, global_step

    def _batch(
        self, delivery: Delivery, number: int, rows: np.ndarray, epoch: int, batches: Batches
    ) -> Batch:
        codes, labels = delivery.tensors(number)
        step, sizes = int(batches.numbers[number]), self.split.sizes[rows]
        return Batch(codes, labels, rows, sizes, epoch, step, self._steps_on_device)

    @cached_property
    def _steps_on_device(self) -> torch.Tensor:
        import torch

        return torch.tensor(self.steps, device=self._device)

    def _start(self, order: Order, batches: Batches) -> tuple[Pipeline, Delivery]:
        """Threads that fill the ring; ring and cache are made when first needed."""
        needed = reads(batches)
        mixing, images = order.mixing, order.rows_per_batch
        rows = self._window_bytes * ROWS_PER_SHARD // self._shard_bytes
        if mixing.regime == "lanes":
            rows = int(mixing.window * 8 / 7 * ROWS_PER_SHARD * mixing.lanes / order.world_size)
        depth = min(
            ring_depth(mixing, needed, images, rows, self._threads), len(batches) + LENT_AT_MOST
        )
        if self._delivery is None or len(self._delivery.ring) < depth:
            self._delivery = None  # let go of the old memory first
            encoding = self.split.attributes.encoding
            shape = (depth, images, len(self.selection), *encoding.geometry.grid)
            self._delivery = make_delivery(shape, encoding.dtype, self._device, self._reuse)
        delivery, ring = self._delivery, self._delivery.ring
        ring.begin(len(batches))
        if mixing.regime == "exact":
            self._cache = self._cache or Cache(self.split, self.selection)
            tasks, wanted = self._cache.filling(needed, batches, ring)
        else:
            tasks, wanted = from_store(self.split, self.selection, needed, ring)
        self._pipeline = Pipeline(tasks, wanted, ring.assign(), self._threads)
        return self._pipeline, delivery

    def _wait(self, pipeline: Pipeline, batch: int) -> None:
        """Wait for a batch; a long wait for the first one is shown."""
        if batch == 0 and self._last_order.rank == 0 and not pipeline.wait(0, _PATIENCE_SECONDS):
            left = pipeline.missing(0)
            name = f"reading {self.split.path} for the first batch"
            with Progress(name, left, unit="part") as progress:
                while not pipeline.wait(0, _BETWEEN_LOOKS_SECONDS):
                    before, left = left, pipeline.missing(0)
                    progress.update(before - left)
        pipeline.wait(batch)

    def state_dict(self) -> dict[str, Any]:
        """Where the loader is, as JSON data: what fixes the order, the epoch and the step.

        Batches read ahead do not count. All ranks are taken to be at the same step.
        """
        return {
            "version": VERSION,
            **self._identity(),
            "epoch": self.epoch,
            "step": self._global_step,
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
        epoch, step = position(state, self._identity(), order.global_steps)
        self._leave_other_process()
        self._stop()
        if step == order.global_steps:
            epoch, step = epoch + 1, 0
        self._set(epoch, step)
        self._goes_on = step > 0

    def set_epoch(self, epoch: int) -> None:
        """Give this epoch next, from its start; or go on in it, if a state of it was loaded.

        Not needed: epochs follow one another. It is there for loops that call it, as they do for
        torch's ``DistributedSampler``, and ends an iterator that is under way in another epoch.

        Raises
        ------
        UsageError
            Not a whole number from 0 to 2**32 - 1.
        """
        if (number := whole("epoch", epoch, 0)) > LARGEST_SEED:
            raise UsageError(f"epoch={epoch} cannot be used", f"use 0 to {LARGEST_SEED}")
        if number == self.epoch and (self._goes_on or not self._global_step):
            return
        self._leave_other_process()
        self._stop()
        self._set(number, 0)
        self._goes_on = False

    def _identity(self) -> dict[str, Any]:
        """What fixes the order of rows, and the data."""
        mixing = self._last_order.mixing
        return {
            "content_id": self.split.content_id,
            "channels": list(self.selection.names),
            "batch_size": self.batch_size,
            "seed": self._last_order.seed,
            "regime": mixing.regime,
            "lanes": mixing.lanes,
            "window": mixing.window,
            "group_by_aspect": self._last_order.bins is not None,
        }

    def close(self) -> None:
        """End the threads and free the memory; the loader cannot be iterated any more."""
        self._leave_other_process()
        self._stop()
        self._forget()
        self._closed = True

    def __enter__(self) -> Loader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _stop(self) -> None:
        if self._pipeline is not None:
            self._pipeline.stop()
            self._pipeline = None

    def _leave_other_process(self) -> None:
        """After a fork: the threads are not here, and their locks may be held for ever."""
        if self._process != os.getpid():
            self._forget()

    def __getstate__(self) -> dict[str, Any]:
        """Options and position, for another process; a process group's rank goes with them."""
        order = self._order
        told = (order.rank, order.world_size) if order.world_size > 1 else self._told
        runtime = dict.fromkeys(("_cache", "_delivery", "_pipeline"))
        state = {**self.__dict__, **runtime, "_told": told}
        state.pop("_steps_on_device", None)
        return state

    def __repr__(self) -> str:
        order = self._order
        mixing = order.mixing
        how = f"{mixing.lanes} lanes" if mixing.regime == "lanes" else mixing.regime
        return (
            f"Loader({str(self.split.path)!r}, {len(self.selection)} channels, {order.steps}"
            f" batches of {self.batch_size}, {how}, rank {order.rank} of {order.world_size},"
            f" at epoch {self.epoch}, step {self.step})"
        )
