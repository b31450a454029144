"""Shards of a planned split, made by workers and journalled as they are done."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import islice

import numpy as np

from freqprep import engines
from freqprep.convert.request import Request
from freqprep.convert.shard_task import (
    ImageFiles,
    ShardTask,
    compile_coding,
    convert_shard,
    release_buffer,
)
from freqprep.convert.window_tasks import convert_windows, unpackers
from freqprep.progress import Progress, say
from freqprep.spectrum.coding import worth_compiling
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import AnyPath
from freqprep.store.journal import ShardResult
from freqprep.store.object_journal import ObjectJournal
from freqprep.store.plan import SplitPlan, memory_bound
from freqprep.store.plan_checks import refuse_outside
from freqprep.store.record_journal import AnyJournal
from freqprep.store.writer import UnfinishedSplit
from freqprep.text.quantities import tally
from freqprep.text.terminal import on_one_line

_LOOKS = 100


def images_of(plan: SplitPlan, shards: Iterable[int]) -> int:
    """Return the number of images of some shards."""
    return sum(len(plan.shard_rows(shard)) for shard in shards)


def make_shards(
    request: Request,
    plan: SplitPlan,
    partial: UnfinishedSplit,
    journal: AnyJournal[ShardResult] | ObjectJournal[ShardResult],
    aside: AnyPath,
    shards: Sequence[int],
) -> int:
    """Make some shards of a split, those that are not in the journal yet, and append them to it.

    Parameters
    ----------
    request : Request
    plan : SplitPlan
    partial : PartialSplit
    journal : Journal
    aside : Path or ObjectPath
        From the method ``aside`` of the unfinished split.
    shards : sequence of int

    Returns
    -------
    int
        Upper bound of the memory, in bytes.
    """
    name, left = (
        on_one_line(plan.attributes.split),
        [s for s in shards if s not in journal.finished],
    )
    folder = request.options.texts(request.source).get("images")
    refuse_outside(plan.listing.files.paths, None if folder is None else os.fsencode(folder))
    workers, images = request.workers.at_most(len(left)), images_of(plan, left)
    bound = memory_bound(
        plan.attributes.encoding, workers.count, len(plan.listing), unpackers(plan, workers)
    )
    say(
        f"{name}: images {len(plan.listing)}, shards {len(shards)} "
        f"(done {len(shards) - len(left)}), {workers.described()}, memory at most "
        f"{bound / 1e9:.1f} GB" + (" a worker" if workers.address else "")
    )
    if plan.listing.ignored:
        ignored = tally(plan.listing.ignored)
        say(on_one_line(f"{name}: not images of this split, ignored: {ignored}"))
    if not left:
        return bound
    results = shard_results(plan, request.root, workers, partial.split_folder, aside, left)
    every = images_of(plan, shards)
    with (
        Progress(name, every, every - images, keep=True) as progress,
        # Closed at once: after an error nothing may go on working until it is forgotten.
        contextlib.closing(results),
    ):
        for result in results:
            journal.append(result)
            progress.update(len(result.rows.valid))
    return bound


def shard_results(
    plan: SplitPlan,
    root: AnyPath,
    workers: engines.Workers,
    split_folder: AnyPath,
    aside: AnyPath,
    shards: Sequence[int],
) -> Generator[ShardResult, None, None]:
    """Convert shards in workers.

    Parameters
    ----------
    plan : SplitPlan
    root : Path or ObjectPath
        Folder of the source's files.
    workers : Workers
    split_folder, aside : Path or ObjectPath
        See `freqprep.store.writer.write_shard`.
    shards : sequence of int
        At least one, rising.

    Returns
    -------
    generator of ShardResult
        In any order; to be closed.
    """
    compiled = worth_compiling(images_of(plan, shards) // workers.count)
    if compiled and workers.address is None:
        compile_coding(plan.attributes.encoding)
    tasks = shard_tasks(plan, root, workers, split_folder, aside, shards, compiled)
    places = engines.Places(_sample(root, plan), aside)
    return _results(plan, tasks, len(shards), workers, places, aside)


def shard_tasks(
    plan: SplitPlan,
    root: AnyPath,
    workers: engines.Workers,
    split_folder: AnyPath,
    aside: AnyPath,
    shards: Iterable[int],
    compiled: bool,
) -> Iterator[ShardTask]:
    """Yield the work for each of some shards; parameters are those of `shard_results`."""
    path = workers.path
    for shard in shards:
        rows = plan.shard_rows(shard)
        yield ShardTask(
            shard=shard,
            first_row=rows.start,
            files=ImageFiles.of_rows(path(root), plan, rows),
            encoding=plan.attributes.encoding,
            compiled=compiled,
            level=plan.attributes.level,
            split_folder=path(split_folder),
            aside=path(aside),
        )


def _results(
    plan: SplitPlan,
    tasks: Iterable[ShardTask],
    shards: int,
    workers: engines.Workers,
    places: engines.Places,
    aside: AnyPath,
) -> Generator[ShardResult, None, None]:
    try:
        if plan.listing.image_column is None:
            yield from engines.run(convert_shard, tasks, workers, places)
        else:
            yield from convert_windows(plan, tasks, shards, workers, places, aside)
    finally:
        release_buffer()


def _sample(root: AnyPath, plan: SplitPlan) -> tuple[AnyPath, ...]:
    """Return the source's folder and one of its files that is there, for workers to look for."""
    paths = plan.listing.files.paths
    if isinstance(root, ObjectPath):
        known = np.flatnonzero(plan.listing.files.version)[:1]
        return tuple(root / paths.bytes_at(row).decode() for row in known.tolist())
    files = (root / os.fsdecode(paths.bytes_at(row)) for row in range(min(len(paths), _LOOKS)))
    return (root, *islice((file for file in files if file.exists()), 1))
