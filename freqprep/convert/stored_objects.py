"""Annotated objects moved into the stored image's pixels: boxes, areas and masks.

Masks are COCO run-length strings (pycocotools' compressed counts) of the stored image. Polygons
are moved first and rasterised after, by COCO's own code, so at scale 1 they are exactly COCO's
masks; run lengths are resampled to the nearest pixel. The source's own annotation is stored
beside, so that nothing is lost where the image was resized.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from freqprep.images.decode import MAX_PIXELS
from freqprep.images.geometry import Geometry, Placement, boxes_to_stored
from freqprep.images.rle import checked_runs, pixels_of
from freqprep.progress import Progress, say
from freqprep.ragged import Ragged
from freqprep.sources.listing import Objects

_FARTHEST = 2.0
"""Polygon points further outside than this many image sides are damage, not annotation."""

_LONGEST_OUTLINE = 1_000_000.0
"""Outlines of more pixels are damage: COCO's code takes 40 bytes a pixel and checks no memory."""


def stored_objects(
    objects: Objects, stated_sizes: np.ndarray, geometry: Geometry
) -> dict[str, np.ndarray]:
    """Box, area and mask arrays of a split.

    Parameters
    ----------
    objects : Objects
        In row order, in source pixels.
    stated_sizes : ndarray of int32, shape (n, 2)
        Height and width of each source image.
    geometry : Geometry

    Returns
    -------
    dict of str to ndarray
        ``box``, ``area``, ``mask`` and ``mask_offset`` of docs/format.md. An object without a
        usable segmentation has an empty mask.
    """
    box, area, masks = objects.box.copy(), objects.area.copy(), []
    unusable = 0
    with Progress("masks", len(stated_sizes)) as progress:
        for row, (height, width) in enumerate(stated_sizes.tolist()):
            mine = slice(int(objects.offsets[row]), int(objects.offsets[row + 1]))
            place = geometry.place(height, width)
            box[mine] = boxes_to_stored(objects.box[mine], (height, width), place)
            area[mine] *= (place.resized[0] / height) * (place.resized[1] / width)
            for number in range(mine.start, mine.stop):
                segmentation = json.loads(objects.annotation.bytes_at(number)).get("segmentation")
                masks.append(stored_mask(segmentation, (height, width), place))
                unusable += bool(segmentation) and not masks[-1]
            progress.update(1)
    if unusable:
        say(f"{unusable} objects have a segmentation that cannot be used: their mask is empty")
    flat = int(np.count_nonzero((objects.box[:, 2:] <= 0).any(axis=1)))
    if flat:
        say(
            f"{flat} objects have a box without an area: it is kept, but no detector learns from it"
        )
    packed = Ragged.of_bytes(masks)
    return {"box": box, "area": area, "mask": packed.values, "mask_offset": packed.offsets}


def stored_mask(segmentation: Any, source: tuple[int, int], place: Placement) -> bytes:
    """The mask of one object in the stored image.

    Parameters
    ----------
    segmentation : list of polygons, or run-length dict, or None
        As COCO has it.
    source : tuple of int
        Height and width of the source image.
    place : Placement

    Returns
    -------
    bytes
        COCO's compressed counts for a mask of ``place.size``; empty where there is no usable
        segmentation.
    """
    if max(math.prod(source), math.prod(place.resized)) > MAX_PIXELS:
        return b""  # such an image is refused, too
    if isinstance(segmentation, list):
        return _polygons_mask(segmentation, source, place)
    if isinstance(segmentation, dict):
        return _runs_mask(segmentation, source, place)
    return b""


def _polygons_mask(polygons: list[Any], source: tuple[int, int], place: Placement) -> bytes:
    height, width = source
    down, right = place.resized[0] / height, place.resized[1] / width
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
        points = points.reshape(-1, 2) * (right, down) - (place.left, place.top)
        outline += float(np.abs(points - np.roll(points, 1, axis=0)).sum())
        moved.append(points.ravel().tolist())
    if not moved or outline > _LONGEST_OUTLINE:
        return b""
    parts = coco_mask.frPyObjects(moved, *place.size)
    return bytes(coco_mask.merge(parts)["counts"])


def _runs_mask(runs: dict[str, Any], source: tuple[int, int], place: Placement) -> bytes:
    counts = checked_runs(runs.get("counts"), math.prod(source))
    if counts is None:
        return b""
    if place.resized == source and place.size == source:
        rle = coco_mask.frPyObjects({"size": list(source), "counts": counts.tolist()}, *source)
        return bytes(rle["counts"])
    mask = pixels_of(counts, source)
    rows = _nearest(source[0], place.resized[0], place.top, place.size[0])
    columns = _nearest(source[1], place.resized[1], place.left, place.size[1])
    return bytes(coco_mask.encode(np.asfortranarray(mask[np.ix_(rows, columns)]))["counts"])


def _nearest(source: int, resized: int, first: int, count: int) -> np.ndarray:
    """Source index whose centre is nearest to each stored pixel's centre."""
    centre = (first + np.arange(count) + 0.5) * source / resized
    return np.clip(np.floor(centre).astype(np.int64), 0, source - 1)
