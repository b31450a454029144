"""Geometry of images and boxes on the grid of blocks. Pure arithmetic.

``fit`` keeps the whole image: the long side is capped, the aspect kept, nothing is enlarged.
``crop`` is the evaluation geometry of the paper: the short side is resized, then the centre cut.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from freqprep.errors import UsageError
from freqprep.spectrum.dct import grid_of

GEOMETRIES = ("fit", "crop")
ORIENTATIONS = ("apply", "keep")
LARGEST_SIZE = 8192
"""Largest ``size`` and ``resize`` in pixels; one image's codes then take 200 MB."""


@dataclass(frozen=True)
class Placement:
    """Placement of a source image on the grid: resize, then cut.

    Attributes
    ----------
    resized : tuple of int
        Height and width after resizing.
    top, left : int
        First row and column kept.
    size : tuple of int
        Height and width kept: the valid pixels of the stored image.
    """

    resized: tuple[int, int]
    top: int
    left: int
    size: tuple[int, int]


@dataclass(frozen=True)
class Geometry:
    """Geometry of a split: how its images are resized and cut.

    Attributes
    ----------
    kind : {"fit", "crop"}
    size : int
        In pixels. ``fit``: largest long side. ``crop``: side of the square kept.
    resize : int or None
        ``crop``: the short side after resizing, in pixels. None for ``fit``.
    orientation : {"apply", "keep"}
        Whether the EXIF orientation is applied or the stored pixels kept.
    """

    kind: str
    size: int
    resize: int | None
    orientation: str

    def __post_init__(self) -> None:
        _require(self.kind in GEOMETRIES, f"geometry {self.kind!r}", "use fit or crop")
        known = self.orientation in ORIENTATIONS
        _require(known, f"orientation {self.orientation!r}", "use apply or keep")
        limits = f"use a whole number from 1 to {LARGEST_SIZE}"
        integers = type(self.size) is int and type(self.resize) in (int, type(None))
        _require(integers, f"size {self.size!r} with resize {self.resize!r}", limits)
        _require(1 <= self.size <= LARGEST_SIZE, f"size {self.size}", limits)
        if self.kind == "fit":
            _require(self.resize is None, "resize with geometry fit", "leave it out, or use crop")
        else:
            fits = self.resize is not None and self.size <= self.resize <= LARGEST_SIZE
            _require(fits, f"resize {self.resize}", f"use {self.size} (size) to {LARGEST_SIZE}")

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of blocks of every stored image."""
        return grid_of(self.size, self.size)

    def place(self, height: int, width: int) -> Placement:
        """Place a source image of ``height`` x ``width`` pixels."""
        if self.resize is None:
            resized = fit_size(height, width, self.size)
            return Placement(resized, 0, 0, resized)
        resized = short_side_size(height, width, self.resize)
        top, left = (round((side - self.size) / 2.0) for side in resized)
        return Placement(resized, top, left, (self.size, self.size))


def fit_size(height: int, width: int, cap: int) -> tuple[int, int]:
    """Shrink height and width to a long side of at most ``cap``, keeping the aspect."""
    long = max(height, width)
    if long <= cap:
        return height, width
    height, width = (max(1, math.floor(side * cap / long + 0.5)) for side in (height, width))
    return height, width


def short_side_size(height: int, width: int, short: int) -> tuple[int, int]:
    """Scale height and width to a short side of ``short``; the long side is truncated.

    The rounding is torchvision's, so that ``crop`` is its Resize and CenterCrop.
    """
    if height <= width:
        return short, int(short * width / height)
    return int(short * height / width), short


def sides_of_boxes(sizes: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return width and height of the image of each box, as boxes have their own.

    Parameters
    ----------
    sizes : ndarray, shape (n, 2)
        Height and width of each image, or any other pair of vertical and horizontal numbers.
    counts : ndarray of int, shape (n,)
        Boxes of each image.

    Returns
    -------
    ndarray, shape (sum of counts, 2)
    """
    return np.repeat(sizes[:, ::-1], counts, axis=0)


def boxes_to_stored(boxes: np.ndarray, source: tuple[int, int], place: Placement) -> np.ndarray:
    """Move boxes from source pixels to stored pixels.

    Parameters
    ----------
    boxes : ndarray of float64, shape (m, 4)
        x, y, width, height in source pixels.
    source : tuple of int
        Height and width of the source image.
    place : Placement

    Returns
    -------
    ndarray of float64, shape (m, 4)
        In stored pixels; not clipped, so that it can be inverted exactly.
    """
    down, right = (new / old for new, old in zip(place.resized, source, strict=True))
    return boxes * (right, down, right, down) - (place.left, place.top, 0, 0)


def boxes_to_source(boxes: np.ndarray, source: tuple[int, int], place: Placement) -> np.ndarray:
    """Invert `boxes_to_stored`; same parameters."""
    down, right = (new / old for new, old in zip(place.resized, source, strict=True))
    return (boxes + (place.left, place.top, 0, 0)) / (right, down, right, down)


def _require(condition: bool, what: str, remedy: str) -> None:
    if not condition:
        raise UsageError(f"{what} cannot be used", remedy)
