"""What a loader keeps from one epoch to the next: the ring of batches, and rows that fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from freqprep.progress import Progress
from freqprep.spectrum.channels import Selection
from freqprep.store.schema import ROWS_PER_SHARD
from freqprep.store.split import Split
from freqprep.streaming.delivery import Delivery, Sending, make_delivery
from freqprep.streaming.filling import Cache, from_store, ring_depth
from freqprep.streaming.order import Batches, Order, reads
from freqprep.streaming.pipeline import Pipeline
from freqprep.streaming.ring import LENT_AT_MOST
from freqprep.streaming.shuffling import ShufflePlan, choose_mixing

if TYPE_CHECKING:
    import torch

_REFERENCE_CHANNELS = 64
"""Channels that ``window_bytes`` is for."""

_PATIENCE_SECONDS = 2.0
_BETWEEN_LOOKS_SECONDS = 0.2


def mixing_of(
    split: Split, selection: Selection, window_bytes: int, lanes: int | None, shuffle: bool
) -> ShufflePlan:
    """How the rows of a split are mixed; see `choose_mixing`."""
    filled = len(np.unique(np.flatnonzero(split.valid) // ROWS_PER_SHARD))
    reference = shard_bytes(split, selection) * _REFERENCE_CHANNELS // len(selection)
    return choose_mixing(filled, reference, window_bytes, lanes, shuffle)


def shard_bytes(split: Split, selection: Selection) -> int:
    """Bytes of the chosen codes of a whole shard."""
    encoding = split.attributes.encoding
    images = (ROWS_PER_SHARD, len(selection), *encoding.geometry.grid)
    return int(np.prod(images)) * encoding.dtype.itemsize


class Memory:
    """Made when first needed, and then kept.

    Parameters
    ----------
    split : Split
    selection : Selection
    window_bytes : int
    threads : int
    device : torch.device
    reuse : bool
        As for `Loader`.
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
        """Keep nothing; what is needed is made anew."""
        self._cache: Cache | None = None
        self._delivery: Delivery | None = None

    def __getstate__(self) -> dict[str, Any]:
        """For another process, which fills its own."""
        return {**self.__dict__, "_cache": None, "_delivery": None}

    def begin(self, order: Order, batches: Batches) -> tuple[Pipeline, Sending]:
        """Threads, not yet started, that fill places with some batches; what makes tensors of them.

        The pipeline before must have been stopped.
        """
        needed = reads(batches)
        mixing, images = order.mixing, order.rows_per_batch
        rows = self._window_bytes * ROWS_PER_SHARD // shard_bytes(self._split, self._selection)
        if mixing.mode == "lanes":
            rows = int(mixing.window * 8 / 7 * ROWS_PER_SHARD * mixing.lanes / order.world_size)
        depth = ring_depth(mixing, needed, images, rows, self._threads)
        delivery = self._delivery_of(min(depth, len(batches) + LENT_AT_MOST), images)
        sending = delivery.begin(len(batches))
        places = sending.places
        if mixing.mode == "exact":
            self._cache = self._cache or Cache(self._split, self._selection)
            tasks, wanted = self._cache.filling(needed, batches, places)
        else:
            tasks, wanted = from_store(self._split, self._selection, needed, places)
        return Pipeline(tasks, wanted, places.assign(), self._threads), sending

    def _delivery_of(self, depth: int, images: int) -> Delivery:
        """One with a ring of at least so many places for so many rows."""
        known = self._delivery
        if known is not None and len(known.ring) >= depth and known.ring.images == images:
            return known
        known = self._delivery = None  # let go of the old memory first
        encoding = self._split.attributes.encoding
        shape = (depth, images, len(self._selection), *encoding.geometry.grid)
        self._delivery = make_delivery(shape, encoding.dtype, self._device, self._reuse)
        return self._delivery


def wait_for_first(pipeline: Pipeline, what: str) -> None:
    """Wait for the first batch; a long wait is shown."""
    if pipeline.wait(0, _PATIENCE_SECONDS):
        return
    left = pipeline.missing(0)
    with Progress(what, left, unit="part") as progress:
        while not pipeline.wait(0, _BETWEEN_LOOKS_SECONDS):
            before, left = left, pipeline.missing(0)
            progress.update(before - left)
