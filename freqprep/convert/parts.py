"""A conversion in parts, for batch queues: plan once, make the parts anywhere, finalize once.

The parts share a file system and nothing else: each loads the plan and writes a journal of its own,
so no lock has to work among machines. A part that is killed is run again: what the journals of its
shards have is not made again, and a shard that is made twice has the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from freqprep.convert.planning import check_same, planned_folders
from freqprep.convert.request import Request
from freqprep.convert.run import convert_split, finished, planned
from freqprep.convert.shard_runs import make_shards
from freqprep.convert.window_tasks import shards_together
from freqprep.errors import StoreError, UsageError, some
from freqprep.sources import normalise_split
from freqprep.storage.disk import full_disk_named
from freqprep.storage.paths import local_part
from freqprep.store.journal import ShardResult
from freqprep.store.lock import store_lock
from freqprep.store.part import Part
from freqprep.store.plan import load_attributes, load_plan, shard_count
from freqprep.store.root import store_exists
from freqprep.store.summary import SplitSummary
from freqprep.store.writer import UnfinishedSplit, unfinished_split
from freqprep.text.quantities import plural


def plan(request: Request) -> dict[str, int]:
    """Plan the requested splits, and convert nothing yet.

    Parameters
    ----------
    request : Request

    Returns
    -------
    dict of str to int
        Number of shards of each split: more parts than these have nothing to do.

    Raises
    ------
    SplitExistsError, SourceError, StoreError, UsageError
        As `freqprep.convert.convert` would raise them.
    """
    _refuse("--plan", resume=request.resume, retry_rejected=request.retry_rejected)
    with planned(request) as (_, todo, _found):
        return {
            name: shard_count(load_attributes(partial.folder).images)
            for name, partial in todo.items()
        }


def convert_part(request: Request, part: Part) -> dict[str, int]:
    """Make the shards of one part of each planned split, those that no run has made yet.

    Parameters
    ----------
    request : Request
        That of the plan.
    part : Part

    Returns
    -------
    dict of str to int
        Number of shards that were made now, by split.

    Raises
    ------
    UsageError
        No split is planned, or the request is not that of the plan.
    SourceError, StoreError
        See `freqprep.errors`. Finished shards are kept: run the part again.
    """
    _refuse_modes(f"--part {part}", request)
    made = {}
    with full_disk_named(local_part(request.store)):
        for name, partial in _planned(request).items():
            with _not_ended_meanwhile(partial):
                made[name] = _make_part(request, partial, part)
    return made


def finalize(request: Request) -> dict[str, SplitSummary]:
    """Publish the planned splits, of which all parts are done.

    Parameters
    ----------
    request : Request
        That of the plan.

    Returns
    -------
    dict of str to SplitSummary
        Finished splits by name.

    Raises
    ------
    StoreError
        Shards are missing; nothing is published.
    UsageError
        No split is planned, or the request is not that of the plan.
    """
    _refuse_modes("--finalize", request)
    with store_lock(request.store) as confirm, full_disk_named(local_part(request.store)):
        partials = _planned(request, confirm)
        begun = {name: partial for name, partial in partials.items() if partial.begun()}
        for name, partial in begun.items():
            check_same(request, load_attributes(partial.folder), finished=False)
            _refuse_missing(name, partial)
        for partial in partials.values():
            partial.tidy()  # removes what is left of one that was published just before a kill
        for partial in begun.values():
            convert_split(request, partial)
        return finished(request, partials, begun)


def _make_part(request: Request, partial: UnfinishedSplit, part: Part) -> int:
    # First of all `aside`: a new plan removes it, and then none of these shards can be written.
    with partial.aside() as aside:
        plan = load_plan(partial.folder)
        check_same(request, plan.attributes, finished=False)
        with partial.part_journal(ShardResult, part) as journal:
            before = len(journal.finished)
            shards = part.of(plan.shards, shards_together(plan, part.parts))
            make_shards(request, plan, partial, journal, aside, shards)
            return len(journal.finished) - before


@contextmanager
def _not_ended_meanwhile(partial: UnfinishedSplit) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        if str(partial.folder) not in str(error):
            raise
        raise StoreError(
            f"the unfinished split in {partial.folder} was finished or resumed by another command",
            "see `freqprep info`; let the parts end before you finalize, resume or overwrite",
        ) from None


def _planned(
    request: Request, confirm: Callable[[], None] = lambda: None
) -> dict[str, UnfinishedSplit]:
    """Return the splits that have a plan and are not finished."""
    store_exists(request.store)  # refuses anything else at this path
    wanted = None if request.split is None else normalise_split(request.split)
    found = {
        name: unfinished_split(request.store, name, confirm)
        for name in planned_folders(request)
        if wanted in (None, name)
    }
    if not found:
        what = "no planned split" if wanted is None else f"no planned split {wanted}"
        raise UsageError(
            f"{request.store} has {what}", "run the same command with --plan first, once"
        )
    return found


def _refuse_missing(name: str, partial: UnfinishedSplit) -> None:
    plan = load_plan(partial.folder)
    shards = plan.shards
    with partial.journal(ShardResult) as journal:
        missing = [shard for shard in range(shards) if shard not in journal.finished]
    if not missing:
        return
    text = f"{name} lacks {len(missing)} of {plural(shards, 'shard')}"
    counts = {part.parts for part in partial.parts_begun()}
    if len(counts) != 1:
        raise StoreError(text, "run all parts, --part 1/N to N/N, and then --finalize")
    (parts,) = counts
    together = shards_together(plan, parts)
    wanting = {Part(1, parts).with_shard(shard, together).number for shard in missing}
    listed = some([str(Part(number, parts)) for number in sorted(wanting)])
    raise StoreError(f"{text}: those of --part {listed}", "run these again, and then --finalize")


def _refuse_modes(option: str, request: Request) -> None:
    _refuse(
        option,
        resume=request.resume,
        overwrite=request.overwrite,
        retry_rejected=request.retry_rejected,
    )


def _refuse(option: str, **given: bool) -> None:
    for name, value in given.items():
        if value:
            other = f"--{name.replace('_', '-')}"
            raise UsageError(
                f"{option} and {other} are mutually exclusive",
                "a part that is run again goes on by itself; --overwrite goes with --plan",
            )
