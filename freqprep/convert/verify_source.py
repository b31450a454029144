"""Comparison of a store with its source: a sample of images is encoded again."""

from __future__ import annotations

import numpy as np

from freqprep.convert.listed_again import (
    changed_rows,
    described,
    other_images,
    refuse_other_names,
    relabelled,
)
from freqprep.convert.shard_task import ImageFiles, SourceImage
from freqprep.convert.unpacking import unpacked
from freqprep.errors import ImageDefect, SourceError, UsageError
from freqprep.images.encoder import Encoder
from freqprep.progress import Progress
from freqprep.sources import Classes, SourceOptions, discover, root_of
from freqprep.sources.options import OPTIONS, as_flag
from freqprep.spectrum.channels import CHANNELS, STORED_POSITION
from freqprep.spectrum.coding import worth_compiling
from freqprep.storage.paths import AnyPath
from freqprep.store.log import log_path, options_of
from freqprep.store.plan import SplitPlan, evenly_spread, make_plan
from freqprep.store.reader import Split, open_store
from freqprep.store.verify import Problem
from freqprep.store.versions import library_versions
from freqprep.text.quantities import plural
from freqprep.text.terminal import quoted

_NAME_IT = "name the folder that the store was made from"


def compare_with_source(
    store: AnyPath, source: AnyPath, sample: int, split: str | None = None
) -> tuple[int, list[Problem]]:
    """Compare all labels and annotations, and the codes of a sample of each split's images.

    Parameters
    ----------
    store : Path or ObjectPath
    source : Path or ObjectPath
    sample : int
        Number of images of each split, spread over its rows. Rejected images must be rejected
        again.
    split : str, optional
        Compare only this split.

    Returns
    -------
    compared : int
        Number of images compared.
    problems : list of Problem
        Images that differ, and one for all labels of a split that do, and for all annotations.

    Raises
    ------
    SourceError
        The source does not list the images that the store was made from.
    UsageError
        ``sample`` is less than 1.
    """
    if sample < 1:
        raise UsageError(f"--sample must be at least 1, got {sample}")
    compared = 0
    problems: list[Problem] = []
    splits = open_store(store).chosen(split)
    for name, opened in splits.items():
        plan = plan_again(opened, source, store)
        for what, changed in changed_rows(plan, opened).items():
            if len(changed):
                hint = _missing_log(opened, store)
                problems.append(Problem(name, described(opened, plan, what, changed) + hint))
        rows = evenly_spread(len(opened), sample)
        tables = ImageFiles.of_rows(root_of(source), plan, rows)
        encoder = Encoder(opened.attributes.encoding, worth_compiling(len(rows)))
        with (
            unpacked(tables, f"read {name}") as files,
            Progress(f"compare {name}", len(rows)) as progress,
        ):
            for row, image in zip(rows.tolist(), files.images(), strict=True):
                stored = opened.read_codes([row])[0] if opened.valid[row] else None
                what = difference(opened, row, stored, image, encoder)
                where = f"{name} row {row} ({quoted(opened.keys[row])})"
                problems += [Problem(where, what)] if what else []
                progress.update(1)
        compared += len(rows)
    versions = library_versions()
    if problems and any(s.attributes.versions != versions for s in splits.values()):
        problems.append(
            Problem("", f"the store was made with other library versions: now {versions}")
        )
    return compared, problems


def plan_again(split: Split, source: AnyPath, store: AnyPath) -> SplitPlan:
    """Return the plan of a finished split's rows, from the source as it is now.

    Parameters
    ----------
    split : Split
    source : Path or ObjectPath
    store : Path or ObjectPath
        The store: the log beside it has the paths that the user named.

    Returns
    -------
    SplitPlan
        Labels are those of the source now, as indices into the split's classes.

    Raises
    ------
    SourceError
        The source does not list the images that the split was made from.
    """
    plan = listed_plan(split, source, store)
    if what := other_images(plan, split):
        raise SourceError(
            f"{source} lists {what} of {split.attributes.split} than the store has"
            f"{_missing_log(split, store)}",
            _remedy(split, store),
        )
    return plan


def listed_plan(split: Split, source: AnyPath, store: AnyPath) -> SplitPlan:
    """Return what `plan_again` does, from as many images, whichever they are.

    No array of the split is read.
    """
    attributes = split.attributes
    options = SourceOptions.of_texts(root_of(source), options_of(store, split))
    hint, remedy = _missing_log(split, store), _remedy(split, store)
    try:
        found = discover(attributes.source_kind, source, attributes.split, options)
    except SourceError as error:
        if not hint:
            raise
        raise SourceError(f"{error.message}{hint}", remedy) from None
    listing = found.listings.get(attributes.split)
    if listing is None or len(listing) != len(split):
        count = 0 if listing is None else len(listing)
        raise SourceError(
            f"{source} lists {plural(count, 'image')} of {attributes.split}, the store has"
            f" {len(split)}{hint}",
            remedy,
        )
    stored = Classes(attributes.class_ids, attributes.class_names)
    refuse_other_names(stored, found.classes, split.path)
    return make_plan(relabelled(listing, found.classes, stored.ids), attributes)


def _remedy(split: Split, store: AnyPath) -> str:
    return "put the log back beside the store" if _missing_log(split, store) else _NAME_IT


def _missing_log(split: Split, store: AnyPath) -> str:
    """Return a note that options of the source may be lost; empty if they are known, or none."""
    options, path = OPTIONS.get(split.attributes.source_kind, ()), log_path(store)
    if not options or options_of(store, split) or path.is_file():
        return ""
    flags = " and ".join(map(as_flag, options))
    return f" (the log with the {flags} of the conversion, {path}, does not exist)"


def difference(
    split: Split,
    row: int,
    stored: np.ndarray | None,
    image: SourceImage,
    encoder: Encoder,
) -> str:
    """Describe how an image, encoded again, differs from its stored row.

    Parameters
    ----------
    split : Split
    row : int
    stored : ndarray of int8 or int16, shape (channels, rows, columns), or None
        Codes of the channels stored, in raster order; None if the row was rejected.
    image : SourceImage
    encoder : Encoder

    Returns
    -------
    str
        Empty if it does not differ.
    """
    encoding = split.attributes.encoding
    again = np.zeros((CHANNELS, *encoding.geometry.grid), encoding.dtype)
    try:
        image.encode(encoder, again)
    except ImageDefect as defect:
        return "" if stored is None else f"is now rejected: {defect}"
    if stored is None:
        return f"was rejected ({split.defect(row)}) but now converts; try --retry-rejected"
    positions = [STORED_POSITION[index] for index in sorted(split.attributes.channels)]
    different = int((stored != again[positions]).sum())
    return f"{different} of its codes differ from the source's" if different else ""
