"""Packing: plan, rewrite the shards in workers, publish.

``pack`` does all that ``freqprep pack`` does; `freqprep.pack.estimate` is its ``--dry-run``.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator, Mapping

from freqprep import engines
from freqprep.errors import CorruptStoreError, StoreError
from freqprep.pack.planning import PackPlan, make_plans, still_to_pack
from freqprep.pack.request import PackRequest
from freqprep.pack.shard_task import PackTask, ShardSource, pack_shard
from freqprep.progress import Progress, say
from freqprep.spectrum.channels import described
from freqprep.storage.disk import FileEntry, full_disk_named
from freqprep.storage.paths import AnyPath, absolute, local_part
from freqprep.store.array_writer import SplitWriter
from freqprep.store.carried_selections import carry_selections
from freqprep.store.lock import store_lock
from freqprep.store.log import append_log, options_of
from freqprep.store.manifest import MANIFEST, read_manifest
from freqprep.store.packed import PackedShard
from freqprep.store.plan import save_attributes
from freqprep.store.reader import Split, open_store
from freqprep.store.rejects import write_rejects
from freqprep.store.root import open_or_create_root, store_exists
from freqprep.store.schema import IMAGE_ARRAYS, OBJECT_ARRAYS, ROWS_PER_SHARD, SplitAttributes
from freqprep.store.summary import SplitSummary, summarize
from freqprep.store.writer import UnfinishedSplit, unfinished_split
from freqprep.text.quantities import plural

_SHARDS_AT_ONCE = 8192

_BY_CHANNEL = [name for name, spec in IMAGE_ARRAYS.items() if spec.dimensions == ("channel",)]


def pack(request: PackRequest) -> dict[str, SplitSummary]:
    """Write the requested splits of a store to another store, packed.

    The codes of the channels kept and all other arrays stay equal; saved selections are copied.

    Parameters
    ----------
    request : PackRequest

    Returns
    -------
    dict of str to SplitSummary
        Packed splits by name.

    Raises
    ------
    SplitExistsError
        A split exists already, and the request neither resumes nor overwrites it.
    UsageError
        There is no such split or channel, or the target has splits with other classes.
    StoreError
        See `freqprep.errors`. Finished shards are kept for ``resume``.
    """
    plans = make_plans(request)
    with store_lock(request.target) as confirm, full_disk_named(local_part(request.target)):
        store_exists(request.target)  # refuses anything else at this path
        partials = {name: unfinished_split(request.target, name, confirm) for name in plans}
        for partial in partials.values():
            partial.tidy()
        todo = still_to_pack(request, plans, partials)
        open_or_create_root(request.target)
        for name, partial in todo.items():
            if not (request.resume and partial.exists()):
                _start(request, partial, plans[name])
        for name, partial in todo.items():
            _pack_split(request, partial, plans[name])
        for what in carry_selections(request.store, request.target):
            say(f"warning: {what}")
        packed = open_store(request.target)
        for name in plans:
            write_rejects(request.target, packed[name])
        return {name: summarize(packed[name]) for name in plans}


def shard_source(plan: PackPlan, shard: int, workers: engines.Workers) -> ShardSource:
    """Return the channels of a shard that a plan keeps, as workers can read them."""
    split = plan.split
    path = workers.path(split.path)
    return ShardSource(path, split.content_id, shard, plan.positions, plan.new_level)


def _start(request: PackRequest, partial: UnfinishedSplit, plan: PackPlan) -> None:
    partial.discard()
    partial.start()
    options = options_of(request.store, plan.split)
    save_attributes(plan.attributes, partial.folder, options=options)


def _pack_split(request: PackRequest, partial: UnfinishedSplit, plan: PackPlan) -> None:
    began, split, attributes = time.monotonic(), plan.split, plan.attributes
    with partial.aside() as aside, partial.journal(PackedShard) as journal:
        already = sum(_rows(split, shard) for shard in journal.finished)
        workers = request.workers.at_most(split.shards - len(journal.finished))
        say(
            f"{attributes.split}: images {len(split)}, channels {len(attributes.channels)}, "
            f"zstd level {attributes.level}, shards {split.shards} "
            f"(done {len(journal.finished)}), {workers.described()}"
        )
        tasks = _tasks(partial, plan, aside, set(journal.finished), workers)
        places = engines.Places((split.path / MANIFEST,), aside)
        with Progress(attributes.split, len(split), already, keep=True) as progress:
            for packed in engines.run(pack_shard, tasks, workers, places):
                journal.append(packed)
                progress.update(_rows(split, packed.shard))
    identity = _publish(partial, plan, journal.finished)
    append_log(
        request.target,
        {
            "split": attributes.split,
            "content_id": identity,
            "packed_from": split.content_id,
            "source": absolute(request.store),
            "options": options_of(request.store, split),
            "host": platform.node(),
            "jobs": request.workers.count,
            "engine": request.engine,
            "level": attributes.level,
            "channels": described(attributes.channels),
            "images": len(split) - already,
            "seconds": round(time.monotonic() - began, 3),
        },
    )


def _tasks(
    partial: UnfinishedSplit,
    plan: PackPlan,
    aside: AnyPath,
    finished: set[int],
    workers: engines.Workers,
) -> Iterator[PackTask]:
    for shard in range(plan.split.shards):
        if shard not in finished:
            source = shard_source(plan, shard, workers)
            folders = workers.path(partial.split_folder), workers.path(aside)
            yield PackTask(source, *folders)


def _rows(split: Split, shard: int) -> int:
    return min(ROWS_PER_SHARD, len(split) - ROWS_PER_SHARD * shard)


def _publish(partial: UnfinishedSplit, plan: PackPlan, finished: Mapping[int, PackedShard]) -> str:
    split = plan.split
    if len(finished) != split.shards:
        raise StoreError(
            f"{len(finished)} of {plural(split.shards, 'shard')} are packed", "use --resume"
        )
    if read_manifest(split.path)[1] != split.content_id:
        raise CorruptStoreError(
            f"{split.path} was replaced while it was packed", "start over with --overwrite"
        )
    specs = {**IMAGE_ARRAYS, **(OBJECT_ARRAYS if split.has_boxes else {})}

    def fill(writer: SplitWriter) -> SplitAttributes:
        for name, spec in specs.items():
            for values in split.arrays.in_parts(name).blocks():
                kept = values[list(plan.positions)] if name in _BY_CHANNEL else values
                writer.append(name, spec, kept)
        for first in range(0, split.shards, _SHARDS_AT_ONCE):
            shards = range(first, min(first + _SHARDS_AT_ONCE, split.shards))
            packed = (finished[shard] for shard in shards)
            writer.add_shards(FileEntry(shard.file_bytes, shard.sha256) for shard in packed)
        return plan.attributes

    return partial.publish(plan.attributes, fill)
