"""Another try at the rejected images of a finished split.

The split is rebuilt beside itself from the same rows: shards without rejects are linked, the
others are converted again. The result equals a conversion of the repaired source byte for byte, if
images of the shards that are linked, of which lengths are compared, are the same.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path

import numpy as np

from freqprep.convert.listed_again import changed_rows, described, other_images
from freqprep.convert.shard_task import ImageFiles
from freqprep.convert.stored_results import StoredResults
from freqprep.convert.unpacking import unpacked
from freqprep.convert.verify_source import difference
from freqprep.convert.window_tasks import by_window
from freqprep.errors import SourceChangedError, UsageError
from freqprep.images.encoder import Encoder
from freqprep.progress import Progress
from freqprep.sources import Listing
from freqprep.spectrum.channels import CHANNELS
from freqprep.spectrum.moments import Moments
from freqprep.storage.disk import sync_file, sync_folder
from freqprep.storage.paths import AnyPath
from freqprep.store.journal import ShardResult
from freqprep.store.layout import shard_path
from freqprep.store.plan import SplitPlan, make_plan, save_plan
from freqprep.store.reader import Split
from freqprep.store.schema import ROWS_PER_SHARD
from freqprep.store.verify import shard_moments
from freqprep.store.versions import library_versions
from freqprep.store.writer import PartialSplit, sync_shard_folders
from freqprep.text.quantities import plural
from freqprep.text.terminal import quoted

_REMEDY = "restore the source, or convert again with --overwrite"


def prepare_retry(partial: PartialSplit, split: Split, listing: Listing, root: AnyPath) -> None:
    """Start an unfinished split with a finished one's plan and its shards without rejects.

    Parameters
    ----------
    partial : PartialSplit
    split : Split
        Finished split.
    listing : Listing
        Listing of the source as it is now; labels are indices into the split's classes.
    root : Path or ObjectPath
        Folder of the source's files.

    Raises
    ------
    SourceChangedError
        The source has other images, labels or annotations than the split was made from.
    UsageError
        The split was made with other library versions.
    """
    plan = _plan_again(split, listing)
    bad = {row // ROWS_PER_SHARD for row in np.flatnonzero(~split.valid).tolist()}
    _refuse_changed(split, plan, root, bad)
    partial.discard()
    carried = partial.carry_over()
    with partial.journal_of(ShardResult, len(split)) as journal:
        for result in _carried(split, plan, bad):
            _link(shard_path(partial.published, result.shard), shard_path(carried, result.shard))
            journal.append(result)
    save_plan(plan, partial.folder)
    partial.start_with(carried)


def _refuse_changed(split: Split, plan: SplitPlan, root: AnyPath, bad: set[int]) -> None:
    """Refuse a source in which a valid image has changed.

    Those of shards to be rebuilt are encoded again, the others have the length they had. Of tables
    only the images themselves tell their lengths: all are unpacked, a window at a time.
    """
    encoder = Encoder(split.attributes.encoding)
    shards = sorted(bad) if plan.listing.image_column is None else range(plan.shards)
    with Progress("check what is kept", len(shards), unit="shard") as progress:
        for group in by_window(shards):
            rows = {shard: _valid_rows(split, plan, shard) for shard in group}
            every = np.concatenate(list(rows.values()))
            with unpacked(ImageFiles.of_rows(root, plan, every)) as files:
                _refuse_lengths(split, every, files.table.length)
                first = 0
                for shard, mine in rows.items():
                    if shard in bad:
                        part = files.take(np.arange(first, first + len(mine)))
                        _refuse_codes(split, mine, part, encoder)
                    first += len(mine)
                    progress.update(1)


def _valid_rows(split: Split, plan: SplitPlan, shard: int) -> np.ndarray:
    rows = np.array(plan.shard_rows(shard), np.int64)
    valid: np.ndarray = rows[split.valid[rows]]
    return valid


def _refuse_lengths(split: Split, rows: np.ndarray, lengths: np.ndarray) -> None:
    other = rows[lengths != split.array("source_bytes")[rows]]
    if len(other):
        raise SourceChangedError(
            f"{quoted(split.keys[int(other[0])])} has another length than when it was converted",
            _REMEDY,
        )


def _refuse_codes(split: Split, rows: np.ndarray, files: ImageFiles, encoder: Encoder) -> None:
    stored = split.read_codes(rows)  # all at once: each chunk is decoded once
    for row, codes, image in zip(rows.tolist(), stored, files.images(), strict=True):
        if what := difference(split, row, codes, image, encoder):
            raise SourceChangedError(
                f"{quoted(split.keys[row])} is no longer the image that was converted: {what}",
                "restore it, or convert again with --overwrite",
            )


def _plan_again(split: Split, listing: Listing) -> SplitPlan:
    attributes = dataclasses.replace(split.attributes, rejected=0)
    if attributes.versions != library_versions():
        raise UsageError(
            f"{split.path} was converted with other library versions: {attributes.versions}",
            "install those, or convert again with --overwrite",
        )
    if len(listing) != len(split):
        raise SourceChangedError(
            f"the source lists {plural(len(listing), 'image')}, the split was made from"
            f" {len(split)}",
            _REMEDY,
        )
    plan = make_plan(listing, attributes)
    if what := other_images(plan, split):
        raise SourceChangedError(f"the source lists {what} than the split holds", _REMEDY)
    for what, changed in changed_rows(plan, split).items():
        if len(changed):
            raise SourceChangedError(described(split, plan, what, changed), _REMEDY)
    if listing.image_column is None:  # those of tables are not known yet
        valid = np.flatnonzero(split.valid)
        _refuse_lengths(split, valid, listing.files.take(plan.order.take(valid)).length)
    return plan


def _carried(split: Split, plan: SplitPlan, bad: set[int]) -> list[ShardResult]:
    """Return the results of the shards kept; the first one has the moments of all of them."""
    moments = split.stored_moments
    for shard in sorted(bad):
        moments -= shard_moments(split, shard)
    stored, none = StoredResults(split, moments), Moments.zero(CHANNELS)
    kept = sorted(set(range(plan.shards)) - bad)
    sums = [moments, *[none] * len(kept)]
    return [dataclasses.replace(stored[s], moments=m) for s, m in zip(kept, sums, strict=False)]


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # the file system has no links
        shutil.copyfile(source, target)
        sync_file(target)
    sync_folder(target.parent)
    sync_shard_folders(target)
