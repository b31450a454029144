"""Checks for uses of a loader that would be silently wrong: errors and warnings."""

from __future__ import annotations

import warnings
from concurrent.futures import Future
from copy import copy
from functools import partial
from pathlib import Path

from freqprep.arguments import check_flags, check_integer
from freqprep.errors import StoreError, UsageError
from freqprep.spectrum.channels import Selection, ranges
from freqprep.storage.interruptible import in_background
from freqprep.storage.paths import AnyPath
from freqprep.store.cached_shards import cached_shards
from freqprep.store.manifest import check_unchanged
from freqprep.store.range_cache import disk_bytes
from freqprep.store.shard import index_bytes
from freqprep.store.split import Split
from freqprep.streaming.order import Order
from freqprep.text.quantities import plural, size

DROPPED_SILENTLY = 0.03
"""Largest share of the rows that an epoch may drop without a warning."""


SMALLEST_WINDOW = 2**14
"""Least bytes of a window: half of a shard of 64 channels on a grid of 2x2 blocks."""


class DroppedRows(UserWarning):
    """Warning: each epoch of a loader leaves out many rows."""


def checked_split(
    split: Split, reader: str, cache: str | Path | None, cache_bytes: int | None
) -> Split:
    """Return a split, with a cache if one is given.

    Raises
    ------
    UsageError
        It is no split, above all a whole store; the cache cannot be used.
    """
    if not isinstance(split, Split):
        raise UsageError(
            f"{reader} reads a split, not {type(split).__name__}",
            'give freqprep.open_store(path)["train"]',
        )
    if (cache is None) != (cache_bytes is None):
        raise UsageError(
            f"a cache has a folder and a limit in bytes, got {cache} and {cache_bytes}",
            "give both, cache and cache_bytes (--cache and --cache-bytes)",
        )
    if cache is None or cache_bytes is None:
        return split
    limit, split = check_integer("cache_bytes", cache_bytes), copy(split)
    split.shard_cache = cached_shards(cache, limit, split.path, split.content_id)
    return split


def check_window(window_bytes: int) -> int:
    """Return the memory for decoded shards; refuse less than any shard has, such as megabytes."""
    try:
        return check_integer("window_bytes", window_bytes, SMALLEST_WINDOW)
    except UsageError as error:
        raise UsageError(error.message, "give bytes: 1 GiB is 2**30") from None


def check_options(
    transform: object, shuffle: bool = True, group_by_aspect: bool = False, reuse: bool = False
) -> None:
    """Raise UsageError if a transform cannot be called, or a flag is not True or False."""
    check_flags(shuffle=shuffle, group_by_aspect=group_by_aspect, reuse=reuse)
    if transform is not None and not callable(transform):
        raise UsageError(
            f"transform must be a function of a batch, got {transform!r:.80}",
            "give for example freqprep.augment.Augment(...), or leave it out",
        )


def check_has_rows(split: Split) -> None:
    """Raise StoreError if all rows of a split were rejected."""
    images = len(split)
    if not split.valid.any():
        raise StoreError(
            f"{split.path} has no valid rows: {plural(images, 'image')}, {images:,} rejected",
            "`freqprep info` says why; repair them and convert with --retry-rejected",
        )


def warn_of_dropped(order: Order, path: AnyPath, batches: int = 0) -> None:
    """Warn if an epoch leaves out many rows, and say how to leave out fewer.

    Parameters
    ----------
    order : Order
    path : Path or ObjectPath
        Of the split.
    batches : int
        Whole batches of the order that no process gets.
    """
    valid, lanes, batch_size = order.valid_rows, order.plan.lanes, order.batch_size
    dropped = order.dropped + batches * batch_size
    if dropped <= DROPPED_SILENTLY * valid:
        return
    remedy = f"use a smaller batch_size than {batch_size}"
    if order.dropped > max(2 * order.dropped_of_a_batch, dropped / 2):
        remedy = f"use fewer lanes than {lanes}: they do not share the shards evenly"
    warnings.warn(
        f"each epoch of {path} leaves out {dropped} of {plural(valid, 'row')}"
        f" ({dropped / valid:.0%}), other ones each time; {remedy}",
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
    """Raise StoreError if a split was replaced or removed since it was opened.

    With a cache that is checked later, once something is missing there.
    """
    if split.shard_cache is None:
        check_unchanged(split.path, split.content_id)
    else:
        split.shard_cache.check_before_reading()


def begin_check(split: Split) -> Future[None]:
    """Begin `check_content` in the background; its error is raised where the result is taken."""
    return in_background(partial(check_content, split))


def check_cache(split: Split, selection: Selection, threads: int) -> None:
    """Raise UsageError if a split's cache has no room for the shards that are read at a time."""
    if split.shard_cache is None:
        return
    stored_at = split.attributes.positions
    with split.open_shard(0) as file:
        lengths = file.chunk_lengths
    runs = ranges([stored_at[index] for index in selection.indices])
    a_shard = disk_bytes(index_bytes(len(lengths))) + sum(
        disk_bytes(int(lengths[first:stop].sum())) for first, stop in runs
    )
    limit = split.shard_cache.cache.limit
    if limit < threads * a_shard:
        raise UsageError(
            f"a cache of {limit} bytes is too small: {plural(len(selection), 'channel')} of"
            f" {plural(threads, 'shard')} read at a time take about {threads * a_shard} bytes",
            f"give it more; the whole of {split.path} takes about {size(a_shard * split.shards)}",
        )
