"""Another try at the rejected images of a finished split.

The split is rebuilt beside itself from the same rows: shards without rejects are linked, the
others are converted again. The result equals a conversion of the repaired source byte for byte.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path

import numpy as np

from freqprep.convert.shard_task import ImageFiles
from freqprep.convert.unpacking import unpacked
from freqprep.convert.verify_source import difference, same_rows
from freqprep.errors import SourceChangedError, UsageError
from freqprep.images.encoder import Encoder
from freqprep.progress import Progress
from freqprep.sources import Listing
from freqprep.sources.listing import UNKNOWN
from freqprep.spectrum.channels import CHANNELS
from freqprep.spectrum.moments import Moments
from freqprep.storage.disk import FileEntry
from freqprep.storage.paths import AnyPath
from freqprep.store.journal import RowResults, ShardResult
from freqprep.store.layout import shard_path
from freqprep.store.plan import SplitPlan, make_plan, save_plan
from freqprep.store.reader import Split
from freqprep.store.schema import ROWS_PER_SHARD
from freqprep.store.verify import shard_moments
from freqprep.store.versions import library_versions
from freqprep.store.writer import PartialSplit


def prepare_retry(partial: PartialSplit, split: Split, listing: Listing, root: AnyPath) -> None:
    """Start an unfinished split with a finished one's plan and its shards without rejects.

    Parameters
    ----------
    partial : PartialSplit
    split : Split
        Finished split.
    listing : Listing
        Listing of the source as it is now.
    root : Path or ObjectPath
        Folder of the source's files.

    Raises
    ------
    SourceChangedError
        The source has other images than those that the split was made from.
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


def _refuse_changed(split: Split, plan: SplitPlan, root: AnyPath, shards: set[int]) -> None:
    """Refuse a source in which a valid image of a shard to be rebuilt has changed."""
    encoder = Encoder(split.attributes.encoding)
    with Progress("check what is kept", len(shards), unit="shard") as progress:
        for shard in sorted(shards):
            rows = np.array([row for row in plan.shard_rows(shard) if split.valid[row]], np.int64)
            stored = split.read_codes(rows)  # all at once: each chunk is decoded once
            with unpacked(ImageFiles.of_rows(root, plan, rows)) as files:
                images = zip(rows.tolist(), stored, files.images(), strict=True)
                for row, codes, image in images:
                    if what := difference(split, row, codes, image, encoder):
                        raise SourceChangedError(
                            f"{split.keys[row]!r} is no longer the image that was converted:"
                            f" {what}",
                            "restore it, or convert again with --overwrite",
                        )
            progress.update(1)


def _plan_again(split: Split, listing: Listing) -> SplitPlan:
    attributes = dataclasses.replace(split.attributes, rejected=0)
    if attributes.versions != library_versions():
        raise UsageError(
            f"{split.path} was converted with other library versions: {attributes.versions}",
            "install those, or convert again with --overwrite",
        )
    remedy = "restore the source, or convert again with --overwrite"
    if len(listing) != len(split):
        raise SourceChangedError(
            f"the source lists {len(listing)} images, the split was made from {len(split)}", remedy
        )
    plan = make_plan(listing, attributes)
    if not same_rows(plan.rows.keys, split.ragged("key")):
        raise SourceChangedError("the source lists other images than the split holds", remedy)
    if not _same_annotations(plan.rows, split):
        raise SourceChangedError("the source has other annotations than the split holds", remedy)
    length = plan.rows.files.length
    changed = split.valid & (length != UNKNOWN) & (length != split.array("source_bytes"))
    if changed.any():
        key = split.keys[int(np.flatnonzero(changed)[0])]
        raise SourceChangedError(f"{key!r} has another length than when it was converted", remedy)
    # Labels are those of the split: its classes were fixed by the first run.
    return dataclasses.replace(plan, rows=_stored_labels(plan.rows, split))


def _same_annotations(rows: Listing, split: Split) -> bool:
    if rows.objects is None or rows.image_ids is None:
        return True
    return (
        np.array_equal(rows.image_ids, split.array("image_id"))
        and np.array_equal(rows.objects.offsets, split.array("object_offset"))
        and same_rows(rows.objects.annotation, split.ragged("annotation"))
    )


def _stored_labels(rows: Listing, split: Split) -> Listing:
    objects = rows.objects
    if objects is not None:
        objects = dataclasses.replace(objects, label=split.array("object_label"))
    return dataclasses.replace(rows, labels=split.labels, objects=objects)


def _carried(split: Split, plan: SplitPlan, bad: set[int]) -> list[ShardResult]:
    """Return the results of the shards kept; the first one has the moments of all of them."""
    rows = RowResults(**{f.name: split.array(f.name) for f in dataclasses.fields(RowResults)})
    notes = split.ragged("note")
    moments = split.stored_moments
    for shard in sorted(bad):
        moments -= shard_moments(split, shard)
    results: list[ShardResult] = []
    for shard in sorted(set(range(plan.shards)) - bad):
        mine = plan.shard_rows(shard)
        entry: FileEntry = split.shard_table.entry(shard)
        texts = {row: notes.bytes_at(row).decode("utf-8", "replace") for row in mine}
        results.append(
            ShardResult(
                shard=shard,
                sha256=entry.sha256,
                file_bytes=entry.file_bytes,
                rows=rows.rows(mine),
                moments=moments if not results else Moments.zero(CHANNELS),
                notes={row: text for row, text in texts.items() if text},
            )
        )
    return results


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # the file system has no links
        shutil.copyfile(source, target)
