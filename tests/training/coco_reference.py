"""COCO's figures by COCO's own code, and stored objects as if a detector had found them."""

import contextlib
import copy
import io
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from freqprep.images.geometry import boxes_to_source
from freqprep.store.split import Split
from freqprep.training.coco_metrics import FIGURES, Figures


def reference(truth: dict[str, Any] | Path, results: list[dict[str, Any]] | Path, kind: str):
    """The figures by pycocotools."""
    with contextlib.redirect_stdout(io.StringIO()):
        if isinstance(truth, Path):
            ours = COCO(str(truth))
        else:
            ours = COCO()
            ours.dataset = copy.deepcopy(truth)
            ours.createIndex()
        given = str(results) if isinstance(results, Path) else copy.deepcopy(results)
        evaluation = COCOeval(ours, ours.loadRes(given), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    means = {
        category: float(values[values > -1].mean()) if (values > -1).any() else None
        for category, values in zip(
            evaluation.params.catIds, np.moveaxis(precision, 2, 0), strict=True
        )
    }
    values = [None if value == -1 else float(value) for value in evaluation.stats]
    return Figures(
        dict(zip(FIGURES, values, strict=True)),
        [means[category["id"]] for category in ours.dataset["categories"]],
    )


def assert_close(found: Figures, expected: Figures) -> None:
    """The same figures, but for the last bits of a mean."""
    pairs = [(found.values[name], expected.values[name]) for name in FIGURES]
    pairs += zip(found.class_ap, expected.class_ap, strict=True)
    for one, other in pairs:
        assert (one is None) == (other is None)
        assert one is None or abs(one - other) < 1e-9


def stored_as_found(split: Split, kind: str) -> list[dict[str, Any]]:
    """The objects in the store's arrays as results of score 1; masks only at scale 1."""
    objects, attributes = split.objects, split.attributes
    image_ids, sizes = split.array("image_id").tolist(), split.array("source_size").tolist()
    results = []
    for row in np.flatnonzero(split.valid).tolist():
        place = attributes.encoding.geometry.place(*sizes[row])
        boxes = boxes_to_source(objects.box[objects.of(row)], tuple(sizes[row]), place)
        for number, box in zip(range(*objects.of(row).indices(len(objects))), boxes, strict=True):
            category = attributes.class_ids[objects.label[number]]
            result = {"image_id": image_ids[row], "category_id": category, "score": 1.0}
            counts = objects.masks.bytes_at(number).decode()
            if kind == "bbox":
                results.append({**result, "bbox": box.tolist()})
            elif counts:
                assert place.size == tuple(sizes[row])
                results.append({**result, "segmentation": {"size": sizes[row], "counts": counts}})
    return results
