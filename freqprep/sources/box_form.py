"""Boxes that are evidently not x, y, width and height in pixels, as COCO has them."""

from __future__ import annotations

import numpy as np

from freqprep.errors import SourceError
from freqprep.images.geometry import sides_of_boxes
from freqprep.sources.listing import Doubt, Objects
from freqprep.text.quantities import plural

_MARGIN = 2.0
"""Boxes of other exporters end outside their image by up to so many pixels."""

_FAR = 0.1
"""A box ends far outside if it does so by this share of its image's side, which slips do not."""

_EVIDENT = 0.1
"""Two corners, read as a width and height, end outside in three of four boxes: far more."""

_NEARLY_ALL = 0.99
"""A few damaged boxes do not hide what the others are."""

_FEW = 3
"""Fewer boxes of less than a pixel may be slips."""


def box_form_doubts(
    objects: Objects, rows: np.ndarray, sizes: np.ndarray, where: str, how: str
) -> tuple[list[str], tuple[Doubt, ...]]:
    """Return the warnings of `check_box_form`, and its error as a doubt.

    A store may have been made of such boxes, before they were refused: verifying and repairing it
    need the source all the same.
    """
    try:
        return check_box_form(objects, rows, sizes, where, how), ()
    except SourceError as error:
        return [], (Doubt(None, error.message, error.remedy),)


def check_box_form(
    objects: Objects, rows: np.ndarray, sizes: np.ndarray, where: str, how: str
) -> list[str]:
    """Refuse boxes that are evidently two corners, or fractions of the image.

    Boxes of COCO's form are as two corners only where width and height are at least x and y: in
    real data in a tenth of the boxes, so not in nearly all of many; and they end outside their
    image by slips of a few pixels. Both together, and far outside, is evidence.

    Parameters
    ----------
    objects : Objects
    rows : ndarray of int64, shape (k,)
        Images whose sizes are known.
    sizes : ndarray of int, shape (k, 2)
        Their heights and widths.
    where : str
        The tables or the annotation file, for messages.
    how : str
        How to write the boxes anew, the end of the remedy.

    Returns
    -------
    list of str
        Warnings, where there is a sign of another form, but not enough to refuse the boxes.

    Raises
    ------
    SourceError
    """
    counts = np.diff(objects.offsets)[rows]
    kept = [np.arange(*objects.offsets[row : row + 2]) for row in rows.tolist()]
    numbers = np.concatenate(kept) if kept else np.zeros(0, np.int64)
    box = objects.box[numbers]
    if not len(box):
        return []
    side = sides_of_boxes(sizes, counts)
    remedy = f"write them as x, y, width and height in pixels, as COCO has them, {how}"
    return _fractions(box, where, remedy) or _corners(box, side, where, remedy)


def _fractions(box: np.ndarray, where: str, remedy: str) -> list[str]:
    within = ((box >= 0) & (box <= 1)).all(axis=1)
    if within.mean() < _NEARLY_ALL or not (box[within] % 1 != 0).any():
        return []
    if within.sum() >= _FEW:
        count = "all" if within.all() else f"{within.sum()} of {len(box)}"
        raise SourceError(f"{where}: {count} boxes are within 0 and 1, not in pixels", remedy)
    found = plural(len(box), "box")
    return [f"warning: {where}: {found} within 0 and 1: if not in pixels, {remedy}"]


def _corners(box: np.ndarray, side: np.ndarray, where: str, remedy: str) -> list[str]:
    near, far = box[:, :2], box[:, 2:]
    corners = ((far >= near) & (near >= -_MARGIN) & (far <= side + _MARGIN)).all(axis=1)
    with np.errstate(over="ignore"):  # infinitely far is outside, too
        beyond = near + far - side
    outside = corners & (beyond > _MARGIN).any(axis=1)
    if corners.mean() < _NEARLY_ALL or outside.mean() <= _EVIDENT:
        return []
    far_outside = corners & (beyond > np.maximum(_MARGIN, _FAR * side)).any(axis=1)
    found = (
        f"{outside.sum()} of {len(box)} would end outside their image, such as"
        f" {box[np.argmax(far_outside if far_outside.any() else outside)].tolist()}"
    )
    if far_outside.mean() <= _EVIDENT:
        return [
            f"warning: {where}: boxes may be two corners (x1, y1, x2, y2), not x, y, width and"
            f" height: {found}; if so, {remedy}"
        ]
    raise SourceError(
        f"{where}: boxes are evidently two corners (x1, y1, x2, y2), not x, y, width and"
        f" height: {found}",
        remedy,
    )
