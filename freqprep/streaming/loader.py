"""Batches of stored codes for any PyTorch loop: ``for batch in freqprep.Loader(split): ...``."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from freqprep.errors import StoreError, UsageError
from freqprep.progress import Progress
from freqprep.store.manifest import read_manifest
from freqprep.store.schema import ROWS_PER_SHARD
from freqprep.store.selections import ChannelsLike, select
from freqprep.store.split import Split
from freqprep.streaming.delivery import Batch, Delivery, check_device, make_delivery
from freqprep.streaming.filling import Cache, from_store, ring_depth
from freqprep.streaming.order import Batches, Order, reads
from freqprep.streaming.pipeline import Pipeline
from freqprep.streaming.shuffling import aspect_bins, choose_mixing
from freqprep.streaming.state import VERSION, position, whole

if TYPE_CHECKING:
    import torch

_REFERENCE_CHANNELS = 64
"""Channels that ``window_bytes`` is for."""

_PATIENCE_SECONDS = 2.0
_BETWEEN_LOOKS_SECONDS = 0.2


class Loader:
    """Reads batches of a split ahead of the consumer, in an order that seed and epoch fix.

    Each ``for`` gives the rest of the current epoch; at its end the epoch number rises. After a
    ``break`` the next ``for`` goes on where the last one stopped; a second iterator ends the first.
    Threads run only while an iterator is alive; there are no worker processes.

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
    rank, world_size : int
        This process and how many share the epoch. Shuffled lanes allow only counts that divide
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
        exactly. If not, windows of ``window_bytes // (2 * lanes)``, at least a shard, are
        shuffled: more is better mixed and costs nothing but memory; some hundred batches' worth
        is plenty, as rows are permuted on disk already. Besides it there are three batches of
        output.
    lanes : int, optional
        Parallel windows, a multiple of every number of ranks that is to be used. By default up to
        16, at least 16 shards each; giving it also turns off keeping all in memory. Each rank
        holds ``2 * lanes / world_size`` windows.
    group_by_aspect : bool
        Put images of about the same ``log2(width / height)`` into a batch, so that a network that
        pads its images to a common size pads little. Sixteen global batches at a time are
        regrouped and their order is drawn. So each row still comes once an epoch; up to 30 more
        batches have to be held in memory, and shards of lanes may be read by several ranks.
    device : str or torch.device
        ``cpu``, or a CUDA device: batches are then made in pinned memory and copied by a stream
        of their own.

    Attributes
    ----------
    split : Split
    selection : Selection
    steps : ndarray of float32, shape (C,)
        Quantization steps of the chosen channels.
    batch_size : int
    epoch : int
        Current epoch, from 0.
    step : int
        Batches of this rank that were delivered in it, not those read ahead.
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
        rank: int = 0,
        world_size: int = 1,
        threads: int = 2,
        window_bytes: int = 2**30,
        lanes: int | None = None,
        group_by_aspect: bool = False,
        device: str | torch.device = "cpu",
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
        _check_content(split)
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
        self._order = Order(
            split.valid,
            mixing,
            self.batch_size,
            whole("seed", seed, 0),
            whole("rank", rank, 0),
            whole("world_size", world_size),
            aspect_bins(split.sizes) if group_by_aspect else None,
        )
        self.epoch = 0
        self.step = 0
        self.wait_seconds = 0.0
        self._cache: Cache | None = None
        self._delivery: Delivery | None = None
        self._pipeline: Pipeline | None = None  # of the iterator that is alive
        self._closed = False

    def __len__(self) -> int:
        """Batches of this rank in a whole epoch."""
        return self._order.steps

    def __iter__(self) -> Iterator[Batch]:
        """The rest of the current epoch."""
        if self._closed:
            raise UsageError("the loader is closed", "make a new one")
        self._stop()
        _check_content(self.split)
        if self.step < len(self):
            yield from self._rest_of_epoch()
        self.epoch += 1
        self.step = 0

    def _rest_of_epoch(self) -> Iterator[Batch]:
        epoch, batches = self.epoch, self._order.batches(self.epoch, self.step)
        rows = np.split(batches.rows, batches.edges[1:-1])
        pipeline, delivery = self._start(batches)
        sent = 0
        try:
            for number, mine in enumerate(rows):
                began = time.perf_counter()
                self._wait(pipeline, number)
                self.wait_seconds += time.perf_counter() - began
                # The next one too, if it is there: its copy to a device then overlaps with work.
                while sent < min(number + 2, len(rows)) and pipeline.ready(sent):
                    delivery.send(sent, self.split.labels[rows[sent]])
                    sent += 1
                codes, labels = delivery.tensors(number)
                sizes = self.split.sizes[mine]
                self.step += 1
                try:
                    yield Batch(codes, labels, mine, sizes, epoch, int(batches.numbers[number]))
                finally:
                    delivery.release(number)
                pipeline.give_back()
            pipeline.check()
        finally:
            pipeline.stop()
            delivery.settle()

    def _start(self, batches: Batches) -> tuple[Pipeline, Delivery]:
        """Threads that fill the ring; ring and cache are made when first needed."""
        needed = reads(batches)
        mixing, images = self._order.mixing, self._order.rows_per_batch
        rows = self._window_bytes * ROWS_PER_SHARD // self._shard_bytes
        if mixing.regime == "lanes":
            rows = 2 * mixing.window * ROWS_PER_SHARD * mixing.lanes // self._order.world_size
        depth = min(ring_depth(mixing, needed, images, rows, self._threads), len(self))
        if self._delivery is None or len(self._delivery.ring) < depth:
            self._delivery = None  # let go of the old memory first
            encoding = self.split.attributes.encoding
            shape = (depth, images, len(self.selection), *encoding.geometry.grid)
            self._delivery = make_delivery(shape, encoding.dtype, self._device)
        ring = self._delivery.ring
        if mixing.regime == "exact":
            self._cache = self._cache or Cache(self.split, self.selection)
            tasks, wanted = self._cache.filling(needed, batches, ring)
        else:
            tasks, wanted = from_store(self.split, self.selection, needed, ring)
        self._pipeline = Pipeline(tasks, wanted, len(ring), self._threads)
        return self._pipeline, self._delivery

    def _wait(self, pipeline: Pipeline, batch: int) -> None:
        """Wait for a batch; a long wait for the first one is shown."""
        if batch == 0 and self._order.rank == 0 and not pipeline.wait(0, _PATIENCE_SECONDS):
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
            "step": self._order.global_step(self.step),
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
        epoch, step = position(state, self._identity(), self._order.global_steps)
        self._stop()
        self.epoch, self.step = epoch, self._order.delivered(step)

    def _identity(self) -> dict[str, Any]:
        """What fixes the order of rows, and the data."""
        mixing = self._order.mixing
        return {
            "content_id": self.split.content_id,
            "channels": list(self.selection.names),
            "batch_size": self.batch_size,
            "seed": self._order.seed,
            "regime": mixing.regime,
            "lanes": mixing.lanes,
            "window": mixing.window,
            "group_by_aspect": self._order.bins is not None,
        }

    def close(self) -> None:
        """End the threads and free the memory; the loader cannot be iterated any more."""
        self._closed = True
        self._stop()
        self._cache = self._delivery = None

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


def _check_content(split: Split) -> None:
    """Refuse a split that was replaced, or taken away, since it was opened."""
    if read_manifest(split.path)[1] != split.content_id:
        raise StoreError(
            f"{split.path} was replaced after it was opened (its content id is no longer"
            f" {split.content_id[:12]})",
            "open the store again and start a new run",
        )
