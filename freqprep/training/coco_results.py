"""Detections in the pixels of the source image, and as COCO's result files."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pycocotools import mask as coco_mask

from freqprep.errors import UsageError
from freqprep.images.geometry import Placement, boxes_to_source
from freqprep.models.torchvision_ops import import_torchvision
from freqprep.storage.disk import full_disk_named, write_parts

_THRESHOLD = 0.5
"""Pixels of a mask are those more probable than this."""


@dataclass(frozen=True, eq=False)
class Detections:
    """Detections in one image.

    Attributes
    ----------
    boxes : ndarray of float64, shape (k, 4)
        x, y, width and height in source pixels.
    labels : ndarray of int64, shape (k,)
        Index of the network's class, from 0.
    scores : ndarray of float64, shape (k,)
        From 0 to 1.
    masks : tuple of bytes, or None
        COCO's compressed counts of a mask of ``size``; None of a detector without masks.
    size : tuple of int
        Height and width of the source image.
    """

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    masks: tuple[bytes, ...] | None
    size: tuple[int, int]

    def at_least(self, score: float) -> Detections:
        """Return the detections with at least this score."""
        kept = self.scores >= score
        masks = self.masks and tuple(itertools.compress(self.masks, kept))
        return Detections(self.boxes[kept], self.labels[kept], self.scores[kept], masks, self.size)


def detections_of(
    found: dict[str, torch.Tensor],
    frame: tuple[int, int],
    source: tuple[int, int],
    place: Placement,
) -> Detections:
    """Move the detections of one image from its frame to the source image.

    Parameters
    ----------
    found : dict of Tensor
        ``boxes`` (k, 4) x1, y1, x2, y2 in the frame, ``labels`` (k,) from 1, ``scores`` (k,), and
        of a detector with masks ``masks`` (k, 1, side, side), probabilities over the box. On any
        device.
    frame : tuple of int
        Height and width of the image in the frame.
    source : tuple of int
        Height and width of the source image.
    place : Placement
        Of the source image in the store; the frame shows all of what it keeps.

    Returns
    -------
    Detections
        In the order of ``found``. Masks are pasted by torchvision's own code; a pixel is in the
        mask if its probability is more than one half.
    """
    boxes = found["boxes"].detach().double().cpu().numpy().reshape(-1, 4)
    down, right = (stored / shown for stored, shown in zip(place.size, frame, strict=True))
    corners = boxes * (right, down, right, down)
    stored = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
    moved = boxes_to_source(stored, source, place)
    masks = found.get("masks")
    return Detections(
        boxes=moved,
        labels=found["labels"].detach().cpu().numpy().astype(np.int64) - 1,
        scores=found["scores"].detach().double().cpu().numpy(),
        masks=None if masks is None else tuple(_pasted(masks.detach().cpu(), moved, source)),
        size=source,
    )


def _pasted(masks: torch.Tensor, boxes: np.ndarray, size: tuple[int, int]) -> Iterator[bytes]:
    """Yield each mask's compressed counts at the source's size; one at a time saves memory."""
    import_torchvision()
    from torchvision.models.detection.roi_heads import paste_masks_in_image

    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    for mask, corner in zip(masks.float(), torch.from_numpy(corners), strict=True):
        pasted = paste_masks_in_image(mask[None], corner[None], size)[0, 0]
        inside = np.asfortranarray((pasted > _THRESHOLD).numpy().astype(np.uint8))
        yield bytes(coco_mask.encode(inside)["counts"])


def results_of_image(
    image_id: int, detections: Detections, category_ids: Sequence[int | None]
) -> list[dict[str, Any]]:
    """Return an image's detections as entries of a COCO result file.

    Parameters
    ----------
    image_id : int
    detections : Detections
    category_ids : sequence of int or None
        The category of each class of the network; detections of a class without one are left out.

    Returns
    -------
    list of dict
        ``image_id``, ``category_id``, ``bbox``, ``score``, and with masks ``segmentation``: ready
        for JSON, in the order of the detections.
    """
    entries = []
    for number, label in enumerate(detections.labels.tolist()):
        category = category_ids[label]
        if category is None:
            continue
        entry = {
            "image_id": image_id,
            "category_id": category,
            "bbox": detections.boxes[number].tolist(),
            "score": float(detections.scores[number]),
        }
        if detections.masks is not None:
            counts = detections.masks[number].decode("ascii")
            entry["segmentation"] = {"size": list(detections.size), "counts": counts}
        entries.append(entry)
    return entries


def check_prefix(prefix: Path) -> None:
    """Refuse a prefix with which `write_results` could not write.

    Raises
    ------
    UsageError
    """
    if prefix.name in ("", ".."):  # `.` and `/` have none
        raise UsageError(
            f"{prefix} is no beginning of a file's name", "add one to it: DIR/found, for example"
        )
    if prefix.is_dir():
        raise UsageError(
            f"{prefix} is a folder, not the beginning of a file's name", f"use {prefix / 'found'}"
        )
    if not prefix.absolute().parent.is_dir():
        raise UsageError(
            f"{prefix}.bbox.json cannot be written: its folder is not there", "make it"
        )


def write_results(prefix: Path, results: Sequence[dict[str, Any]], masks: bool) -> list[Path]:
    """Write results as files that COCO's own code loads, each whole or not at all.

    Parameters
    ----------
    prefix : Path
        The files are ``PREFIX.bbox.json`` and, where there are masks, ``PREFIX.segm.json``.
    results : sequence of dict
        As of `results_of_image`.
    masks : bool
        Whether the detector finds masks.

    Returns
    -------
    list of Path
        What was written. Each file has one of ``bbox`` and ``segmentation``: where a result has
        both, COCO's code takes the box's area for the mask's.

    Raises
    ------
    DiskFullError
    """
    folder = prefix.absolute().parent
    paths = result_paths(prefix, masks)
    for path, key in zip(paths, ("bbox", "segmentation"), strict=False):
        with full_disk_named(folder):
            write_parts(path, _lines(results, key), folder)
    return paths


def result_paths(prefix: Path, masks: bool) -> list[Path]:
    """Return the paths that `write_results` writes: boxes, and masks if there are any."""
    kinds = ("bbox", "segm") if masks else ("bbox",)
    return [prefix.with_name(f"{prefix.name}.{kind}.json") for kind in kinds]


def _lines(results: Sequence[dict[str, Any]], key: str) -> Iterator[bytes]:
    """Return a JSON array, one result a line."""
    yield b"["
    for number, result in enumerate(results):
        entry = {name: result[name] for name in ("image_id", "category_id", key, "score")}
        yield (",\n" if number else "\n").encode() + json.dumps(entry).encode()
    yield b"\n]\n"
