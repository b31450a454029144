"""Crops and sizes: which part of each image is taken, and what it is resized to. Pure numpy.

Boxes are stored pixels inside the valid part of an image: first crop, then resize, as torchvision
does, so that no pixel outside the box contributes.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from freqprep.errors import UsageError
from freqprep.spectrum import BLOCK

_TRIES = 10
CROP_DRAWS = 2 * _TRIES + 2
"""Number of uniform draws that a random crop of one image takes."""


@dataclass(frozen=True)
class Windows:
    """Crops of n images: a box is resized, and a part of the result kept.

    All arrays are int64 of shape (n, 2): vertical, horizontal.

    Attributes
    ----------
    start : ndarray
        First stored pixel of the box.
    length : ndarray
        Length of the box in pixels.
    resized : ndarray
        Length of the resized box in pixels.
    offset : ndarray
        First resized pixel that is kept.
    kept : ndarray
        Number of resized pixels that are kept.
    """

    start: np.ndarray
    length: np.ndarray
    resized: np.ndarray
    offset: np.ndarray
    kept: np.ndarray

    def __len__(self) -> int:
        return len(self.start)

    def take(self, images: np.ndarray | slice) -> Windows:
        """Select the windows of some of the images."""
        return Windows(*(getattr(self, field.name)[images] for field in fields(self)))

    @property
    def on_blocks(self) -> bool:
        """Whether all windows are equally many whole blocks, not resized."""
        first = self.start + self.offset
        alike = (self.kept == self.kept[:1]).all() and (self.kept % BLOCK == 0).all()
        return bool(alike and (self.length == self.resized).all() and (first % BLOCK == 0).all())


def random_resized_crop(
    sizes: np.ndarray,
    side: int,
    draws: np.ndarray,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Windows:
    """Draw boxes of random area and aspect, resized to ``side`` x ``side``, as torchvision does.

    Up to ten tries of an area, uniform in ``scale`` of the image's, and an aspect ratio, uniform
    in its logarithm; the first box that fits is laid at a uniformly random position. If none fits,
    the largest central box whose aspect is within ``ratio`` is taken (the algorithm of
    ``torchvision.transforms.v2.RandomResizedCrop``).

    Parameters
    ----------
    sizes : ndarray of int, shape (n, 2)
        Valid height and width in pixels, at least 1.
    side : int
        Pixels of the output along each axis.
    draws : ndarray of float64, shape (n, 22)
        Uniform in [0, 1): the areas and the ratios of ten tries, vertical and horizontal position.
    scale : tuple of float
        Smallest and largest share of the image's area.
    ratio : tuple of float
        Smallest and largest width / height.

    Returns
    -------
    Windows
    """
    height, width = checked_sizes(sizes).T
    tries, positions = draws[:, : 2 * _TRIES].reshape(-1, 2, _TRIES), draws[:, 2 * _TRIES :]
    area = (height * width)[:, None] * (scale[0] + (scale[1] - scale[0]) * tries[:, 0])
    low, high = np.log(ratio)
    aspect = np.exp(low + (high - low) * tries[:, 1])
    boxes = np.rint(np.stack([np.sqrt(area / aspect), np.sqrt(area * aspect)], axis=-1))
    limits = np.stack([height, width], axis=-1)
    fits = ((boxes > 0) & (boxes <= limits[:, None])).all(axis=-1)
    first = fits.argmax(axis=1)
    length = boxes[np.arange(len(boxes)), first].astype(np.int64)
    start = np.floor(positions * (limits - length + 1)).astype(np.int64)
    central = _central_box(height, width, ratio)
    found = fits.any(axis=1)[:, None]
    length = np.where(found, length, central)
    start = np.where(found, start, (limits - central) // 2)
    sides = np.full_like(length, side)
    return Windows(start, length, sides, np.zeros_like(length), sides)


def _central_box(height: np.ndarray, width: np.ndarray, ratio: tuple[float, float]) -> np.ndarray:
    """Compute height and width of the largest box within the ratios."""
    aspect = width / height
    tall, wide = aspect < min(ratio), aspect > max(ratio)
    return np.stack(
        [
            np.where(tall, np.rint(width / min(ratio)), height),
            np.where(wide, np.rint(height * max(ratio)), width),
        ],
        axis=-1,
    ).astype(np.int64)


def resized_center_crop(sizes: np.ndarray, resize: int, side: int) -> Windows:
    """Resize the short side to ``resize`` and keep the central ``side`` x ``side``.

    The roundings are those of torchvision's Resize (the long side is truncated) and CenterCrop
    (the first pixel is rounded, halves to even).

    Parameters
    ----------
    sizes : ndarray of int, shape (n, 2)
        Valid height and width in pixels, at least 1.
    resize, side : int
        In pixels; ``side`` at most ``resize``.

    Returns
    -------
    Windows
    """
    if not 1 <= side <= resize:
        raise UsageError(
            f"a centre of {side} pixels cannot be cut from a short side of {resize}",
            "resize to at least the side",
        )
    sizes = checked_sizes(sizes)
    short = sizes.min(axis=1, keepdims=True)
    resized = np.where(sizes == short, resize, (resize * sizes / short).astype(np.int64))
    offset = np.rint((resized - side) / 2).astype(np.int64)
    return Windows(np.zeros_like(sizes), sizes, resized, offset, np.full_like(sizes, side))


def aligned_crop(sizes: np.ndarray, side: int, draws: np.ndarray) -> Windows:
    """Draw ``side`` x ``side`` boxes of whole blocks; nothing is resized.

    Blocks that the edge of the image cuts are left out: part of them is padding.

    Parameters
    ----------
    sizes : ndarray of int, shape (n, 2)
        Valid height and width in pixels.
    side : int
        Pixels, a multiple of 8.
    draws : ndarray of float64, shape (n, >= 2)
        Uniform in [0, 1): vertical and horizontal position.

    Returns
    -------
    Windows

    Raises
    ------
    UsageError
        An image has too few whole blocks, or the side is no multiple of 8.
    """
    if side % BLOCK:
        raise UsageError(
            f"a side of {side} pixels is not whole blocks", f"use a multiple of {BLOCK}"
        )
    sizes = checked_sizes(sizes)
    spare = sizes // BLOCK - side // BLOCK
    if (spare < 0).any():
        height, width = sizes[np.argmin(spare.min(axis=1))]
        raise UsageError(
            f"an image of {height}x{width} pixels has no {side}x{side} of whole blocks",
            "use a smaller grid, or resized crops",
        )
    start = BLOCK * np.floor(draws[:, :2] * (spare + 1)).astype(np.int64)
    length = np.full_like(start, side)
    return Windows(start, length, length, np.zeros_like(start), length)


def checked_sizes(sizes: np.ndarray) -> np.ndarray:
    """Return heights and widths as int64 (n, 2), none of them 0.

    Raises
    ------
    UsageError
        An image has no pixels: its row was rejected.
    """
    sizes = np.asarray(sizes).astype(np.int64).reshape(-1, 2)
    if sizes.size and sizes.min() < 1:
        raise UsageError(
            f"image {int(np.argmin(sizes.min(axis=1)))} of the batch has no pixels",
            "leave out rows that were rejected (split.valid)",
        )
    return sizes
