"""Memory that a loader keeps from one epoch to the next: ring of batches, cache of rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from freqprep.arguments import check_integer
from freqprep.progress import Progress
from freqprep.spectrum.channels import Selection
from freqprep.store.schema import ROWS_PER_SHARD
from freqprep.store.split import Split
from freqprep.streaming.batch import BatchMaker
from freqprep.streaming.dealing import valid_rows_of_shards
from freqprep.streaming.delivery import Delivery, Sending, make_delivery
from freqprep.streaming.filling import Cache, from_store, ring_depth
from freqprep.streaming.order import Batches, Order, reads
from freqprep.streaming.pipeline import Pipeline
from freqprep.streaming.ring import LENT_AT_MOST
from freqprep.streaming.shuffling import ShufflePlan, choose_plan

if TYPE_CHECKING:
    import torch

_REFERENCE_CHANNELS = 64
"""Number of channels for which ``window_bytes`` is the budget."""

_PATIENCE_SECONDS = 2.0
_BETWEEN_LOOKS_SECONDS = 0.2


def plan_of(
    split: Split, selection: Selection, window_bytes: int, lanes: int | None, shuffle: bool
) -> ShufflePlan:
    """Choose how the rows of a split are shuffled; see `choose_plan`."""
    filled = int(np.count_nonzero(valid_rows_of_shards(split.valid)))
    reference = shard_bytes(split, selection) * _REFERENCE_CHANNELS // len(selection)
    lanes = None if lanes is None else check_integer("lanes", lanes)
    return choose_plan(filled, reference, window_bytes, lanes, shuffle)


def shard_bytes(split: Split, selection: Selection) -> int:
    """Compute the bytes of the chosen channels' codes in a full shard."""
    return ROWS_PER_SHARD * image_bytes(split, selection)


def image_bytes(split: Split, selection: Selection) -> int:
    """Compute the bytes of the chosen channels' codes of one image."""
    encoding = split.attributes.encoding
    rows, columns = encoding.geometry.grid
    return len(selection) * rows * columns * encoding.dtype.itemsize


@dataclass
class Section:
    """Batches that are given one after the other.

    Attributes
    ----------
    rows : list of ndarray of int64
        Rows of each batch.
    numbers : list of int
        Number of each global batch in the epoch.
    split : Split
        Its labels are read with the first batch: what is wrong with a shard is said before.
    pipeline : Pipeline
        Threads that fill the ring; not yet started.
    sending : Sending
        Makes tensors of the batches.
    """

    rows: list[np.ndarray]
    numbers: list[int]
    split: Split
    pipeline: Pipeline
    sending: Sending
    _sent: int = 0

    def send(self, number: int, make: BatchMaker, epoch: int) -> None:
        """Send a batch, and the next one if it is there: it is copied to a device meanwhile."""
        while self._sent < min(number + 2, len(self.rows)) and self.pipeline.ready(self._sent):
            rows = self.rows[self._sent]
            made = partial(make, rows, epoch, self.numbers[self._sent])
            self.sending.send(self._sent, self.split.labels[rows], made)
            self._sent += 1


class Memory:
    """Ring and cache of a loader: made when first needed, and then kept.

    Parameters
    ----------
    split : Split
    selection : Selection
    window_bytes, threads : int
    device : torch.device
    reuse : bool
        All as in `Loader`.
    """

    def __init__(
        self,
        split: Split,
        selection: Selection,
        window_bytes: int,
        threads: int,
        device: torch.device,
        reuse: bool,
    ) -> None:
        self._split, self._selection = split, selection
        self._window_bytes, self._threads = window_bytes, threads
        self._device, self._reuse = device, reuse
        self.free()

    def free(self) -> None:
        """Drop ring and cache; they are made again when needed."""
        self._cache: Cache | None = None
        self._delivery: Delivery | None = None
        self._filling: Pipeline | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave the memory out: another process fills its own."""
        return {**self.__dict__, **dict.fromkeys(("_cache", "_delivery", "_filling"))}

    def begin(self, order: Order, batches: Batches) -> Section:
        """Prepare to give some batches; the pipeline before must have been stopped."""
        needed = reads(batches)
        plan, images = order.plan, order.rows_per_batch
        rows = self._window_bytes * ROWS_PER_SHARD // shard_bytes(self._split, self._selection)
        if plan.mode == "lanes":
            rows = plan.rows_in_memory(order.world_size)
        depth = ring_depth(plan, needed, images, rows, self._threads)
        if self._filling is not None and self._filling.busy:
            # `stop` does not wait for ever: that thread may write into these buffers yet, but never
            # other codes into the cache, where each row has its place.
            self._delivery = None
        delivery = self._delivery_of(min(depth, len(batches) + LENT_AT_MOST), images)
        sending = delivery.begin(len(batches))
        buffers = sending.buffers
        if plan.mode == "exact":
            self._cache = self._cache or Cache(self._split, self._selection)
            tasks, wanted = self._cache.filling(needed, batches, buffers)
        else:
            tasks, wanted = from_store(self._split, self._selection, needed, buffers)
        # Copies: a batch that is kept must not keep all rows of the section.
        parts = [part.copy() for part in np.split(batches.rows, batches.edges[1:-1])]
        self._filling = Pipeline(tasks, wanted, buffers.assign(), self._threads)
        return Section(parts, batches.numbers.tolist(), self._split, self._filling, sending)

    def _delivery_of(self, depth: int, images: int) -> Delivery:
        """Return a delivery with a ring of at least ``depth`` buffers of ``images`` rows."""
        known = self._delivery
        if known is not None and len(known.ring) >= depth and known.ring.images == images:
            return known
        known = self._delivery = None  # free the old memory first
        encoding = self._split.attributes.encoding
        shape = (depth, images, len(self._selection), *encoding.geometry.grid)
        self._delivery = make_delivery(shape, encoding.dtype, self._device, self._reuse)
        return self._delivery


def wait_for_first(pipeline: Pipeline, what: str) -> None:
    """Wait for the first batch, with a progress bar if it takes long."""
    if pipeline.wait(0, _PATIENCE_SECONDS):
        return
    left = pipeline.missing(0)
    with Progress(what, left, unit="part") as progress:
        while not pipeline.wait(0, _BETWEEN_LOOKS_SECONDS):
            before, left = left, pipeline.missing(0)
            progress.update(before - left)
