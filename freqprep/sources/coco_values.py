"""Values of COCO's entries: integers, boxes and areas, in the forms that exporters write."""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

from freqprep.images.rle import box_of_runs, checked_runs

_LARGEST_EXACT = 2**53
"""Larger integers are not exact as floats."""

LARGEST_SIDE = 2**31 - 1
"""Largest side of an image in pixels."""

_DIGITS = re.compile(r"-?[0-9]{1,19}")


class Measures(NamedTuple):
    """Box (x, y, width, height), area and crowd flag of an annotation, in source pixels."""

    box: list[float]
    area: float
    iscrowd: bool


def as_int64(value: Any) -> int | None:
    """Convert a JSON value to an integer of 64 bits; None if it is not one.

    ``7``, ``7.0`` and ``"7"`` are 7: exporters write all three. ``true``, ``7.5``, ``"7.5"`` and
    numbers of more than 64 bits (floats: 53 bits) are not integers.
    """
    exact = type(value) is float and value.is_integer() and abs(value) <= _LARGEST_EXACT
    if exact or (type(value) is str and _DIGITS.fullmatch(value)):
        value = int(value)
    return value if type(value) is int and -(2**63) <= value < 2**63 else None


def is_finite(value: Any) -> bool:
    """Return whether a JSON value is a number in the range of a double."""
    if type(value) not in (int, float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond the range of a double
        return False


def measures(entry: dict[str, Any]) -> Measures:
    """Return box, area and crowd flag of an annotation.

    A box that is missing or null is that of the segmentation, a missing area that of the box, as
    in COCO's own code for boxes, and a missing flag is 0.

    Raises
    ------
    ValueError
        A value is invalid; the message says which.
    """
    box = entry.get("bbox")
    if box is None:
        box = box_of(entry.get("segmentation"))
    if not isinstance(box, list) or len(box) != 4 or not all(map(is_finite, box)):
        raise ValueError(f"bbox = {brief(box)}, not four finite numbers")
    area = entry.get("area")
    if area is None:
        area = box[2] * box[3]
    if not is_finite(area):
        raise ValueError(f"area = {brief(area)}, not a finite number")
    crowd = entry.get("iscrowd")
    flag = int(crowd or 0) if crowd is None or isinstance(crowd, bool) else as_int64(crowd)
    if flag not in (0, 1):
        raise ValueError(f"iscrowd = {brief(crowd)}, not 0 or 1")
    return Measures(box, area, flag == 1)


def box_of(segmentation: Any) -> list[float] | None:
    """Return the box around polygons or run lengths; None if they are damaged or neither."""
    if isinstance(segmentation, dict):
        return _box_of_mask(segmentation)
    if not isinstance(segmentation, list) or not segmentation:
        return None
    for polygon in segmentation:
        known = isinstance(polygon, list) and len(polygon) >= 6 and len(polygon) % 2 == 0
        if not known or not all(map(is_finite, polygon)):
            return None
    across = [x for polygon in segmentation for x in polygon[0::2]]
    down = [y for polygon in segmentation for y in polygon[1::2]]
    left, upper = min(across), min(down)
    return [left, upper, max(across) - left, max(down) - upper]


def _box_of_mask(mask: dict[str, Any]) -> list[float] | None:
    size = mask.get("size")
    sides = [as_int64(side) for side in size] if isinstance(size, list) else []
    height, width = sides if len(sides) == 2 else (None, None)
    if (
        height is None
        or width is None
        or not 0 < min(height, width) <= max(height, width) <= LARGEST_SIDE
    ):
        return None
    runs = checked_runs(mask.get("counts"), height * width)
    return None if runs is None else box_of_runs(runs, height)


def brief(value: Any) -> str:
    """Format a JSON value for a message, cut if it is long."""
    text = "missing" if value is None else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
