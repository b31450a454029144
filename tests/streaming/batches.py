"""What tests ask of a loader: copies of its batches, its threads."""

import threading

import numpy as np

from freqprep import Batch, Loader, Split, open_store
from freqprep.streaming.pipeline import THREAD_NAME

CHANNELS = ["y_0_1", "cb_0_0", "y_0_0"]
SHARD_BYTES = 128 * 3 * 2 * 2
"""Codes of one shard of `many` with these channels."""

WINDOW_BYTES = 128 * 64 * 2 * 2
"""What one shard of it counts in the memory budget, whatever is read."""


def copied(batch: Batch) -> tuple:
    codes, labels = batch.codes.numpy().copy(), batch.labels.numpy().copy()
    return codes, labels, batch.rows, batch.sizes, batch.epoch, batch.step


def taken(loader: Loader, count: int | None = None, epoch: int | None = None) -> list[tuple]:
    """Copies of batches of one iterator, by default of all; of an epoch where one is given."""
    if epoch is not None:
        loader.set_epoch(epoch)
    found = []
    for batch in loader:
        found.append(copied(batch))
        if len(found) == count:
            break
    return found


def assert_same(found: list[tuple], expected: list[tuple]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        for mine, theirs in zip(one, other, strict=True):
            np.testing.assert_array_equal(mine, theirs)


def threads() -> list[threading.Thread]:
    """Threads of loaders that run."""
    return [thread for thread in threading.enumerate() if thread.name == THREAD_NAME]


def opened(url: str) -> Split:
    """The split, with what a loader asks of it besides shards."""
    split = open_store(url)["train"]
    assert len(split.labels) == len(split.valid) == len(split.sizes) and len(split.steps) == 192
    return split
