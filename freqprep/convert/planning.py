"""Plans of a conversion: its splits, their classes and rows. Nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from freqprep import sources
from freqprep.convert.listed_again import NO_SUCH_CLASS, refuse_other_names, relabelled
from freqprep.convert.request import Request
from freqprep.errors import SourceError, UsageError
from freqprep.images.encoding import Encoding
from freqprep.progress import say
from freqprep.sources import Classes, Discovered, FileTable, Listing, TableFiles, normalise_split
from freqprep.sources.options import as_flags
from freqprep.storage.paths import AnyPath
from freqprep.storage.scratch import slices
from freqprep.store import existing
from freqprep.store.layout import partial_folders
from freqprep.store.plan import SplitPlan, load_attributes, load_options, make_plan
from freqprep.store.reader import open_store
from freqprep.store.root import store_exists
from freqprep.store.schema import SplitAttributes
from freqprep.store.versions import library_versions
from freqprep.store.writer import UnfinishedSplit, unfinished_split
from freqprep.text.quantities import plural
from freqprep.text.terminal import on_one_line


def discover(request: Request) -> Discovered:
    """List the source, and report how its layout was understood.

    Parameters
    ----------
    request : Request

    Returns
    -------
    Discovered

    Raises
    ------
    SourceError
        It is not a folder, a split is empty, or classes are in doubt and not listed by the user.
    UsageError
        A split has a name that cannot be used in a store.
    """
    if request.resume:
        _refuse_other_options(request)
    found = sources.discover(request.kind, request.source, request.split, request.options)
    for note in found.notes:
        say(on_one_line(note))
    for doubt in found.doubts:
        if doubt.classes is None or not doubt.classes <= set(request.classes or ()):
            raise SourceError(doubt.message, doubt.remedy)
    for name, listing in found.listings.items():
        if name.startswith(".") or "/" in name or "\\" in name or name in ("", "zarr.json"):
            raise UsageError(f"{name!r} cannot be the name of a split", "choose another --split")
        if not len(listing):
            raise SourceError(
                f"split {listing.source_name} of {request.source} has no images",
                "choose the others one by one with --split",
            )
    return found


def _refuse_other_options(request: Request) -> None:
    """Refuse to resume splits that were started with other options of the source."""
    now = request.options.texts(request.root)
    for name, folder in planned_folders(request).items():
        if request.split is not None and normalise_split(request.split) != name:
            continue
        then = load_options(folder)
        if now != then:
            raise UsageError(
                f"the split {name} was begun with {_as_text(then)}, now {_as_text(now)}",
                "give the same options (with --split if splits differ in them), or start over"
                " with --overwrite",
            )


def planned_folders(request: Request) -> dict[str, AnyPath]:
    """Return the folders of the unfinished splits that have a plan, by name of the split."""
    folders = partial_folders(request.store)
    return {name: folder for name, folder in folders.items() if (folder / "plan.json").is_file()}


def _as_text(options: Mapping[str, str]) -> str:
    return as_flags(options) or "no options of the source"


def partial_splits(
    request: Request, found: Discovered, confirm: Callable[[], None]
) -> dict[str, UnfinishedSplit]:
    """Return the splits to make, by name.

    On resume, these include planned splits that the source no longer lists.

    Parameters
    ----------
    request : Request
    found : Discovered
    confirm : callable
        From `freqprep.store.lock.store_lock`.

    Returns
    -------
    dict of str to PartialSplit or PartialObjectSplit
    """
    names = set(found.listings)
    if request.resume and request.split is None:
        names |= planned_folders(request).keys()
    return {name: unfinished_split(request.store, name, confirm) for name in sorted(names)}


def refuse_existing(request: Request, partials: Mapping[str, UnfinishedSplit]) -> None:
    """Refuse to change existing splits unless the request says so.

    Raises
    ------
    SplitExistsError
        A split exists, finished or not, and the request neither resumes nor overwrites it.
    UsageError
        A split to retry is not finished.
    """
    if request.retry_rejected:
        finished = {name for name, partial in partials.items() if partial.occupied()}
        if missing := sorted(set(partials) - finished):
            raise UsageError(
                f"{request.store} has no finished split {', '.join(missing)} to retry",
                "convert it first, or name one with --split",
            )
        existing.refuse_begun(request.store, partials)
    elif not (request.resume or request.overwrite):
        existing.refuse_existing(request.store, partials)


def class_list(request: Request, found: Discovered, replaced: set[str]) -> Classes:
    """Return the store's classes: those of its first split, else those given, else those found.

    Parameters
    ----------
    request : Request
    found : Discovered
    replaced : set of str
        Splits that will be replaced; their classes do not count.

    Returns
    -------
    Classes

    Raises
    ------
    UsageError
        The classes given are not those that the store has.
    SourceError
        A number stands for another class than in the store.
    """
    fixed = _stored_classes(request, replaced)
    if fixed is not None:
        refuse_other_names(fixed, found.classes, request.store)
    if request.classes is not None:
        names = dict(zip(found.classes.ids, found.classes.names, strict=True))
        # A file of classes has text; categories of objects are numbers, also those of tables.
        numbers = all(isinstance(id_, int) for id_ in names)
        ids = tuple(int(i) if numbers and str(i).isdecimal() else i for i in request.classes)
        given = Classes(ids, tuple(names.get(i, str(i)) for i in ids))
        if fixed is not None and fixed.ids != given.ids:
            raise UsageError(
                f"--classes names {plural(len(given.ids), 'class')}, but {request.store} has "
                f"{len(fixed.ids)} others",
                "leave --classes out, or convert into a new store",
            )
        return given
    return fixed or found.classes


def _stored_classes(request: Request, replaced: set[str]) -> Classes | None:
    """Return the classes of a split that is kept, finished or not."""
    known = None
    if store_exists(request.store):
        store = open_store(request.store)
        known = next((store[name].attributes for name in store if name not in replaced), None)
    for name, folder in planned_folders(request).items():
        if known is None and (request.resume or name not in replaced):
            known = load_attributes(folder)
    return None if known is None else Classes(known.class_ids, known.class_names)


def plan_split(request: Request, listing: Listing, found: Classes, classes: Classes) -> SplitPlan:
    """Plan one split; its labels become indices into ``classes`` instead of ``found``."""
    attributes = SplitAttributes(
        split=listing.name,
        source_split=listing.source_name,
        source_kind=request.kind,
        images=len(listing),
        rejected=0,
        encoding=request.encoding,
        seed=request.seed,
        class_ids=classes.ids,
        class_names=classes.names,
        versions=library_versions(),
        level=request.level,
    )
    return make_plan(_relabel(listing, found, classes), attributes)


def _relabel(listing: Listing, found: Classes, classes: Classes) -> Listing:
    new = relabelled(listing, found, classes.ids)
    unknown = set[int]()
    for rows in slices(len(listing)):
        unknown |= set(listing.labels[rows][new.labels[rows] == NO_SUCH_CLASS].tolist())
    if listing.objects is not None and new.objects is not None:
        unknown |= set(listing.objects.label[new.objects.label == NO_SUCH_CLASS].tolist())
    if unknown:
        ids = sorted(str(found.ids[label]) for label in unknown)
        raise SourceError(
            f"split {listing.source_name} has {plural(len(ids), 'class')} that the store does "
            f"not have: {', '.join(ids[:10])}",
            "convert all splits together into a new store, or list all classes in --classes",
        )
    return new


def files_now(
    plan: SplitPlan, found: Discovered, finished: Iterable[int]
) -> FileTable | TableFiles | None:
    """Return the files of an unfinished split as they are now, if work may go on with them.

    Files that were damaged may have been repaired: all that changed must be there, and have no row
    in a finished shard, and the source must list the same rows. Then the store will be that of the
    repaired source.

    Parameters
    ----------
    plan : SplitPlan
        The saved one.
    found : Discovered
    finished : iterable of int
        Shards that are done.

    Returns
    -------
    FileTable, TableFiles or None
        In the order of the listing; None if they have not changed, or the plan has to stay as it
        is, and what changed is an error once it is read.
    """
    planned, listing = plan.listing, found.listings.get(plan.attributes.split)
    if listing is None or len(listing) != len(planned):
        return None
    now, then = listing.files, planned.files
    if len(now.paths) != len(then.paths) or now.columns.keys() != then.columns.keys():
        return None
    changed = np.zeros(len(now.paths), bool)
    for name, column in now.columns.items():
        changed |= column != then.columns[name]
    if not changed.any() or not now.version[changed].all():
        return None
    begun = set[bytes]()
    for shard in finished:
        mine = then.take(plan.order.take(plan.shard_rows(shard))).paths
        begun.update(map(mine.bytes_at, range(len(mine))))
    if any(then.paths.bytes_at(entry) in begun for entry in np.flatnonzero(changed).tolist()):
        return None
    again = relabelled(listing, found.classes, plan.attributes.class_ids)
    return now if _same_images(again, planned) else None


def _same_images(one: Listing, other: Listing) -> bool:
    """Return whether two listings differ in nothing but where images lie in their files."""
    return one.image_column == other.image_column and all(
        _equal(a, b) if a is not None and b is not None else a is b
        for a, b in zip(_columns(one), _columns(other), strict=True)
    )


def _equal(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and all(
        np.array_equal(one[part], other[part]) for part in slices(len(one))
    )


def _columns(rows: Listing) -> list[np.ndarray | None]:
    objects, texts = rows.objects, [rows.keys, rows.files.paths]
    columns = [rows.labels, rows.image_ids, rows.stated_sizes, rows.runs]
    if objects is not None:
        columns += [objects.offsets, objects.label]
        texts.append(objects.annotation)
    return columns + [part for text in texts for part in (text.values, text.offsets)]


def check_same(request: Request, split: SplitAttributes, finished: bool) -> None:
    """Refuse to resume a split that was made with other options.

    Parameters
    ----------
    request : Request
    split : SplitAttributes
    finished : bool
        Whether no work is left to do; library versions then do not matter.

    Raises
    ------
    UsageError
        Source kind, encoding, seed or library versions differ.
    """
    if split.packed is not None:
        raise UsageError(
            f"the split {split.split} was packed from another store",
            "convert into a store of its own, and pack that",
        )
    asked = (request.kind, *_parts(request.encoding), request.level, request.seed)
    stored = (split.source_kind, *_parts(split.encoding), split.level, split.seed)
    names = ("source kind", *_PARTS, "level", "seed", "library versions")
    pairs = zip(names, (*asked, library_versions()), (*stored, split.versions), strict=True)
    for name, now, then in pairs:
        if now != then and not (finished and name == "library versions"):
            apart = request.encoding.precision.apart_from(split.encoding.precision)
            steps = f" ({apart})" if name == "precision" and apart else ""
            raise UsageError(
                f"the split {split.split} was begun with another {name}: {then}, now {now}{steps}",
                "give the same options and libraries, or start over with --overwrite",
            )


_PARTS = ("geometry", "size", "resize", "orientation", "precision")


def _parts(encoding: Encoding) -> tuple[object, ...]:
    """Return what `_PARTS` names, so that an error shows just what differs."""
    geometry = encoding.geometry
    return (
        geometry.kind,
        geometry.size,
        geometry.resize,
        geometry.orientation,
        encoding.precision,
    )
