"""Drawing of objects on a picture: boxes, captions and masks, one colour per class."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from freqprep.text.quantities import plural

_TINT = 0.45
"""Opacity of masks."""

_HUE_STEP = 0.618034
"""Hue from a class to the next, of 1: by the golden ratio, near classes differ most."""

_SMALLEST_TEXT = 10
_LONGEST_CAPTION = 60
_FAR = 1e6
"""Boxes are clipped at this distance from the origin, in pixels, against overflow."""


def draw_objects(
    picture: np.ndarray,
    boxes: np.ndarray,
    captions: Sequence[str],
    masks: Sequence[np.ndarray | None] | None,
    colours: np.ndarray,
    crowd: np.ndarray | None = None,
) -> np.ndarray:
    """Draw objects on a picture: outlined translucent masks, boxes, and captions on top.

    Large objects are drawn first. Lines and text scale with the picture. Parts outside the picture
    are clipped; captions stay inside and, if there is room, do not overlap.

    Parameters
    ----------
    picture : ndarray of uint8, shape (h, w, 3)
        RGB.
    boxes : ndarray of float, shape (k, 4)
        x, y, width and height in pixels of the picture, finite.
    captions : sequence of str
        Caption of each object, any text; empty for none.
    masks : sequence of (ndarray of bool, shape (h, w), or None), optional
        Mask of each object, if it has one.
    colours : ndarray of int, shape (k,)
        Index of each object's colour, usually its class.
    crowd : ndarray of bool, shape (k,), optional
        Whether each is a group of objects, with a hatched mask and a dashed box.

    Returns
    -------
    ndarray of uint8, shape (h, w, 3)
        A new picture.

    Raises
    ------
    ValueError
        The arguments do not have the same length.
    """
    count = len(boxes)
    masks = [None] * count if masks is None else masks
    crowd = np.zeros(count, bool) if crowd is None else crowd
    if not len(captions) == len(masks) == len(colours) == len(crowd) == count:
        raise ValueError(
            f"captions, masks, colours and crowd need an entry for each of {plural(count, 'box')}"
        )
    canvas = picture.copy()
    shortest = min(picture.shape[:2])
    line = max(round(shortest / 240), 1)
    edges = _edges(boxes, picture.shape[:2])
    paints = [_paint(int(index)) for index in colours]
    order = np.argsort(-np.prod(edges[:, 2:] - edges[:, :2], axis=1), kind="stable").tolist()
    for number in order:
        mask = masks[number]
        if mask is not None:
            _tint(canvas, mask, paints[number], line, hatched=bool(crowd[number]))
    for number in order:
        _outline(canvas, edges[number], paints[number], line, dashed=bool(crowd[number]))
    image = Image.fromarray(canvas)
    text = _Captions(image, max(round(shortest / 38), _SMALLEST_TEXT))
    for number in order:
        text.add(captions[number], edges[number], paints[number])
    return np.asarray(image)


def _paint(index: int) -> np.ndarray:
    """A bright colour, float64 of shape (3,), 0 to 255."""
    hue = index * _HUE_STEP % 1
    return np.array(colorsys.hsv_to_rgb(hue, (0.9, 0.6, 0.75)[index % 3], 1.0)) * 255


def _edges(boxes: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """First column and row, and those after the last: int64 of shape (k, 4).

    At least a pixel; cut off a picture's length outside the picture.
    """
    height, width = size
    near = np.clip(np.asarray(boxes, np.float64).reshape(-1, 4), -_FAR, _FAR)
    first = np.rint(near[:, :2]).astype(np.int64)
    stop = np.maximum(np.rint(near[:, :2] + near[:, 2:]).astype(np.int64), first + 1)
    ends = np.array([width, height])
    return np.concatenate([first.clip(-ends, 2 * ends), stop.clip(-ends, 2 * ends)], axis=1)


def _stripes(shape: tuple[int, ...], first: tuple[int, int], width: int) -> np.ndarray:
    """Diagonal stripes of the whole picture, as a window sees them."""
    rows, columns = np.ogrid[first[0] : first[0] + shape[0], first[1] : first[1] + shape[1]]
    stripes: np.ndarray = (rows + columns) // width % 2 == 0
    return stripes


def _tint(
    canvas: np.ndarray, mask: np.ndarray, paint: np.ndarray, line: int, *, hatched: bool
) -> None:
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return
    window = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    mask, view = mask[window], canvas[window]
    inside = np.pad(mask, 1)
    inner = inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:] & mask
    tinted = mask & _stripes(mask.shape, (rows[0], columns[0]), 4 * line) if hatched else mask
    view[tinted] = np.rint(view[tinted] * (1 - _TINT) + paint * _TINT)
    view[mask & ~inner] = paint


def _outline(
    canvas: np.ndarray, edges: np.ndarray, paint: np.ndarray, line: int, *, dashed: bool
) -> None:
    height, width = canvas.shape[:2]
    x, y, right, bottom = edges.tolist()
    top, left = np.clip([y, x], 0, [height, width]).tolist()
    view = canvas[top : max(bottom, 0), left : max(right, 0)]
    rows, columns = np.ogrid[top : top + view.shape[0], left : left + view.shape[1]]
    inner = (rows >= y + line) & (rows < bottom - line)
    ring = ~(inner & (columns >= x + line) & (columns < right - line))
    view[ring & _stripes(ring.shape, (top, left), 5 * line) if dashed else ring] = paint


class _Captions:
    """Captions of one picture, each on a tab of its colour."""

    def __init__(self, image: Image.Image, size: int) -> None:
        self._draw = ImageDraw.Draw(image)
        self._size = image.size
        self._font = ImageFont.load_default(size)
        self._height = round(size * 1.25)
        self._margin = max(size // 5, 1)
        self._taken: list[tuple[int, int, int, int]] = []

    def add(self, caption: str, edges: np.ndarray, paint: np.ndarray) -> None:
        """Write at the box's upper left corner, or near it."""
        width, height = self._size
        x, y, right, bottom = edges.tolist()
        caption = self._fitted(caption)
        if not caption or x >= width or y >= height or right <= 0 or bottom <= 0:
            return
        long = round(self._draw.textlength(caption, self._font)) + 2 * self._margin
        left = min(max(x, 0), width - long)
        tops = [y - self._height, y, bottom - self._height, bottom]
        positions = [
            (left, top, left + long, top + self._height)
            for top in (min(max(top, 0), max(height - self._height, 0)) for top in tops)
        ]
        position = next((position for position in positions if self._free(position)), positions[0])
        self._taken.append(position)
        self._draw.rectangle((*position[:2], position[2] - 1, position[3] - 1), fill=_rgb(paint))
        dark = paint @ (0.299, 0.587, 0.114) < 128
        middle = (position[0] + self._margin, position[1] + self._height / 2)
        self._draw.text(middle, caption, "white" if dark else "black", self._font, anchor="lm")

    def _fitted(self, caption: str) -> str:
        """One line of printable text, cut to the width of the picture."""
        words = " ".join(caption.split())
        text = "".join(letter if letter.isprintable() else "?" for letter in words)
        room = self._size[0] - 2 * self._margin
        shown = text[:_LONGEST_CAPTION]
        while shown and self._draw.textlength(_cut(shown, text), self._font) > room:
            shown = shown[:-1]
        return _cut(shown, text) if shown else ""

    def _free(self, position: tuple[int, int, int, int]) -> bool:
        left, top, right, bottom = position
        return not any(
            left < other[2] and other[0] < right and top < other[3] and other[1] < bottom
            for other in self._taken
        )


def _cut(shown: str, text: str) -> str:
    return shown if len(shown) == len(text) else f"{shown}..."


def _rgb(paint: np.ndarray) -> tuple[int, int, int]:
    red, green, blue = np.rint(paint).astype(int).tolist()
    return red, green, blue
