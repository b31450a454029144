"""The ground truth of a split as COCO states it, rebuilt from the store."""

from __future__ import annotations

from typing import Any

import numpy as np

from freqprep.errors import CorruptStoreError
from freqprep.sources.coco_values import as_int64, measures
from freqprep.storage.strict_json import parse_at
from freqprep.store.split import Split
from freqprep.text.quantities import plural

_IDS = ("id", "image_id", "category_id")
_ABSENT = ("area", "iscrowd")


def coco_truth(split: Split, rejected: bool = False) -> dict[str, Any]:
    """Return a split in COCO's format, as its annotation file had it.

    Boxes, areas and segmentations are in the pixels of the source image, in the orientation whose
    size the source's annotations state: conversion rejects an image that has it in neither.

    Parameters
    ----------
    split : Split
        With annotated objects.
    rejected : bool
        Whether images that were rejected at conversion are in it, with their objects. Their size
        is 0 x 0: the store does not have it.

    Returns
    -------
    dict
        ``images``: id, file_name, height and width, in the order of the rows. ``annotations``:
        each as the source had it, unknown keys included; those of an image together, in the
        source's order. ``categories``: id and name, in the order of the split's classes.

    Raises
    ------
    UsageError
        The split has no annotated objects.
    CorruptStoreError
        The stored annotations are not those of its objects.
    """
    objects, texts = split.objects, split.ragged("annotation")
    image_ids, sizes = split.array("image_id").tolist(), split.array("source_size").tolist()
    rows = np.arange(len(split)) if rejected else np.flatnonzero(split.valid)
    if len(texts) != len(objects):
        raise _damaged(
            split, f"{plural(len(texts), 'annotation')} for {plural(len(objects), 'object')}"
        )
    attributes = split.attributes
    images, annotations = [], []
    for row in rows.tolist():
        height, width = sizes[row]
        image = {"id": image_ids[row], "file_name": split.keys[row]}
        images.append({**image, "height": height, "width": width})
        for number in range(*objects.of(row).indices(len(objects))):
            annotation = _parsed(texts.bytes_at(number))
            ids = {
                "id": int(objects.annotation_id[number]),
                "image_id": image_ids[row],
                "category_id": attributes.class_ids[objects.label[number]],
            }
            if annotation is None or {key: annotation.get(key) for key in ids} != ids:
                raise _damaged(split, f"annotation number {number} is not that of its object")
            annotations.append(annotation)
    pairs = zip(attributes.class_ids, attributes.class_names, strict=True)
    categories = [{"id": id_, "name": name} for id_, name in pairs]
    return {"images": images, "annotations": annotations, "categories": categories}


def _parsed(text: bytes) -> dict[str, Any] | None:
    """Parse an annotation; None if it is not a JSON object.

    Ids that the file had as text or as whole floats are integers; a box that it left to the
    segmentation is there; an area or crowd flag of null is absent.
    """
    try:
        entry, _ = parse_at(text.decode(), 0)
        found = measures(entry) if isinstance(entry, dict) else None
    except ValueError:
        return None
    if found is None:
        return None
    kept = {key: value for key, value in entry.items() if value is not None or key not in _ABSENT}
    if isinstance(kept.get("iscrowd"), str):
        kept["iscrowd"] = int(found.iscrowd)
    return {**kept, "bbox": found.box, **{key: as_int64(entry.get(key)) for key in _IDS}}


def _damaged(split: Split, what: str) -> CorruptStoreError:
    return CorruptStoreError(
        f"{split.path}: {what}", "restore the split from a copy, or convert again with --overwrite"
    )
