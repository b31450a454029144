"""A split as a map-style dataset, for training loops that need a DataLoader."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from freqprep.arguments import check_flags, check_integer
from freqprep.errors import UsageError
from freqprep.store.cache import DEFAULT_BYTES
from freqprep.store.selections import ChannelsLike, select
from freqprep.store.split import Split
from freqprep.streaming.dealing import valid_rows_of_shards
from freqprep.streaming.memory import shard_bytes
from freqprep.streaming.misuse import (
    check_cache,
    check_content,
    check_options,
    checked_split,
    warn_of_dropped,
)
from freqprep.streaming.order import Order
from freqprep.streaming.ranks import Told
from freqprep.streaming.shuffling import choose_plan
from freqprep.streaming.state import epoch_number
from freqprep.text.quantities import plural

if TYPE_CHECKING:
    import torch


class Dataset:
    """Map-style dataset of the valid images of a split, for ``torch.utils.data.DataLoader``.

    `Loader` is many times as fast and needs no worker processes; this is for code that needs a
    DataLoader. A chunk of the store holds 128 images, so reading single images in random order
    takes about a hundred times as long per image as reading consecutive ones. Give the DataLoader
    `batch_sampler`, whose batches come from a few shards at a time; these stay decoded in the
    split's cache.

    Parameters
    ----------
    split : Split
    channels : str, int, sequence or Selection
        Channels to read: anything that `freqprep.channels` takes.
    transform : callable, optional
        Called with the coefficients of each image, a float32 tensor of shape (C, rows, columns);
        its result is returned in their stead.
    cache, cache_bytes : optional
        Local folder that keeps what is read of the shards, and its limit; see `Loader`.

    Attributes
    ----------
    split : Split
    selection : Selection
    rows : ndarray of int64, shape (len(dataset),)
        Row number in the split of each image; rejected rows are left out.

    Examples
    --------
    >>> data = freqprep.Dataset(split)  # doctest: +SKIP
    >>> DataLoader(data, batch_sampler=data.batch_sampler(64), num_workers=2)  # doctest: +SKIP
    """

    def __init__(
        self,
        split: Split,
        channels: ChannelsLike = "square-24",
        transform: Callable[[torch.Tensor], Any] | None = None,
        cache: str | Path | None = None,
        cache_bytes: int | None = None,
    ) -> None:
        self.split = split = checked_split(split, "a data set", cache, cache_bytes)
        self.selection = select(channels, split)
        check_options(transform)
        check_cache(split, self.selection, 1)
        self.transform = transform
        self.rows = np.flatnonzero(split.valid)

    def __len__(self) -> int:
        """Return the number of valid images."""
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        """Return the coefficients of an image, transformed, and its label.

        The label is an index into the split's classes, -1 = none.

        Raises
        ------
        IndexError
            The index is out of range.
        """
        return self.__getitems__([operator.index(index)])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Any, int]]:
        """Return several images at once: a DataLoader calls this for a batch."""
        import torch

        rows = self.rows[np.asarray(indices, np.int64)]
        # One copy into memory of the batch's own, image after image.
        coefficients = torch.from_numpy(np.ascontiguousarray(self.split.read(rows, self.selection)))
        images = map(self.transform, coefficients) if self.transform else coefficients
        return list(zip(images, self.split.labels[rows].tolist(), strict=True))

    def batch_sampler(
        self,
        batch_size: int,
        shuffle: bool = True,
        seed: int = 0,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> BatchSampler:
        """Make a sampler of batches that lie together in the store; see `BatchSampler`."""
        return BatchSampler(self, batch_size, shuffle, seed, rank, world_size)

    def __repr__(self) -> str:
        images, channels = plural(len(self), "image"), plural(len(self.selection), "channel")
        return f"Dataset({str(self.split.path)!r}, {images}, {channels})"


class BatchSampler:
    """Batch sampler that takes each batch from a few shards, in another order every epoch.

    Shuffled epochs are whole batches, in the order that `Loader` gives in one lane; otherwise the
    images come in order and the last batch may be smaller. Several processes take the batches in
    turn, equally many when shuffled. Each iterator that has given a batch counts as an epoch.

    Parameters
    ----------
    dataset : Dataset
    batch_size : int
        Number of images in a batch of one process.
    shuffle : bool
    seed : int
        0 to 2**32 - 1.
    rank, world_size : int, optional
        Rank of this process and number of processes that share the batches: by default those of
        torch's process group, or of ``torchrun``'s environment. Give ``rank=0, world_size=1``
        where something else deals the batches to processes (Accelerate, for a DataLoader that it
        prepares).

    Attributes
    ----------
    epoch : int
        Epoch of the next iterator.

    Raises
    ------
    UsageError
        An option out of range; no whole batch for each process; Accelerate is in use and rank and
        world size are not given.

    Warns
    -----
    DroppedRows
        An epoch drops more than 3 % of the rows.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        shuffle: bool = True,
        seed: int = 0,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        check_flags(shuffle=shuffle)
        split = self._split = dataset.split
        self._rows = dataset.rows
        plan = choose_plan(
            int(np.count_nonzero(valid_rows_of_shards(split.valid))),
            shard_bytes(split, dataset.selection),
            DEFAULT_BYTES // 2,  # of decoded chunks; the rest is for those of other channels
            shuffle=shuffle,
            lanes=1 if shuffle else None,
        )
        self._order = Order(
            split.valid,
            plan,
            check_integer("batch_size", batch_size),
            check_integer("seed", seed, 0),
        )
        self.batch_size = self._order.batch_size
        self._told = None
        if rank is not None or world_size is not None:
            self._told = check_integer("rank", rank, 0), check_integer("world_size", world_size)
            if self._told[0] >= self._told[1]:
                raise UsageError(
                    f"rank must be 0 to {self._told[1] - 1} for world_size={world_size}, got {rank}"
                )
        self.epoch = 0
        warn_of_dropped(self._order, split.path, self._order.global_steps - self._shared()[2])
        if not len(self):
            raise UsageError(
                f"too few images for a batch of {batch_size} per process: {len(self._rows):,}",
                "use a smaller batch_size",
            )

    def __len__(self) -> int:
        """Return the number of batches of this process in an epoch."""
        return len(self._mine())

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the batches of an epoch, each a list of image numbers."""
        check_content(self._split)
        mine = self._mine()
        for section in self._order.sections(self.epoch):
            numbers = section.numbers.tolist()
            for number, first, stop in zip(numbers, section.edges, section.edges[1:], strict=False):
                if number not in mine:
                    continue
                if number == mine.start:
                    self.epoch += 1
                yield np.searchsorted(self._rows, section.rows[first:stop]).tolist()

    @property
    def sampler(self) -> BatchSampler:
        """Itself: Lightning and Accelerate set the epoch of a batch sampler's sampler."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next iterator."""
        self.epoch = epoch_number(epoch)

    def _mine(self) -> range:
        """Return the numbers of this process's batches."""
        rank, world_size, steps = self._shared()
        return range(rank, steps, world_size)

    def _shared(self) -> tuple[int, int, int]:
        """Find rank and world size, and the number of batches that are dealt in an epoch."""
        rank, world_size = self._told or self._of_all()
        steps = self._order.global_steps
        if self._order.plan.mode != "rows":
            steps -= steps % world_size
        return rank, world_size, steps

    def _of_all(self) -> tuple[int, int]:
        """Find rank and world size; raise UsageError if Accelerate deals the batches as well."""
        rank, world_size = Told().process()
        accelerate = sys.modules.get("accelerate.state")
        if world_size > 1 and accelerate is not None and accelerate.PartialState._shared_state:
            raise UsageError(
                "Accelerate deals the batches of a DataLoader that it prepares: dealt twice, half"
                " of the images or more would never be read",
                "give rank=0, world_size=1 to batch_sampler; or, if the DataLoader is not prepared,"
                f" rank={rank}, world_size={world_size}",
            )
        return rank, world_size
