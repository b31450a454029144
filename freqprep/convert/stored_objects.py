"""Annotated objects in pixels of the stored image: boxes, areas and masks.

Masks are COCO run-length strings (pycocotools' compressed counts) of the stored image. Polygons
are first transformed and then rasterised by COCO's own code, so at scale 1 they are exactly
COCO's masks; run lengths are resampled to the nearest pixel. The source's own annotation is
stored as well, so nothing is lost if the image was resized.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from freqprep.images.decode import MAX_PIXELS
from freqprep.images.geometry import Geometry, Placement, boxes_to_stored
from freqprep.images.rle import checked_runs, pixels_of
from freqprep.progress import Progress, say
from freqprep.ragged import Ragged
from freqprep.sources.coco_values import as_int64
from freqprep.sources.listing import Objects
from freqprep.storage.strict_json import parse_at

_FARTHEST = 2.0
"""Polygons with points further than this many image sides outside are damaged."""

_LONGEST_OUTLINE = 1_000_000.0
"""Longer outlines, in pixels, are damaged: COCO's code takes 40 bytes per pixel unchecked."""


def stored_objects(
    objects: Objects, sizes: np.ndarray, geometry: Geometry
) -> dict[str, np.ndarray]:
    """Compute the box, area and mask arrays of a split.

    Parameters
    ----------
    objects : Objects
        In row order, in source pixels.
    sizes : ndarray of int32, shape (n, 2)
        Height and width of each source image; 0 if it is not known, because the image was
        rejected: its objects keep the pixels of the source, without masks.
    geometry : Geometry

    Returns
    -------
    dict of str to ndarray
        ``box``, ``area``, ``mask`` and ``mask_offset``, as in docs/format.md. Objects without a
        usable segmentation have an empty mask.
    """
    box, area, masks = objects.box.copy(), objects.area.copy(), []
    unusable = 0
    with Progress("masks", len(sizes)) as progress:
        for row, (height, width) in enumerate(sizes.tolist()):
            mine = slice(int(objects.offsets[row]), int(objects.offsets[row + 1]))
            progress.update(1)
            if not height or not width:
                masks += [b""] * (mine.stop - mine.start)
                continue
            placement = geometry.place(height, width)
            box[mine] = boxes_to_stored(objects.box[mine], (height, width), placement)
            area[mine] *= (placement.resized[0] / height) * (placement.resized[1] / width)
            for number in range(mine.start, mine.stop):
                annotation, _ = parse_at(objects.annotation.bytes_at(number).decode(), 0)
                segmentation = annotation.get("segmentation")
                masks.append(stored_mask(segmentation, (height, width), placement))
                unusable += bool(segmentation) and not masks[-1]
    if unusable:
        say(f"{unusable} objects have a segmentation that cannot be used: their mask is empty")
    flat = int(np.count_nonzero((objects.box[:, 2:] <= 0).any(axis=1)))
    if flat:
        say(f"{flat} objects have a box without an area: kept, but not used for training")
    packed = Ragged.of_bytes(masks)
    return {"box": box, "area": area, "mask": packed.values, "mask_offset": packed.offsets}


def stored_mask(segmentation: Any, source: tuple[int, int], placement: Placement) -> bytes:
    """Compute the mask of one object in the stored image.

    Parameters
    ----------
    segmentation : list of polygons, or run-length dict, or None
        Segmentation in COCO's format.
    source : tuple of int
        Height and width of the source image.
    placement : Placement

    Returns
    -------
    bytes
        COCO's compressed counts of a mask of ``placement.size``; empty if the segmentation cannot
        be used.
    """
    if max(math.prod(source), math.prod(placement.resized)) > MAX_PIXELS:
        return b""  # images of this size are refused, too
    if isinstance(segmentation, list):
        return _polygons_mask(segmentation, source, placement)
    if isinstance(segmentation, dict):
        return _runs_mask(segmentation, source, placement)
    return b""


def _polygons_mask(polygons: list[Any], source: tuple[int, int], placement: Placement) -> bytes:
    height, width = source
    down, right = placement.resized[0] / height, placement.resized[1] / width
    limit = _FARTHEST * max(source)
    moved = []
    outline = 0.0
    for polygon in polygons:
        try:
            points = np.asarray(polygon, np.float64)
        except (TypeError, ValueError, OverflowError):
            return b""
        is_outline = points.ndim == 1 and points.size >= 6 and points.size % 2 == 0
        if not is_outline or not np.all(np.abs(points) <= limit):
            return b""
        points = points.reshape(-1, 2) * (right, down) - (placement.left, placement.top)
        outline += float(np.abs(points - np.roll(points, 1, axis=0)).sum())
        moved.append(points.ravel().tolist())
    if not moved or outline > _LONGEST_OUTLINE:
        return b""
    parts = coco_mask.frPyObjects(moved, *placement.size)
    return bytes(coco_mask.merge(parts)["counts"])


def _runs_mask(runs: dict[str, Any], source: tuple[int, int], placement: Placement) -> bytes:
    counts = checked_runs(runs.get("counts"), math.prod(source))
    size = runs.get("size")
    stated = list(map(as_int64, size)) if isinstance(size, list) else None
    if counts is None or stated not in (None, list(source)):
        return b""
    if placement.resized == source and placement.size == source:
        rle = coco_mask.frPyObjects({"size": list(source), "counts": counts.tolist()}, *source)
        return bytes(rle["counts"])
    mask = pixels_of(counts, source)
    rows = _nearest(source[0], placement.resized[0], placement.top, placement.size[0])
    columns = _nearest(source[1], placement.resized[1], placement.left, placement.size[1])
    return bytes(coco_mask.encode(np.asfortranarray(mask[np.ix_(rows, columns)]))["counts"])


def _nearest(source: int, resized: int, first: int, count: int) -> np.ndarray:
    """Return, for each stored pixel, the source index with the nearest centre."""
    centre = (first + np.arange(count) + 0.5) * source / resized
    return np.clip(np.floor(centre).astype(np.int64), 0, source - 1)
