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

from freqprep.errors import SourceError
from freqprep.images.decode import MAX_PIXELS
from freqprep.images.geometry import Geometry, Placement, boxes_to_stored, sides_of_boxes
from freqprep.images.rle import checked_runs, pixels_of
from freqprep.progress import Progress, say
from freqprep.ragged import Ragged
from freqprep.sources.coco_values import as_int64
from freqprep.sources.listing import Objects
from freqprep.storage.strict_json import parse_at
from freqprep.text.quantities import plural

_FARTHEST = 1e9
"""Polygons with a coordinate beyond this, in source pixels, are damaged: no image is as large."""

_LONGEST_OUTLINE = 1_000_000.0
"""Longer outlines, in stored pixels, are clipped: COCO's code takes 40 bytes a pixel, unchecked."""

_ROUNDING = 1.0
"""Boxes reach outside their image if they do so by more pixels than this."""


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
    unusable = partly = 0
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
                segmentation = _segmentation(objects.annotation.bytes_at(number))
                mask, damaged = _drawn(segmentation, (height, width), placement)
                masks.append(mask)
                unusable += bool(segmentation) and not mask
                partly += bool(mask) and damaged > 0
    if unusable:
        count = plural(unusable, "object")
        say(f"{count} with a segmentation that cannot be used: stored with an empty mask")
    if partly:
        say(f"{plural(partly, 'object')} with a polygon that cannot be used: left out of the mask")
    _say_boxes(objects, sizes)
    packed = Ragged.of_bytes(masks)
    return {"box": box, "area": area, "mask": packed.values, "mask_offset": packed.offsets}


def _segmentation(annotation: bytes) -> Any:
    """Return what an annotation has as a segmentation; a plan that may be anyone's has the text."""
    try:
        return parse_at(annotation.decode(), 0)[0].get("segmentation")
    except (ValueError, AttributeError):
        raise SourceError(
            f"an annotation is not an object of JSON: {annotation!r:.60}",
            "start over with --overwrite",
        ) from None


def _say_boxes(objects: Objects, sizes: np.ndarray) -> None:
    """Count boxes that training leaves out or clips: without an area, or outside their image."""
    near, extent = objects.box[:, :2], objects.box[:, 2:]
    empty = (extent <= 0).any(axis=1)
    if empty.any():
        count = plural(int(np.count_nonzero(empty)), "object")
        say(f"{count} with a box without an area: kept, but not used for training")
    side = sides_of_boxes(sizes, np.diff(objects.offsets))
    known = ~empty & (side > 0).all(axis=1)
    with np.errstate(over="ignore"):  # infinitely far is outside, too
        far = near + extent
    wholly = known & ((far <= 0) | (near >= side)).any(axis=1)
    reaching = known & ((near < -_ROUNDING) | (far > side + _ROUNDING)).any(axis=1) | wholly
    if reaching.any():
        count, lost = plural(int(reaching.sum()), "object"), int(wholly.sum())
        say(
            f"{count} with a box that reaches outside its image, {lost} of them wholly outside:"
            " kept; training clips boxes to the image, and leaves out those wholly outside"
        )


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
        be used. Of polygons, those that cannot be used are left out.
    """
    return _drawn(segmentation, source, placement)[0]


def _drawn(segmentation: Any, source: tuple[int, int], placement: Placement) -> tuple[bytes, int]:
    """Return the mask of an object, and the number of polygons left out of it."""
    if max(math.prod(source), math.prod(placement.resized)) > MAX_PIXELS:
        return b"", 0  # images of this size are refused, too
    if isinstance(segmentation, list):
        outlines = [_outline(polygon, source, placement) for polygon in segmentation]
        usable = [outline for outline in outlines if outline is not None]
        if not usable:
            return b"", len(outlines)
        parts = coco_mask.frPyObjects(usable, *placement.size)
        return bytes(coco_mask.merge(parts)["counts"]), len(outlines) - len(usable)
    if isinstance(segmentation, dict):
        return _runs_mask(segmentation, source, placement), 0
    return b"", 0


def _outline(polygon: Any, source: tuple[int, int], placement: Placement) -> list[float] | None:
    """Return a polygon in stored pixels, x and y in turn; None if it cannot be used."""
    try:
        points = np.asarray(polygon, np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    is_outline = points.ndim == 1 and points.size >= 6 and points.size % 2 == 0
    if not is_outline or not np.all(np.abs(points) <= _FARTHEST):
        return None
    down, right = placement.resized[0] / source[0], placement.resized[1] / source[1]
    points = points.reshape(-1, 2) * (right, down) - (placement.left, placement.top)
    if _length(points) > _LONGEST_OUTLINE:
        points = _clipped(points, placement.size)
    return points.ravel().tolist() if _length(points) <= _LONGEST_OUTLINE else None


def _length(points: np.ndarray) -> float:
    """Measure a closed outline along both axes."""
    return float(np.abs(points - np.roll(points, 1, axis=0)).sum())


def _clipped(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Clip a closed outline to a pixel around the image, where COCO's code draws nothing.

    Points are added where it crosses a side; those beyond are then moved onto the side, which
    changes nothing within the image. Only edges cut at a slope may be rounded to another pixel.
    """
    height, width = size
    for axis, bound in ((0, -1), (0, width + 1), (1, -1), (1, height + 1)):
        following = np.roll(points, -1, axis=0)
        crosses = np.flatnonzero((points[:, axis] < bound) != (following[:, axis] < bound))
        begin, end = points[crosses], following[crosses]
        share = (bound - begin[:, axis]) / (end[:, axis] - begin[:, axis])
        crossing = begin + share[:, None] * (end - begin)
        crossing[:, axis] = bound
        points = np.insert(points, crosses + 1, crossing, axis=0)
    clipped: np.ndarray = np.clip(points, -1, (width + 1, height + 1))
    return clipped


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
