"""Conversion: list the source, plan, convert the shards in workers, publish.

``convert`` does all that ``freqprep convert`` does; `freqprep.convert.estimate` is its
``--dry-run``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import platform
import time
from collections.abc import Container, Iterable, Iterator, Mapping

from freqprep.convert.listed_again import relabelled
from freqprep.convert.planning import (
    check_same,
    class_list,
    discover,
    files_now,
    partial_splits,
    plan_split,
    refuse_existing,
)
from freqprep.convert.publication import publish_results
from freqprep.convert.request import Request
from freqprep.convert.retry_rejected import prepare_retry
from freqprep.convert.shard_runs import images_of, make_shards
from freqprep.progress import say
from freqprep.sources import Discovered
from freqprep.storage.disk import full_disk_named
from freqprep.storage.paths import absolute, local_part
from freqprep.store.existing import pending
from freqprep.store.journal import ShardResult
from freqprep.store.lock import store_lock
from freqprep.store.log import append_log
from freqprep.store.plan import load_attributes, load_plan, save_plan
from freqprep.store.plan_files import save_files
from freqprep.store.reader import open_store
from freqprep.store.rejects import write_rejects
from freqprep.store.root import open_or_create_root, store_exists
from freqprep.store.summary import SplitSummary, summarize
from freqprep.store.writer import PartialSplit, UnfinishedSplit
from freqprep.text.terminal import on_one_line

__all__ = ["Request", "convert"]


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
    with planned(request) as (partials, todo, found):
        for partial in todo.values():
            convert_split(request, partial, found if request.resume else None)
        return finished(request, partials, todo)


@contextlib.contextmanager
def planned(
    request: Request,
) -> Iterator[tuple[Mapping[str, UnfinishedSplit], Mapping[str, UnfinishedSplit], Discovered]]:
    """Plan the requested splits, or load their plans, and hold the store's lock.

    Parameters
    ----------
    request : Request

    Yields
    ------
    every : mapping of str to UnfinishedSplit
        The requested splits by name.
    todo : mapping of str to UnfinishedSplit
        Those that are not finished.
    found : Discovered
        What the source lists.
    """
    say(f"listing {on_one_line(str(request.source))}")
    found = discover(request)
    with store_lock(request.store) as confirm, full_disk_named(local_part(request.store)):
        store_exists(request.store)  # refuses anything else at this path
        partials = partial_splits(request, found, confirm)
        refuse_existing(request, partials)  # before anything of a run elsewhere is removed
        for partial in partials.values():
            partial.tidy()
        todo = pending(partials, request.resume)
        _prepare(request, partials, todo, found)
        yield partials, todo, found


def finished(
    request: Request, names: Iterable[str], made: Container[str]
) -> dict[str, SplitSummary]:
    """Return the summaries of finished splits, of which some were made by `convert_split` now.

    The others' lists of rejects are written again: a kill after the publication leaves none.
    """
    store = open_store(request.store)
    for name in names:
        if name not in made:
            write_rejects(request.store, store[name])
    return {name: summarize(store[name]) for name in names}


def _prepare(
    request: Request,
    partials: Mapping[str, UnfinishedSplit],
    todo: Mapping[str, UnfinishedSplit],
    found: Discovered,
) -> None:
    """Give each split to convert a plan: the saved one on resume, else a new one."""
    if request.retry_rejected:
        store = open_store(request.store)
        for name, partial in todo.items():
            check_same(request, store[name].attributes, finished=True)
            assert isinstance(partial, PartialSplit)  # `Request` refuses buckets
            ids = store[name].attributes.class_ids
            listing = relabelled(found.listings[name], found.classes, ids)
            prepare_retry(partial, store[name], listing, request.root)
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


def convert_split(
    request: Request, partial: UnfinishedSplit, found: Discovered | None = None
) -> None:
    """Make the shards of a split that has a plan, unless they are done, and publish it.

    If the source was listed again, files that were repaired since the plan are read as they are.
    """
    plan = load_plan(partial.folder)
    began = time.monotonic()
    with partial.aside() as aside, partial.journal(ShardResult) as journal:
        if found and (files := files_now(plan, found, journal.finished)):
            save_files(files, partial.folder)
            plan = dataclasses.replace(plan, listing=dataclasses.replace(plan.listing, files=files))
            say(f"{plan.attributes.split}: files have changed that no finished shard is made from")
        already = images_of(plan, journal.finished)
        bound = make_shards(request, plan, partial, journal, aside, range(plan.shards))
    identity = publish_results(partial, plan, journal.finished)
    write_rejects(request.store, open_store(request.store)[plan.attributes.split])
    seconds = time.monotonic() - began
    append_log(
        request.store,
        {
            "split": plan.attributes.split,
            "content_id": identity,
            "source": absolute(request.source),
            "options": plan.listing.options,
            "host": platform.node(),
            "jobs": request.workers.count,
            "engine": request.engine,
            "memory_bound": bound,
            "images": len(plan.listing) - already,
            "seconds": round(seconds, 3),
            "ignored": plan.listing.ignored,
        },
    )
