"""Comparison of a store with its source: a sample of images is encoded again."""

from __future__ import annotations

import numpy as np

from freqprep.convert.shard_task import ImageFiles, SourceImage
from freqprep.convert.unpacking import unpacked
from freqprep.errors import ImageDefect, SourceError, UsageError
from freqprep.images.encoder import Encoder
from freqprep.progress import Progress
from freqprep.ragged import Ragged
from freqprep.sources import SourceOptions, discover, root_of
from freqprep.spectrum.channels import CHANNELS, STORED_POSITION
from freqprep.spectrum.coding import worth_compiling
from freqprep.storage.paths import AnyPath
from freqprep.store.log import log_path, options_of
from freqprep.store.plan import SplitPlan, evenly_spread, make_plan
from freqprep.store.reader import Split, open_store
from freqprep.store.verify import Problem
from freqprep.store.versions import library_versions


def compare_with_source(
    store: AnyPath, source: AnyPath, sample: int, split: str | None = None
) -> tuple[int, list[Problem]]:
    """Encode a sample of each split's images again and compare the codes.

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
        Images that differ.

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
                where = f"{name} row {row} ({opened.keys[row]!r})"
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

    Raises
    ------
    SourceError
        The source does not list the images that the split was made from.
    """
    attributes, given = split.attributes, options_of(store, split)
    options = SourceOptions.of_texts(root_of(source), given)
    try:
        found = discover(attributes.source_kind, source, attributes.split, options)
    except SourceError as error:
        if attributes.source_kind != "coco" or given or log_path(store).is_file():
            raise
        raise SourceError(
            f"{error.message} (the log with the --annotations and --images of the conversion,"
            f" {log_path(store)}, does not exist)",
            "put the log back beside the store",
        ) from None
    listing = found.listings.get(attributes.split)
    if listing is None or len(listing) != len(split):
        count = 0 if listing is None else len(listing)
        raise SourceError(
            f"{source} lists {count} images of {attributes.split}, the store has {len(split)}",
            "name the folder that the store was made from",
        )
    plan = make_plan(listing, attributes)
    if not same_rows(plan.rows.keys, split.ragged("key")):
        raise SourceError(
            f"{source} lists other images of {attributes.split} than the store has",
            "name the folder that the store was made from",
        )
    return plan


def same_rows(one: Ragged, other: Ragged) -> bool:
    """Return whether two ragged arrays have the same rows."""
    same_lengths = np.array_equal(one.offsets, other.offsets)
    return same_lengths and np.array_equal(one.values, other.values)


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
