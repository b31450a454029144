"""The end of a conversion: results of all shards to a finished split."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np

from freqprep.convert.stored_objects import stored_objects
from freqprep.errors import CorruptStoreError, SourceError, StoreError
from freqprep.progress import Progress
from freqprep.ragged import Ragged
from freqprep.spectrum.channels import CHANNELS
from freqprep.spectrum.moments import Moments
from freqprep.storage.disk import FileEntry
from freqprep.store.array_writer import RaggedWriter, SplitWriter
from freqprep.store.journal import RowResults, ShardResult
from freqprep.store.plan import SplitPlan
from freqprep.store.schema import IMAGE_ARRAYS, OBJECT_ARRAYS, SplitAttributes
from freqprep.store.writer import UnfinishedSplit
from freqprep.text.quantities import plural

_SHARDS_AT_ONCE = 8192


def publish_results(
    partial: UnfinishedSplit, plan: SplitPlan, finished: Mapping[int, ShardResult]
) -> str:
    """Publish a split whose shards are all written.

    Parameters
    ----------
    partial : PartialSplit or PartialObjectSplit
    plan : SplitPlan
    finished : mapping of int to ShardResult
        Result of each shard, whoever made it.

    Returns
    -------
    str
        Content id of the split.
    """
    if len(finished) != plan.shards:
        raise StoreError(
            f"converted so far: {len(finished):,} of {plural(plan.shards, 'shard')}", "use --resume"
        )

    def fill(writer: SplitWriter) -> SplitAttributes:
        return append_all(writer, plan, finished)

    return partial.publish(plan.attributes, fill)


def append_all(
    writer: SplitWriter, plan: SplitPlan, finished: Mapping[int, ShardResult]
) -> SplitAttributes:
    """Append all arrays of a split and the hashes of its shards; return the final attributes."""
    _append_plan(writer, plan, finished)
    return _append_results(writer, plan, finished)


def _append_plan(writer: SplitWriter, plan: SplitPlan, finished: Mapping[int, ShardResult]) -> None:
    """Append the arrays that were known before the conversion, but for the sizes of images."""
    writer.append("step", IMAGE_ARRAYS["step"], plan.attributes.stored_steps)
    keys = RaggedWriter(writer, "key")
    for _, index in plan.blocks():
        writer.append("label", IMAGE_ARRAYS["label"], plan.listing.labels[index])
        writer.append("listing_index", IMAGE_ARRAYS["listing_index"], index)
        keys.append(plan.listing.keys.take(index))
    if plan.listing.objects is not None:
        for name, values in _object_arrays(plan, finished).items():
            writer.append(name, OBJECT_ARRAYS[name], values)


def _append_results(
    writer: SplitWriter, plan: SplitPlan, finished: Mapping[int, ShardResult]
) -> SplitAttributes:
    """Append what the conversion found, some shards at a time; return the final attributes."""
    moments, rejected = Moments.zero(CHANNELS), 0
    texts = {name: RaggedWriter(writer, name) for name in ("defect", "note")}
    with Progress(f"publish {plan.attributes.split}", plan.shards, unit="shard") as progress:
        for first in range(0, plan.shards, _SHARDS_AT_ONCE):
            last = min(first + _SHARDS_AT_ONCE, plan.shards) - 1
            results = [_fitting(finished[shard], plan) for shard in range(first, last + 1)]
            rows = RowResults.concatenate([result.rows for result in results])
            for field in dataclasses.fields(rows):
                writer.append(field.name, IMAGE_ARRAYS[field.name], getattr(rows, field.name))
            moments = sum((result.moments for result in results), moments)
            span = range(plan.shard_rows(first).start, plan.shard_rows(last).stop)
            texts["defect"].append(_texts([result.defects for result in results], span))
            texts["note"].append(_texts([result.notes for result in results], span))
            rejected += sum(len(result.defects) for result in results)
            writer.add_shards(FileEntry(result.file_bytes, result.sha256) for result in results)
            progress.update(len(results))
    for name, sums in (("", moments.total), ("_squares", moments.total_squares)):
        writer.append(f"moment_total{name}", IMAGE_ARRAYS[f"moment_total{name}"], sums)
    return dataclasses.replace(plan.attributes, rejected=rejected)


def _fitting(result: ShardResult, plan: SplitPlan) -> ShardResult:
    """Return the result of a shard, if it is of the rows that the plan gives it."""
    rows, named = plan.shard_rows(result.shard), {*result.defects, *result.notes}
    if len(result.rows.valid) != len(rows) or not all(row in rows for row in named):
        raise CorruptStoreError(
            f"the journal has other rows of shard {result.shard} than the plan:"
            f" {len(result.rows.valid)}, not {len(rows)} from {rows.start}",
            "start over with --overwrite",
        )
    return result


def _object_arrays(plan: SplitPlan, finished: Mapping[int, ShardResult]) -> dict[str, np.ndarray]:
    listing, index = plan.listing, plan.order.take(range(len(plan.listing)))
    if listing.objects is None or listing.image_ids is None:
        raise SourceError(f"the listing of {plan.attributes.split} has objects but no image ids")
    objects = listing.objects.take(index)
    if listing.stated_sizes is not None:
        sizes = listing.stated_sizes[index]
    else:
        decoded = [finished[shard].rows.source_size for shard in range(plan.shards)]
        sizes = np.concatenate(decoded)
    return {
        "image_id": listing.image_ids[index],
        "object_offset": objects.offsets,
        "object_label": objects.label,
        "iscrowd": objects.iscrowd,
        "annotation_id": objects.annotation_id,
        **_flat("annotation", objects.annotation),
        **stored_objects(objects, sizes, plan.attributes.encoding.geometry),
    }


def _texts(found: Iterable[Mapping[int, str]], rows: range) -> Ragged:
    """Return the texts of some rows, most of them empty."""
    texts = {row: text.encode("utf-8", "replace") for part in found for row, text in part.items()}
    lengths = np.zeros(len(rows), np.int64)
    for row, text in texts.items():
        lengths[row - rows.start] = len(text)
    joined = b"".join(texts[row] for row in sorted(texts))
    return Ragged.of_lengths(np.frombuffer(joined, np.uint8), lengths)


def _flat(name: str, ragged: Ragged) -> dict[str, np.ndarray]:
    return {name: ragged.values, f"{name}_offset": ragged.offsets}
