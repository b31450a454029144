"""Conversion: list the source, plan, convert the shards in workers, publish.

``convert`` does all that ``freqprep convert`` does; `freqprep.convert.estimate` is its
``--dry-run``.
"""

from __future__ import annotations

import dataclasses
import os
import platform
import time
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

import numpy as np

from freqprep import engines
from freqprep.convert.planning import (
    check_same,
    class_list,
    discover,
    partial_splits,
    plan_split,
    refuse_existing,
)
from freqprep.convert.request import Request
from freqprep.convert.retry_rejected import prepare_retry
from freqprep.convert.shard_task import (
    ImageFiles,
    ShardTask,
    compile_coding,
    convert_shard,
    release_buffer,
)
from freqprep.convert.stored_objects import stored_objects
from freqprep.errors import SourceError
from freqprep.progress import Progress, say
from freqprep.ragged import Ragged
from freqprep.sources import Discovered
from freqprep.sources.files import shown
from freqprep.spectrum.channels import CHANNELS
from freqprep.spectrum.coding import worth_compiling
from freqprep.spectrum.moments import Moments
from freqprep.storage.disk import FileEntry, full_disk_named
from freqprep.store.existing import pending
from freqprep.store.journal import Journal, RowResults, ShardResult
from freqprep.store.layout import shard_path
from freqprep.store.lock import store_lock
from freqprep.store.log import append_log
from freqprep.store.plan import SplitPlan, load_attributes, load_plan, memory_bound, save_plan
from freqprep.store.reader import open_store
from freqprep.store.rejects import write_rejects
from freqprep.store.schema import IMAGE_ARRAYS, OBJECT_ARRAYS, ArraySpec
from freqprep.store.summary import SplitSummary, summarize
from freqprep.store.writer import PartialSplit, open_or_create_root, store_exists

__all__ = ["Request", "convert"]

_LOOKS = 100


def convert(request: Request) -> dict[str, SplitSummary]:
    """Convert the requested splits of a source to a store.

    Parameters
    ----------
    request : Request

    Returns
    -------
    dict of str to SplitSummary
        Finished splits by name. Images that could not be converted are counted there, and are
        not an error.

    Raises
    ------
    SplitExistsError
        A split exists already, and the request has none of resume, overwrite and retry.
    SourceError, StoreError
        See `freqprep.errors`. Finished shards are kept for ``resume``.
    """
    say(f"listing {shown(os.fsencode(request.source))}")
    found = discover(request)
    with store_lock(request.store), full_disk_named(request.store):
        store_exists(request.store)  # refuses anything else at this path
        partials = partial_splits(request, found)
        for partial in partials.values():
            partial.tidy()
        refuse_existing(request, partials)
        todo = pending(partials, request.resume)
        _prepare(request, partials, todo, found)
        for partial in todo.values():
            _convert_split(request, partial)
        store = open_store(request.store)
        for name in partials:
            write_rejects(request.store, store[name])
        return {name: summarize(store[name]) for name in partials}


def _prepare(
    request: Request,
    partials: Mapping[str, PartialSplit],
    todo: Mapping[str, PartialSplit],
    found: Discovered,
) -> None:
    """Give each split to convert a plan: the saved one on resume, else a new one."""
    if request.retry_rejected:
        store = open_store(request.store)
        for name, partial in todo.items():
            check_same(request, store[name].attributes, finished=True)
            prepare_retry(partial, store[name], found.listings[name], request.source)
        return
    for name, partial in partials.items():
        if name not in todo:
            check_same(request, open_store(request.store)[name].attributes, finished=True)
        elif request.resume and partial.exists():
            check_same(request, load_attributes(partial.folder), finished=False)
    classes = class_list(request, found, set(todo))
    plans = {
        name: plan_split(request, found.listings[name], found.classes, classes)
        for name, partial in todo.items()
        if not (request.resume and partial.exists())
    }
    open_or_create_root(request.store)
    for name in plans:
        todo[name].discard()
    # All are started before any is planned: after a kill in between, none looks finished.
    for name in plans:
        todo[name].start()
    for name, plan in plans.items():
        save_plan(plan, todo[name].folder)


def _convert_split(request: Request, partial: PartialSplit) -> None:
    plan = load_plan(partial.folder)
    began = time.monotonic()
    with Journal(partial.journal_path, ShardResult) as journal, partial.aside() as aside:
        already = sum(len(plan.shard_rows(shard)) for shard in journal.finished)
        workers = request.workers.at_most(plan.shards - len(journal.finished))
        compiled = worth_compiling((len(plan.rows) - already) // workers.count)
        if compiled and workers.address is None:
            compile_coding(plan.attributes.encoding)
        tasks = _tasks(request, plan, partial, aside, set(journal.finished), compiled)
        places = engines.Places(_sample(request.source, plan), aside)
        bound = memory_bound(plan.attributes.encoding, workers.count, len(plan.rows))
        say(
            f"{plan.attributes.split}: images {len(plan.rows)}, shards {plan.shards} "
            f"(done {len(journal.finished)}), {workers.described()}, memory at most "
            f"{bound / 1e9:.1f} GB" + (" a worker" if workers.address else "")
        )
        if plan.rows.ignored:
            ignored = ", ".join(f"{count} {what}" for what, count in plan.rows.ignored.items())
            say(f"{plan.attributes.split}: not images of this split, ignored: {ignored}")
        with Progress(plan.attributes.split, len(plan.rows), already, keep=True) as progress:
            try:
                for result in engines.run(convert_shard, tasks, workers, places):
                    journal.append(result)
                    progress.update(len(result.rows.valid))
            finally:
                release_buffer()
        identity = _publish(partial, plan, journal, aside)
    seconds = time.monotonic() - began
    append_log(
        request.store,
        {
            "split": plan.attributes.split,
            "content_id": identity,
            "source": str(request.source.resolve()),
            "named_paths": plan.rows.named_paths,
            "host": platform.node(),
            "jobs": workers.described() if workers.on_cluster else request.workers.count,
            "memory_bound": bound,
            "images": len(plan.rows) - already,
            "seconds": round(seconds, 3),
            "ignored": plan.rows.ignored,
        },
    )


def _tasks(
    request: Request,
    plan: SplitPlan,
    partial: PartialSplit,
    aside: Path,
    finished: set[int],
    compiled: bool,
) -> Iterator[ShardTask]:
    path = request.workers.path
    for shard in range(plan.shards):
        if shard not in finished:
            rows = plan.shard_rows(shard)
            yield ShardTask(
                shard=shard,
                first_row=rows.start,
                files=ImageFiles.of_rows(path(request.source), plan, rows),
                encoding=plan.attributes.encoding,
                compiled=compiled,
                level=plan.attributes.level,
                split_folder=path(partial.split_folder),
                aside=path(aside),
            )


def _sample(source: Path, plan: SplitPlan) -> tuple[Path, ...]:
    """Return the source and one of its files that is there, for workers to look for."""
    paths = plan.rows.files.paths
    files = (source / os.fsdecode(paths.bytes_at(row)) for row in range(min(len(paths), _LOOKS)))
    return (source, *islice((file for file in files if file.exists()), 1))


def _publish(
    partial: PartialSplit, plan: SplitPlan, journal: Journal[ShardResult], aside: Path
) -> str:
    results = [journal.finished[shard] for shard in range(plan.shards)]
    rows = RowResults.concatenate([result.rows for result in results])
    moments = sum((result.moments for result in results), Moments.zero(CHANNELS))
    defects = {row: text for result in results for row, text in result.defects.items()}
    notes = {row: text for result in results for row, text in result.notes.items()}
    arrays = {
        **{field.name: getattr(rows, field.name) for field in dataclasses.fields(rows)},
        "step": plan.attributes.stored_steps,
        "moment_total": moments.total,
        "moment_total_squares": moments.total_squares,
        "label": plan.rows.labels,
        "listing_index": plan.listing_index,
        **_flat("key", plan.rows.keys),
        **_flat("defect", _texts(defects, len(plan.rows))),
        **_flat("note", _texts(notes, len(plan.rows))),
    }
    specs: dict[str, ArraySpec] = dict(IMAGE_ARRAYS)
    if plan.rows.objects is not None:
        specs |= OBJECT_ARRAYS
        arrays |= _object_arrays(plan)
    shards = {
        shard_path(partial.split_folder, result.shard)
        .relative_to(partial.split_folder)
        .as_posix(): FileEntry(result.file_bytes, result.sha256)
        for result in results
    }
    attributes = dataclasses.replace(plan.attributes, rejected=len(defects))
    return partial.publish(attributes, arrays, specs, shards, aside)


def _object_arrays(plan: SplitPlan) -> dict[str, np.ndarray]:
    objects, sizes = plan.rows.objects, plan.rows.stated_sizes
    if objects is None or sizes is None or plan.rows.image_ids is None:
        raise SourceError(f"the listing of {plan.attributes.split} has objects but no image sizes")
    return {
        "image_id": plan.rows.image_ids,
        "object_offset": objects.offsets,
        "object_label": objects.label,
        "iscrowd": objects.iscrowd,
        "annotation_id": objects.annotation_id,
        **_flat("annotation", objects.annotation),
        **stored_objects(objects, sizes, plan.attributes.encoding.geometry),
    }


def _texts(texts: Mapping[int, str], rows: int) -> Ragged:
    return Ragged.of_bytes(texts.get(row, "").encode("utf-8", "replace") for row in range(rows))


def _flat(name: str, ragged: Ragged) -> dict[str, np.ndarray]:
    return {name: ragged.values, f"{name}_offset": ragged.offsets}
