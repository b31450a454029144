"""The end of a conversion: results of all shards to a finished split."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from freqprep.convert.stored_objects import stored_objects
from freqprep.errors import SourceError, StoreError
from freqprep.ragged import Ragged
from freqprep.spectrum.channels import CHANNELS
from freqprep.spectrum.moments import Moments
from freqprep.storage.disk import FileEntry
from freqprep.store.journal import RowResults, ShardResult
from freqprep.store.layout import shard_name
from freqprep.store.plan import SplitPlan
from freqprep.store.schema import IMAGE_ARRAYS, OBJECT_ARRAYS, ArraySpec
from freqprep.store.writer import UnfinishedSplit


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
        raise StoreError(f"{len(finished)} of {plan.shards} shards are converted", "use --resume")
    results = [finished[shard] for shard in range(plan.shards)]
    rows = RowResults.concatenate([result.rows for result in results])
    moments = sum((result.moments for result in results), Moments.zero(CHANNELS))
    defects = {row: text for result in results for row, text in result.defects.items()}
    notes = {row: text for result in results for row, text in result.notes.items()}
    arrays = {
        **{field.name: getattr(rows, field.name) for field in dataclasses.fields(rows)},
        "step": plan.attributes.stored_steps,
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
        arrays |= _object_arrays(plan, rows.source_size)
    shards = {
        shard_name(result.shard): FileEntry(result.file_bytes, result.sha256) for result in results
    }
    attributes = dataclasses.replace(plan.attributes, rejected=len(defects))
    return partial.publish(attributes, arrays, specs, shards)


def _object_arrays(plan: SplitPlan, decoded_sizes: np.ndarray) -> dict[str, np.ndarray]:
    objects, sizes = plan.rows.objects, plan.rows.stated_sizes
    if objects is None or plan.rows.image_ids is None:
        raise SourceError(f"the listing of {plan.attributes.split} has objects but no image ids")
    if sizes is None:
        sizes = decoded_sizes
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
