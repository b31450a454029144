"""Batches of stored codes for any PyTorch loop: ``for batch in freqprep.Loader(split): ...``."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freqprep.arguments import check_integer
from freqprep.errors import UsageError
from freqprep.store.selections import ChannelsLike, select
from freqprep.store.split import Split
from freqprep.streaming import misuse
from freqprep.streaming.aspects import AspectBins
from freqprep.streaming.batch import Batch, BatchMaker
from freqprep.streaming.delivery import check_device
from freqprep.streaming.memory import Memory, Section, image_bytes, plan_of, wait_for_first
from freqprep.streaming.order import Order
from freqprep.streaming.pipeline import Pipeline
from freqprep.streaming.ranks import Told
from freqprep.streaming.state import (
    VERSION,
    Position,
    check_state,
    epoch_number,
    identity,
)
from freqprep.streaming.threads import choose_threads

if TYPE_CHECKING:
    import torch


class Loader:
    """Iterable of batches of a split, read ahead by threads, in an order fixed by seed and epoch.

    Each iterator is one epoch, ``len(loader)`` batches, and the next iterator the next epoch, also
    if an epoch was left early. Only after `load_state_dict` an iterator gives the rest of an epoch.
    A second iterator ends the first. Threads, not processes, run while an iterator is alive.

    With ``shuffle=True`` an epoch is whole global batches, the same for any number of ranks and
    threads; the remainder is dropped. With ``shuffle=False`` the valid rows come in order, the last
    batch may be smaller, and ranks take whole batches in turn. Rejected rows never appear.

    Parameters
    ----------
    split : Split
    channels : str, int, sequence or Selection
        Channels to read, in this order: anything that `freqprep.channels` takes.
    batch_size : int
        Rows of a **global** batch; when shuffling a rank gets ``batch_size // world_size``.
    shuffle : bool
    seed : int
    rank, world_size : int, optional
        Rank of this process and number of processes that share the epoch: by default those of
        torch's process group, which may be initialised later, or of ``torchrun``'s environment.
        Others are refused, except both with ``shuffle=False``. A world size must divide
        ``batch_size`` and, where rows are shuffled in lanes, their number.
    threads : int, optional
        Number of reading threads; no batch depends on it. By default enough for 6,000 images per
        second, from 2 to the cores that this process has, and more where a bucket answers late.
    window_bytes : int
        Memory for decoded shards in this process when 64 channels are read; other numbers of
        channels take proportionally more or less, so that the order of rows does not depend on the
        channels. A shard of 64 channels takes 33.6 MB at a 64x64 grid (int16: twice that). If all
        of the split fits, it is read once, kept until `close`, and shuffled exactly. If not, seven
        eighths are shards whose rows are being mixed.
    lanes : int, optional
        Number of parallel windows, a multiple of every world size that is to be used. By default up
        to 16, of at least 16 shards each. Giving it also turns off keeping the split in memory. A
        rank holds the windows of its own lanes: its share of ``window_bytes``.
    group_by_aspect : bool
        Whether to put images of about the same aspect ratio into a batch, for networks that pad
        images to a common size. Sixteen global batches at a time are regrouped and shuffled; this
        takes memory for up to 30 more batches, and shards may be read by several ranks.
    device : str or torch.device
        ``cpu``, or a CUDA device, to which a stream of its own copies from pinned memory.
    reuse : bool
        Whether to overwrite a batch's codes once the next batch is asked for. By default they stay
        valid as long as anything refers to them; beyond two batches held, others are copied.
    transform : callable, optional
        Called with each batch; the result is its ``inputs``. On a CUDA device that is done while
        the batch before is worked on, by the stream that copies it. `freqprep.augment.Augment` is
        one.
    cache, cache_bytes : str or Path, and int, optional
        Local folder that keeps what is read of the shards of a store far away, and the most bytes
        that it takes. Processes and stores share it. What is used stays; what was used before this
        loader was made goes, the oldest first, where room is needed.

    Attributes
    ----------
    split, selection, batch_size, threads
        As given, or computed.
    quantization_steps : ndarray of float32, shape (C,)
        Quantization steps of the chosen channels.
    epoch : int
        Epoch of the next batch, from 0; it rises when the last batch of an epoch is delivered.
    step : int
        Number of this rank's batches delivered in the epoch, without those read ahead.
    dropped : int
        Number of valid rows that an epoch leaves out, other ones each time.
    wait_seconds : float
        Total time that the consumer has waited for batches.

    Raises
    ------
    UsageError
        An option out of range, ranks that cannot share the epoch, no whole batch to train on.
    StoreError
        The split has no valid row, or was replaced.
    MissingPackageError
        torch is not installed.

    Warns
    -----
    DroppedRows
        An epoch drops more than 3 % of the rows.

    While iterating, errors of reading (`ShardMissingError`, `CorruptStoreError`) pass through.
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
        threads: int | None = None,
        window_bytes: int = 2**30,
        lanes: int | None = None,
        group_by_aspect: bool = False,
        device: str | torch.device = "cpu",
        reuse: bool = False,
        transform: Callable[[Batch], Any] | None = None,
        cache: str | Path | None = None,
        cache_bytes: int | None = None,
    ) -> None:
        self._device = check_device(device)
        self.split = split = misuse.checked_split(split, "a loader", cache, cache_bytes)
        self.selection = select(channels, split)
        self.quantization_steps = split.steps[list(self.selection.indices)]
        self.batch_size = check_integer("batch_size", batch_size)
        budget = misuse.check_window(window_bytes)
        misuse.check_options(transform, shuffle, group_by_aspect, reuse)
        misuse.check_content(split)
        misuse.check_has_rows(split)
        plan = plan_of(split, self.selection, budget, lanes, shuffle)
        self._told = Told(rank, world_size, evaluating=not shuffle)
        self._last_order = Order(
            split.valid,
            plan,
            self.batch_size,
            check_integer("seed", seed, 0),
            *self._told.process(),
            AspectBins(split.sizes) if group_by_aspect else None,
        )
        self.threads = choose_threads(threads, image_bytes(split, self.selection), split)
        misuse.check_cache(split, self.selection, threads or 2)
        self._memory = Memory(split, self.selection, budget, self.threads, self._device, reuse)
        self._position = Position()
        self._make = BatchMaker(split, self.selection, self._device, transform)
        self._lock, self.wait_seconds = threading.RLock(), 0.0
        self._pipeline: Pipeline | None = None  # of the iterator that is alive
        self._process, self._closed = os.getpid(), False
        self.dropped = self._last_order.dropped
        misuse.warn_of_dropped(self._last_order, split.path)

    @property
    def _order(self) -> Order:
        """Order of this process: a process group may have been initialised meanwhile."""
        rank, world_size = self._told.process()
        if (rank, world_size) != (self._last_order.rank, self._last_order.world_size):
            self._last_order = replace(self._last_order, rank=rank, world_size=world_size)
        return self._last_order

    @property
    def epoch(self) -> int:
        """Epoch of the next batch."""
        return self._position.epoch

    @property
    def step(self) -> int:
        """Number of this rank's batches that were delivered in the epoch."""
        return self._order.delivered(self._position.global_step)

    def __len__(self) -> int:
        """Return the number of this rank's batches in a full epoch."""
        return self._order.steps

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches of an epoch, or the rest of it after `load_state_dict`."""
        with self._alone:
            order, epoch, begun, sections = self._begin()
            section = self._next(sections)
        while section is not None:
            yield from self._give(section, order, epoch, begun)
            with self._alone:
                begun = order.after(begun, len(section.rows))
                section = self._next(sections, section)

    def _give(self, section: Section, order: Order, epoch: int, begun: int) -> Iterator[Batch]:
        pipeline, sending = section.pipeline, section.sending
        try:
            pipeline.start()
            self._checked.result()  # before what is read: a split that was replaced looks damaged
            for number in range(len(section.rows)):
                began = time.perf_counter()
                if number == 0 and order.rank == 0:
                    wait_for_first(pipeline, f"reading {self.split.path} for the first batch")
                pipeline.wait(number)
                self.wait_seconds += time.perf_counter() - began
                with self._alone:
                    pipeline.check()
                    section.send(number, self._make, epoch)
                    given = [sending.take(number)]
                    self._position.advance(order, begun, number + 1)
                try:
                    yield given.pop()  # nothing is kept of it here
                finally:
                    sending.release(number)
                with self._alone:
                    pipeline.check()
                    pipeline.make_room(sending.buffers.assign())
        finally:
            pipeline.stop()
            sending.settle()

    def _begin(self) -> tuple[Order, int, int, Iterator[Section]]:
        """End a running iterator; return order, epoch, global step to start at, sections."""
        if self._closed:
            raise UsageError("the loader is closed", "make a new loader")
        self._stop()
        self._checked = misuse.begin_check(self.split)
        misuse.check_worker(shuffled=self._last_order.plan.mode != "rows")
        self._told.check_rank_known()
        self._position.begin()
        order, epoch, begun = self._order, self.epoch, self._position.global_step
        if order.delivered(begun) == order.steps:  # the other ranks alone have any
            self._position.advance(order, begun, 0)
        sections = order.sections(epoch, order.delivered(begun))
        return order, epoch, begun, (self._memory.begin(order, part) for part in sections)

    def _next(self, sections: Iterator[Section], before: Section | None = None) -> Section | None:
        if before is not None and self._pipeline is not before.pipeline:
            before.pipeline.check()  # another iterator has ended this one
        if (section := next(sections, None)) is not None:
            self._pipeline = section.pipeline
        return section

    def state_dict(self) -> dict[str, Any]:
        """Return epoch, step and all that fixes the order as JSON data.

        Batches read ahead do not count. All ranks must be at the same step.
        """
        return {
            "version": VERSION,
            **identity(self._last_order, self.split, self.selection),
            "epoch": self.epoch,
            "step": self._position.global_step,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where another loader of the same order was; the world size may differ.

        A running iterator ends.

        Parameters
        ----------
        state : mapping
            Result of `state_dict`.

        Raises
        ------
        UsageError
            The state is damaged or of another order; the first difference is named.
        """
        with self._alone:
            order = self._order
            expected = identity(order, self.split, self.selection)
            epoch, step = check_state(state, expected, order.global_steps)
            self._stop()
            self._position.load(epoch, step, order)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next iterator: from its start, or on from a state loaded in it.

        Not needed, because epochs follow one another; it is there for loops that call it. A running
        iterator that has given a batch ends. UsageError if ``epoch`` is no number from 0 on.
        """
        number = epoch_number(epoch)
        with self._alone:
            if not self._position.comes_next(number):
                self._stop()
                self._position.choose(number)

    def close(self) -> None:
        """End the threads for good and free the memory, except for batches that are still held."""
        with self._alone:
            self._stop()
            self._memory.free()
            self._closed = True

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _alone(self) -> threading.RLock:
        """Lock of position and memory; code that frees memory never takes it."""
        if self._process != os.getpid():  # a fork: threads, and who waits for them, are not here
            self._memory.free()
            self._pipeline, self._process, self._lock = None, os.getpid(), threading.RLock()
        return self._lock

    def _stop(self) -> None:
        """End the running iterator."""
        if self._pipeline is not None:
            self._pipeline.stop()
            self._pipeline = None

    def __getstate__(self) -> dict[str, Any]:
        """Return options and position for another process, with a process group's rank."""
        order = self._order
        own_rank = replace(self._told, rank=order.rank, world_size=order.world_size)
        own = {"_memory": copy(self._memory), "_position": copy(self._position)}
        own["_told"] = own_rank if order.world_size > 1 else self._told
        return {**self.__dict__, **own, **dict.fromkeys(("_pipeline", "_lock", "_checked"))}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.RLock())

    def __repr__(self) -> str:
        order, lanes = self._order, self._order.plan.lanes
        how = f"{lanes} lanes" if order.plan.mode == "lanes" else order.plan.mode
        return (
            f"Loader({str(self.split.path)!r}, {len(self.selection)} channels, {order.steps}"
            f" batches of {self.batch_size}, {how}, rank {order.rank} of {order.world_size},"
            f" at epoch {self.epoch}, step {self.step})"
        )
