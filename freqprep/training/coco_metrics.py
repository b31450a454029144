"""COCO's twelve metrics of detections, by faster-coco-eval."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from freqprep.convert.stored_objects import stored_mask
from freqprep.errors import MissingPackageError, UsageError
from freqprep.images.geometry import Placement

FIGURES = (
    *("AP", "AP50", "AP75", "APs", "APm", "APl"),
    *("AR1", "AR10", "AR100", "ARs", "ARm", "ARl"),
)
"""COCO's figures in COCO's order.

``AP``: average precision, the mean over overlaps of 0.50, 0.55 ... 0.95; ``AP50`` and ``AP75`` at
one overlap. ``AR1``, ``AR10``, ``AR100``: average recall with that many detections an image and
class. ``s``, ``m``, ``l``: objects of less than 32 x 32, up to 96 x 96, and more square pixels.
"""

KINDS = ("bbox", "segm")


@dataclass(frozen=True)
class Figures:
    """COCO's metrics of a set of detections.

    Attributes
    ----------
    values : dict of str to float or None
        Each of `FIGURES`, from 0 to 1; None where there is no such object (COCO's -1).
    class_ap : list of float or None
        AP of each category, in the order of the ground truth's; None where it has no object.
    """

    values: dict[str, float | None]
    class_ap: list[float | None]


def coco_figures(truth: dict[str, Any], results: list[dict[str, Any]], kind: str) -> Figures:
    """Compute COCO's metrics of some results.

    They are those of pycocotools' ``COCOeval``, with these differences, where that one fails:

    - No results, no objects and no images are allowed.
    - An annotation may lack ``iscrowd`` (then 0) and ``area`` (then its box's).
    - An object with the id 0 can be found. (COCO's code takes its id for "not found".)
    - An object without a usable segmentation (`convert.stored_objects.stored_mask`) is left out of
      the figures of masks. (COCO's code ends with an error, or goes on with what it makes of it.)
    - An object of an image without a size, a rejected one, is one that nobody found.

    Parameters
    ----------
    truth : dict
        In COCO's format, as of `freqprep.training.coco_truth.coco_truth`; not changed.
    results : list of dict
        COCO's results: image_id, category_id, score, and ``bbox``, ``segmentation`` (compressed)
        or both; not changed.
    kind : {"bbox", "segm"}
        Whether boxes or masks are compared.

    Returns
    -------
    Figures

    Raises
    ------
    UsageError
        Another kind, or results of an image that the ground truth does not have.
    MissingPackageError
        faster-coco-eval is not installed.
    """
    if kind not in KINDS:
        raise UsageError(f"there are no figures of {kind!r}", f"use {' or '.join(KINDS)}")
    unknown = {result["image_id"] for result in results} - {
        image["id"] for image in truth["images"]
    }
    if unknown:
        raise UsageError(
            f"there are results for image {min(unknown)}, which the ground truth does not have",
            "evaluate with the ground truth of the split that the results are of",
        )
    evaluator = load_evaluator()
    keys = ("image_id", "category_id", "score", "bbox" if kind == "bbox" else "segmentation")
    reference = evaluator.COCO({**truth, "annotations": list(_objects(truth, kind))})
    found = reference.loadRes([{key: result[key] for key in keys} for result in results])
    evaluation = evaluator.COCOeval_faster(reference, found, kind)
    evaluation.run()
    # Overlap, recall, category, area (all first), detections (most last).
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    by_category = dict(zip(evaluation.params.catIds, np.moveaxis(precision, 2, 0), strict=True))
    return Figures(
        {name: _known(v) for name, v in zip(FIGURES, evaluation.stats, strict=True)},
        [_mean(by_category[category["id"]]) for category in truth["categories"]],
    )


def load_evaluator() -> ModuleType:
    """Import the package that computes the metrics.

    Raises
    ------
    MissingPackageError
        It is not installed.
    """
    try:
        return importlib.import_module("faster_coco_eval")
    except ImportError as error:
        raise MissingPackageError(
            f"faster-coco-eval cannot be imported: {error}", "pip install 'freqprep[train]'"
        ) from None


def _objects(truth: dict[str, Any], kind: str) -> Iterator[dict[str, Any]]:
    """Return the annotations as the evaluation needs them, numbered from 1."""
    sizes = {image["id"]: (image["height"], image["width"]) for image in truth["images"]}
    number = 0
    for annotation in truth["annotations"]:
        _, _, width, height = annotation["bbox"]
        entry = {
            "image_id": annotation["image_id"],
            "category_id": annotation["category_id"],
            "bbox": annotation["bbox"],
            "area": annotation.get("area", width * height),
            "iscrowd": int(annotation.get("iscrowd", 0)),
        }
        if kind == "segm":
            size = sizes[annotation["image_id"]]
            counts = _NOTHING if 0 in size else _mask(annotation.get("segmentation"), size)
            if not counts:
                continue
            size = size if 0 not in size else (1, 1)
            entry["segmentation"] = {"size": list(size), "counts": counts.decode("ascii")}
        number += 1
        yield {**entry, "id": number}


def _mask(segmentation: Any, size: tuple[int, int]) -> bytes:
    return stored_mask(segmentation, size, Placement(size, 0, 0, size))


_NOTHING = b"1"
"""COCO's compressed counts of an empty mask of one pixel."""


def _mean(precision: np.ndarray) -> float | None:
    known = precision[precision > -1]
    return float(known.mean()) if known.size else None


def _known(value: float) -> float | None:
    return float(value) if value > -1 else None
