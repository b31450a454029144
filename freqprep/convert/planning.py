"""Which splits a conversion makes, with which classes, from which rows. Writes nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from freqprep import sources
from freqprep.convert.request import Request
from freqprep.errors import SourceError, SplitExistsError, UsageError
from freqprep.progress import say
from freqprep.sources import Classes, Discovered, Listing, named_paths, normalise_split
from freqprep.store.layout import PARTIAL_PREFIX
from freqprep.store.plan import SplitPlan, load_attributes, load_named_paths, make_plan
from freqprep.store.reader import open_store
from freqprep.store.schema import SplitAttributes, library_versions
from freqprep.store.writer import PartialSplit, store_exists


def discover(request: Request) -> Discovered:
    """List the source, and say how it was understood.

    Raises
    ------
    SourceError
        It is none, a split is empty, or its classes are in doubt and not listed by the user.
    UsageError
        A split cannot have its name.
    """
    if not request.source.is_dir():
        remedy = "name the data set's top folder"
        if request.source.suffix == ".json":
            remedy += ", and the file with --annotations"
        raise SourceError(f"{request.source} is not a folder", remedy)
    if request.resume:
        _refuse_other_paths(request)
    found = sources.discover(request.kind, request.source, request.split, request.named)
    for note in found.notes:
        say(note)
    for doubt in found.doubts:
        if not doubt.classes <= set(request.classes or ()):
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


def _refuse_other_paths(request: Request) -> None:
    """Refuse to resume splits that were begun with other annotations or images."""
    now = named_paths(request.source, request.annotations, request.images)
    for folder in sorted(request.store.glob(f"{PARTIAL_PREFIX}*")):
        name = folder.name[len(PARTIAL_PREFIX) :]
        asked = request.split is None or normalise_split(request.split) == name
        if not asked or not (folder / "plan.json").is_file():
            continue
        then = load_named_paths(folder)
        if now != then:
            raise UsageError(
                f"the split {name} was begun with {_as_options(then)}, now {_as_options(now)}",
                "give the same options (with --split where splits differ in them), or start over"
                " with --overwrite",
            )


def _as_options(paths: Mapping[str, str]) -> str:
    named = " ".join(f"--{option} {path}" for option, path in paths.items())
    return named or "no --annotations and no --images"


def partial_splits(request: Request, found: Discovered) -> dict[str, PartialSplit]:
    """The splits to make; on resume also those of the plans that the source no longer lists."""
    names = set(found.listings)
    if request.resume and request.split is None:
        folders = request.store.glob(f"{PARTIAL_PREFIX}*")
        names |= {f.name[len(PARTIAL_PREFIX) :] for f in folders if (f / "plan.json").is_file()}
    return {name: PartialSplit(request.store, name) for name in sorted(names)}


def pending(request: Request, partials: Mapping[str, PartialSplit]) -> dict[str, PartialSplit]:
    """Those of the splits that are not finished; on resume a finished one stays as it is."""
    return {
        name: partial
        for name, partial in partials.items()
        if not (request.resume and partial.published.is_dir() and not partial.begun())
    }


def refuse_existing(request: Request, partials: Mapping[str, PartialSplit]) -> None:
    """Refuse to touch splits that are there, unless it was asked for."""
    if request.overwrite:
        return
    finished = [name for name, partial in partials.items() if partial.published.exists()]
    begun = [name for name, partial in partials.items() if partial.exists()]
    if request.retry_rejected:
        if missing := sorted(set(partials) - set(finished)):
            raise UsageError(
                f"{request.store} has no finished split {', '.join(missing)} to retry",
                "convert it first, or name one with --split",
            )
        return
    if request.resume:
        return
    if finished:
        raise SplitExistsError(
            f"{request.store} already has the split {', '.join(finished)}",
            "use --overwrite to replace it, --resume to finish the others, or another store",
        )
    if begun:
        raise SplitExistsError(
            f"{request.store} has an unfinished split {', '.join(begun)}",
            "use --resume to finish it, or --overwrite to start over",
        )


def class_list(request: Request, found: Discovered, replaced: set[str]) -> Classes:
    """The store's classes: fixed by its first split, else given, else those found."""
    fixed = _stored_classes(request, replaced)
    if request.classes is not None:
        names = dict(zip(found.classes.ids, found.classes.names, strict=True))
        given = Classes(request.classes, tuple(names.get(i, str(i)) for i in request.classes))
        if fixed is not None and fixed.ids != given.ids:
            raise UsageError(
                f"--classes names {len(given.ids)} classes, but {request.store} is fixed to "
                f"{len(fixed.ids)} others",
                "leave --classes out, or convert into a new store",
            )
        return given
    return fixed or found.classes


def _stored_classes(request: Request, replaced: set[str]) -> Classes | None:
    """Classes of a split that stays, finished or not."""
    known = None
    if store_exists(request.store):
        store = open_store(request.store)
        known = next((store[name].attributes for name in store if name not in replaced), None)
    for folder in sorted(request.store.glob(f"{PARTIAL_PREFIX}*")):
        stays = request.resume or folder.name[len(PARTIAL_PREFIX) :] not in replaced
        if known is None and stays and (folder / "plan.json").is_file():
            known = load_attributes(folder)
    return None if known is None else Classes(known.class_ids, known.class_names)


def plan_split(request: Request, listing: Listing, found: Classes, classes: Classes) -> SplitPlan:
    """SplitPlan one split, its labels being indices into ``classes``."""
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
    )
    return make_plan(_relabel(listing, found, classes), attributes)


def _relabel(listing: Listing, found: Classes, classes: Classes) -> Listing:
    place = {identity: label for label, identity in enumerate(classes.ids)}
    lookup = np.array([place.get(identity, -2) for identity in found.ids] + [-1], np.int64)

    def relabel(labels: np.ndarray) -> np.ndarray:
        new = lookup[labels]
        if (new == -2).any():
            unknown = sorted({str(found.ids[label]) for label in labels[new == -2]})
            raise SourceError(
                f"split {listing.source_name} has {len(unknown)} classes that the store does "
                f"not know: {', '.join(unknown[:10])}",
                "convert all splits together into a new store, or list all classes in --classes",
            )
        return new

    objects = listing.objects
    if objects is not None:
        objects = dataclasses.replace(objects, label=relabel(objects.label))
    return dataclasses.replace(listing, labels=relabel(listing.labels), objects=objects)


def check_same(request: Request, split: SplitAttributes, finished: bool) -> None:
    """Refuse to resume a split that was made with other options than those asked for.

    Library versions matter only where work is left to do.
    """
    asked = (request.kind, request.encoding, request.seed, library_versions())
    stored = (split.source_kind, split.encoding, split.seed, split.versions)
    names = ("source kind", "geometry or precision", "seed", "library versions")
    for name, now, then in zip(names, asked, stored, strict=True):
        if now != then and not (finished and name == "library versions"):
            raise UsageError(
                f"the split {split.split} was begun with another {name}: {then}, now {now}",
                "give the same options and libraries, or start over with --overwrite",
            )
