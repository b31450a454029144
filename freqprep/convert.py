"""Images to a store: list the source, plan, map the shards over workers, publish.

``convert`` is the whole of ``freqprep convert``; ``freqprep.estimate`` is its ``--dry-run``.
"""

from __future__ import annotations

import dataclasses
import platform
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from freqprep import engines
from freqprep.errors import SourceError, SplitExistsError, UsageError
from freqprep.geometry import Geometry
from freqprep.objects import stored_objects
from freqprep.progress import Progress
from freqprep.ragged import Ragged
from freqprep.reports import append_log, write_rejects
from freqprep.retry import prepare_retry
from freqprep.shard_task import Files, ShardTask, convert_shard
from freqprep.sources import SOURCES, Classes, Discovered, Listing, normalise_split
from freqprep.spectrum.channels import CHANNELS
from freqprep.spectrum.moments import Moments
from freqprep.store.journal import Journal, RowResults
from freqprep.store.layout import PARTIAL_PREFIX, shard_path
from freqprep.store.manifest import FileEntry
from freqprep.store.plan import Plan, load_plan, make_plan, memory_bound, save_plan
from freqprep.store.reader import open_store
from freqprep.store.schema import (
    IMAGE_ARRAYS,
    OBJECT_ARRAYS,
    ArraySpec,
    Encoding,
    SplitAttributes,
    library_versions,
)
from freqprep.store.summary import SplitSummary, summarize
from freqprep.store.writer import Build, open_or_create_root, store_lock

FIT_SIZES = {"coco": 640}
"""Default ``size`` of geometry fit by kind of source; 512 elsewhere."""

DEFAULT_FIT_SIZE, DEFAULT_CROP_SIZE = 512, 448


@dataclass(frozen=True)
class Request:
    """What to convert, and how.

    Attributes
    ----------
    kind : str
        ``imagefolder``, ``imagenet`` or ``coco``.
    source, store : Path
    split : str or None
        Only this split, or the name of a source without splits.
    size, resize : int or None
        See `freqprep.geometry.Geometry`. None: 512 (COCO 640) for fit, 448 for crop with the
        short side at 8/7 of it.
    geometry : {"fit", "crop"}
    precision : {"int8", "int16"}
    orientation : {"apply", "keep"}
        Of images whose annotation states no size.
    jobs : int or None
        Worker processes; None for one a core.
    seed : int
        Of the row permutation.
    classes : tuple of str or int, or None
        Class ids in label order; None takes those found.
    resume, overwrite, retry_rejected : bool
        What to do with a split that is there already.
    """

    kind: str
    source: Path
    store: Path
    split: str | None = None
    size: int | None = None
    resize: int | None = None
    geometry: str = "fit"
    precision: str = "int8"
    orientation: str = "apply"
    jobs: int | None = None
    seed: int = 0
    classes: tuple[str | int, ...] | None = None
    resume: bool = False
    overwrite: bool = False
    retry_rejected: bool = False

    def __post_init__(self) -> None:
        if self.kind not in SOURCES:
            raise UsageError(f"unknown kind of source {self.kind!r}", f"use {', '.join(SOURCES)}")
        if self.resume + self.overwrite + self.retry_rejected > 1:
            raise UsageError(
                "resume, overwrite and retry-rejected exclude one another", "choose one"
            )
        if self.jobs is not None and self.jobs < 1:
            raise UsageError(f"{self.jobs} jobs cannot work", "use 1 or more")

    @property
    def encoding(self) -> Encoding:
        """Geometry and precision with the defaults filled in."""
        size, resize = self.size, self.resize
        if size is None:
            fit_size = FIT_SIZES.get(self.kind, DEFAULT_FIT_SIZE)
            size = fit_size if self.geometry == "fit" else DEFAULT_CROP_SIZE
        if resize is None and self.geometry == "crop":
            resize = round(size * 8 / 7)
        return Encoding(Geometry(self.geometry, size, resize, self.orientation), self.precision)

    @property
    def workers(self) -> int:
        """Worker processes."""
        return self.jobs or engines.default_jobs()


def convert(request: Request) -> dict[str, SplitSummary]:
    """Convert every split asked for.

    Parameters
    ----------
    request : Request

    Returns
    -------
    dict of str to SplitSummary
        The finished splits, by name. Images that could not be converted are counted there; they
        are no error.

    Raises
    ------
    SplitExistsError
        A split is there already, and neither resume, overwrite nor retry was asked for.
    SourceError, StoreError
        See `freqprep.errors`. What was finished until then stays, for ``resume``.
    """
    encoding = request.encoding
    found = discover(request)
    with store_lock(request.store):
        open_or_create_root(request.store)
        builds = {name: Build(request.store, name) for name in found.listings}
        for build in builds.values():
            build.tidy()
        refuse_existing(request, builds)
        unfinished = {
            name: build
            for name, build in builds.items()
            if not (request.resume and build.published.is_dir() and not build.exists())
        }
        classes = class_list(request, found, set(unfinished))
        for name, build in unfinished.items():
            _prepare(request, encoding, build, found, classes, name)
        for build in unfinished.values():
            _convert_split(request, build)
        store = open_store(request.store)
        return {name: summarize(store[name]) for name in builds}


def discover(request: Request) -> Discovered:
    """List the source."""
    if not request.source.is_dir():
        raise SourceError(f"{request.source} is not a folder", "name the data set's top folder")
    split = None if request.split is None else normalise_split(request.split)
    found = SOURCES[request.kind](request.source, split)
    for name in found.listings:
        if name.startswith(".") or "/" in name or "\\" in name or name in ("", "zarr.json"):
            raise UsageError(f"{name!r} cannot be the name of a split", "choose another --split")
    return found


def refuse_existing(request: Request, builds: Mapping[str, Build]) -> None:
    """Refuse to touch splits that are there, unless it was asked for."""
    if request.overwrite:
        return
    finished = [name for name, build in builds.items() if build.published.exists()]
    begun = [name for name, build in builds.items() if build.exists()]
    if request.retry_rejected:
        if missing := sorted(set(builds) - set(finished)):
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
    attributes = [
        split.attributes
        for name, split in open_store(request.store).items()
        if name not in replaced
    ]
    if request.resume:
        for folder in sorted(request.store.glob(f"{PARTIAL_PREFIX}*")):
            if (folder / "plan.json").is_file():
                attributes.append(load_plan(folder).attributes)
    if not attributes:
        return None
    return Classes(attributes[0].class_ids, attributes[0].class_names)


def plan_split(
    request: Request, encoding: Encoding, listing: Listing, found: Classes, classes: Classes
) -> Plan:
    """Plan one split, its labels being indices into ``classes``."""
    attributes = SplitAttributes(
        split=listing.name,
        source_split=listing.source_name,
        source_kind=request.kind,
        images=len(listing),
        rejected=0,
        encoding=encoding,
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


def _prepare(
    request: Request,
    encoding: Encoding,
    build: Build,
    found: Discovered,
    classes: Classes,
    name: str,
) -> None:
    """Leave a build with a plan: the stored one on resume, else a new one."""
    if request.resume and build.exists():
        _check_same(request, encoding, load_plan(build.folder).attributes)
        return
    if request.retry_rejected:
        prepare_retry(build, open_store(request.store)[name], found.listings[name])
        return
    plan = plan_split(request, encoding, found.listings[name], found.classes, classes)
    build.start()
    save_plan(plan, build.folder)


def _check_same(request: Request, encoding: Encoding, planned: SplitAttributes) -> None:
    asked = (request.kind, encoding, request.seed, library_versions())
    stored = (planned.source_kind, planned.encoding, planned.seed, planned.versions)
    names = ("source kind", "geometry or precision", "seed", "library versions")
    for name, now, then in zip(names, asked, stored, strict=True):
        if now != then:
            raise UsageError(
                f"the unfinished split {planned.split} was begun with another {name}: "
                f"{then}, now {now}",
                "resume with the same options and libraries, or start over with --overwrite",
            )


def _convert_split(request: Request, build: Build) -> None:
    plan = load_plan(build.folder)
    began = time.monotonic()
    with Journal(build.journal_path) as journal, build.aside() as aside:
        already = sum(len(plan.shard_rows(shard)) for shard in journal.finished)
        tasks = _tasks(request, plan, build, aside, set(journal.finished))
        jobs = max(1, min(request.workers, plan.shards - len(journal.finished)))
        with Progress(plan.attributes.split, len(plan.rows), already) as progress:
            for result in engines.run(convert_shard, tasks, jobs):
                journal.append(result)
                progress.update(len(result.rows.valid))
        identity = _publish(build, plan, journal, aside)
    seconds = time.monotonic() - began
    append_log(
        request.store,
        {
            "split": plan.attributes.split,
            "content_id": identity,
            "source": str(request.source.resolve()),
            "host": platform.node(),
            "jobs": request.workers,
            "memory_bound": memory_bound(plan.attributes.encoding, jobs, len(plan.rows)),
            "images": len(plan.rows) - already,
            "seconds": round(seconds, 3),
            "ignored": plan.rows.ignored,
        },
    )
    write_rejects(request.store, open_store(request.store)[plan.attributes.split])


def _tasks(
    request: Request, plan: Plan, build: Build, aside: Path, finished: set[int]
) -> Iterator[ShardTask]:
    for shard in range(plan.shards):
        if shard not in finished:
            rows = plan.shard_rows(shard)
            yield ShardTask(
                shard=shard,
                first_row=rows.start,
                files=Files.of_rows(request.source, plan, rows),
                encoding=plan.attributes.encoding,
                split_folder=build.split_folder,
                aside=aside,
            )


def _publish(build: Build, plan: Plan, journal: Journal, aside: Path) -> str:
    results = [journal.finished[shard] for shard in range(plan.shards)]
    rows = RowResults.concatenate([result.rows for result in results])
    moments = sum((result.moments for result in results), Moments.zero(CHANNELS))
    defects = {row: text for result in results for row, text in result.defects.items()}
    notes = {row: text for result in results for row, text in result.notes.items()}
    arrays = {
        **{field.name: getattr(rows, field.name) for field in dataclasses.fields(rows)},
        "step": plan.attributes.encoding.stored_steps,
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
        shard_path(build.split_folder, result.shard)
        .relative_to(build.split_folder)
        .as_posix(): FileEntry(result.file_bytes, result.sha256)
        for result in results
    }
    attributes = dataclasses.replace(plan.attributes, rejected=len(defects))
    return build.publish(attributes, arrays, specs, shards, aside)


def _object_arrays(plan: Plan) -> dict[str, np.ndarray]:
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
