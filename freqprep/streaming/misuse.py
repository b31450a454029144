"""Checks for uses of a loader that would be silently wrong: errors and warnings."""

from __future__ import annotations

import warnings

from freqprep.errors import StoreError, UsageError
from freqprep.storage.paths import StorePath
from freqprep.store.manifest import read_manifest
from freqprep.store.split import Split
from freqprep.streaming.order import Order

DROPPED_SILENTLY = 0.03
"""Largest share of the rows that an epoch may drop without a warning."""


class DroppedRows(UserWarning):
    """Warning: each epoch of a loader leaves out many rows."""


def check_split(split: object, reader: str) -> None:
    """Raise UsageError for anything but a split, above all a whole store."""
    if not isinstance(split, Split):
        raise UsageError(
            f"{reader} reads a split, not {type(split).__name__}",
            'give freqprep.open_store(path)["train"]',
        )


def check_has_rows(split: Split) -> None:
    """Raise StoreError if all rows of a split were rejected."""
    if not split.valid.any():
        raise StoreError(
            f"{split.path} has no valid rows: all {len(split)} images were rejected",
            "`freqprep info` says why; repair them and convert with --retry-rejected",
        )


def warn_of_dropped(order: Order, path: StorePath) -> None:
    """Warn if an epoch leaves out many rows, and say how to leave out fewer."""
    valid, lanes, batch_size = int(order.valid.sum()), order.plan.lanes, order.batch_size
    if order.dropped <= DROPPED_SILENTLY * valid:
        return
    remedy = f"use a smaller batch_size than {batch_size}"
    if order.dropped > 2 * order.dropped_of_a_batch:
        remedy = f"use fewer lanes than {lanes}: they do not share the shards evenly"
    warnings.warn(
        f"each epoch of {path} leaves out {order.dropped} of {valid} rows"
        f" ({order.dropped / valid:.0%}), other ones each time; {remedy}",
        DroppedRows,
        stacklevel=3,
    )


def check_worker(shuffled: bool) -> None:
    """Raise UsageError in one of several DataLoader workers; warn in a single one."""
    from torch.utils.data import get_worker_info

    worker = get_worker_info()
    if worker is None:
        return
    if worker.num_workers > 1:
        raise UsageError(
            f"each of {worker.num_workers} worker processes would give all batches",
            "iterate over the loader itself, which reads with threads, or set num_workers=0",
        )
    if shuffled:
        warnings.warn(
            "a worker process has a copy of the loader as it was when the worker was started: call"
            " loader.set_epoch(epoch) before each epoch, or iterate over the loader itself, which"
            " reads with threads",
            stacklevel=3,
        )


def check_content(split: Split) -> None:
    """Raise StoreError if a split was replaced or removed since it was opened."""
    if read_manifest(split.path)[1] != split.content_id:
        raise StoreError(
            f"{split.path} was replaced after it was opened (its content id is no longer"
            f" {split.content_id[:12]})",
            "open the store again and start a new run",
        )
