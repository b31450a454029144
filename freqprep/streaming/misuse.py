"""Uses of a loader that would be silently wrong: refused, or warned of."""

from __future__ import annotations

import warnings
from pathlib import Path

from freqprep.errors import StoreError, UsageError
from freqprep.store.manifest import read_manifest
from freqprep.store.split import Split
from freqprep.streaming.order import Order

DROPPED_SILENTLY = 0.03
"""Share of the rows that an epoch may drop without a warning."""


class DroppedRows(UserWarning):
    """Each epoch of a loader leaves out many rows."""


def check_split(split: object, reader: str) -> None:
    """Refuse what is no split, above all a whole store."""
    if not isinstance(split, Split):
        raise UsageError(
            f"{reader} reads a split, not {type(split).__name__}",
            'give freqprep.open_store(path)["train"]',
        )


def warn_of_dropped(order: Order, path: Path) -> None:
    """Say how many rows an epoch leaves out, where they are many, and how to leave out fewer."""
    valid, lanes, batch_size = int(order.valid.sum()), order.mixing.lanes, order.batch_size
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
    """Refuse several worker processes of a DataLoader; say what one of them does."""
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
    """Refuse a split that was replaced, or taken away, since it was opened."""
    if read_manifest(split.path)[1] != split.content_id:
        raise StoreError(
            f"{split.path} was replaced after it was opened (its content id is no longer"
            f" {split.content_id[:12]})",
            "open the store again and start a new run",
        )
