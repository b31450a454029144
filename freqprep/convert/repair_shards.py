"""Damaged shards made again from the source, to the same bytes."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator, Sequence

import numpy as np

from freqprep import engines
from freqprep.convert.listed_again import other_images
from freqprep.convert.shard_runs import shard_results
from freqprep.convert.stored_results import ROW_FIELDS, StoredResults
from freqprep.convert.window_tasks import unpackers
from freqprep.errors import CorruptStoreError, FreqprepError, SourceChangedError, UsageError, some
from freqprep.progress import Progress, say
from freqprep.spectrum.channels import CHANNELS, NAMES, PUBLISHED, published
from freqprep.storage.disk import FileEntry
from freqprep.storage.paths import AnyPath
from freqprep.store.journal import ShardResult
from freqprep.store.layout import shard_name, shard_path
from freqprep.store.log import source_of
from freqprep.store.plan import SplitPlan, memory_bound
from freqprep.store.reader import Split
from freqprep.store.repair_folder import RepairFolder
from freqprep.store.schema import ROWS_PER_SHARD
from freqprep.store.versions import library_versions
from freqprep.text.quantities import plural
from freqprep.text.terminal import quoted

AGAIN = "restore the split from a copy, or convert again with --overwrite"
_RESTORE = "restore them as they were, or convert again with --overwrite"


def refuse_other_versions(split: Split, store: AnyPath) -> None:
    """Refuse a split of which conversion would make other bytes now, or that was not converted.

    Parameters
    ----------
    split : Split
    store : Path or ObjectPath
        The log beside it has what a packed split was packed from.

    Raises
    ------
    UsageError
        It was packed, or converted with other library versions.
    """
    attributes = split.attributes
    if attributes.packed is not None:
        raise UsageError(
            f"{split.path} was packed from the split {attributes.packed.content_id[:12]}, not from"
            " a source",
            f"pack it again, which gives the same bytes: `{pack_command(split, store)}`",
        )
    if attributes.versions != (now := library_versions()):
        then = attributes.versions
        other = [f"{name} {version}" for name, version in then.items() if now.get(name) != version]
        raise UsageError(
            f"{split.path} was converted with other library versions: {', '.join(other)}",
            "install those and repair again, or convert again with --overwrite",
        )


def pack_command(split: Split, store: AnyPath) -> str:
    """Return the command that packs a split again."""
    attributes = split.attributes
    kept = sorted(attributes.channels)
    known = next((name for name in PUBLISHED if set(published(name).indices) == set(kept)), None)
    named = "all" if len(kept) == CHANNELS else known or ",".join(NAMES[index] for index in kept)
    source = source_of(store, split) or "STORE_IT_WAS_PACKED_FROM"
    return shlex.join(
        ["freqprep", "pack", source, str(store), "--split", attributes.split]
        + ["--channels", named, "--level", str(attributes.level), "--overwrite"]
    )


def made_again(
    split: Split,
    plan: SplitPlan,
    root: AnyPath,
    workers: engines.Workers,
    folder: RepairFolder,
    shards: Sequence[int],
) -> Iterator[ShardResult]:
    """Convert shards again; the file of each is in the folder until the next is asked for.

    Parameters
    ----------
    split : Split
    plan : SplitPlan
        From `freqprep.convert.verify_source.listed_plan`.
    root : Path or ObjectPath
        Folder of the source's files.
    workers : Workers
    folder : RepairFolder
    shards : sequence of int
        Rising.

    Yields
    ------
    ShardResult
        In any order.
    """
    name, workers = split.attributes.split, workers.at_most(len(shards))
    encoding, unpacking = split.attributes.encoding, unpackers(plan, workers)
    bound = memory_bound(encoding, workers.count, len(plan.listing), unpacking)
    say(
        f"{name}: {plural(len(shards), 'shard')} to convert again, {workers.described()}, memory at"
        f" most {bound / 1e9:.1f} GB"
    )
    places = folder.split_folder, folder.aside
    results = shard_results(plan, root, workers, *places, shards)
    with (
        Progress(f"repair {name}", len(shards), unit="shard", keep=True) as progress,
        contextlib.closing(results),
    ):
        for result in results:
            with folder.shard(result.shard):
                yield result
            progress.update(1)


def repair_shards(
    split: Split,
    plan: SplitPlan,
    root: AnyPath,
    workers: engines.Workers,
    folder: RepairFolder,
    shards: Sequence[int],
) -> dict[int, FreqprepError]:
    """Replace damaged shards by what the source gives now, if it is the same to the byte.

    Parameters and errors are those of `made_again`.

    Returns
    -------
    dict of int to FreqprepError
        Shards that stay as they are, and why.
    """
    refuse_other_images(split, plan)
    stored = StoredResults(split, split.stored_moments)
    left: dict[int, FreqprepError] = {}
    for result in made_again(split, plan, root, workers, folder, shards):
        shard = result.shard
        entry = split.shard_table.entry(shard)
        if (result.file_bytes, result.sha256) != (entry.file_bytes, entry.sha256):
            left[shard] = difference_from(split, stored, result)
            continue
        made = shard_path(folder.split_folder, shard)
        data = made.read_bytes()
        if FileEntry.of(data) == entry:
            if error := folder.replace(shard_name(shard), data):
                left[shard] = error
        else:
            left[shard] = CorruptStoreError(f"{made} was damaged as it was written", "repair again")
    return left


def refuse_other_images(split: Split, plan: SplitPlan) -> None:
    """Refuse a source that lists other images now, `SourceChangedError`."""
    if what := other_images(plan, split):
        raise SourceChangedError(
            f"the source lists {what} of {split.attributes.split} than the store has", _RESTORE
        )


def difference_from(split: Split, stored: StoredResults, result: ShardResult) -> FreqprepError:
    """Return the error of a shard that comes out other than it was, with the images to blame."""
    again, then = result.rows, stored.rows(result.shard)
    other = np.zeros(len(then.valid), bool)
    for name in ROW_FIELDS:
        now, before = getattr(again, name), getattr(then, name)
        other |= (now != before).reshape(len(other), -1).any(axis=1)
    rows = np.flatnonzero(other) + ROWS_PER_SHARD * result.shard
    if len(rows):
        return SourceChangedError(
            f"{plural(len(rows), 'image')} of the source changed since the conversion:"
            f" {some([quoted(split.keys[row]) for row in rows.tolist()])}",
            _RESTORE,
        )
    return CorruptStoreError(
        f"{shard_name(result.shard)} of {split.path} comes out with other bytes than the manifest"
        " states, from images of the same sizes and errors",
        AGAIN,
    )
