"""Training targets of a detector: objects cut, resized and mirrored as their image is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from freqprep.augment.transfer import send_all
from freqprep.images.geometry import sides_of_boxes
from freqprep.images.rle import decode_mask
from freqprep.store.object_table import ObjectTable

SMALLEST = 1.0
"""Smallest extent in frame pixels, along each axis, of an object that is a target."""


@dataclass(frozen=True)
class Move:
    """Crop, resize and mirroring of one image's stored pixels.

    Attributes
    ----------
    start, length : tuple of int
        First pixel of the crop and its length in pixels; vertical, horizontal.
    frame : tuple of int
        Height and width that the crop is resized to.
    flip : bool
        Whether it is mirrored left to right.
    """

    start: tuple[int, int]
    length: tuple[int, int]
    frame: tuple[int, int]
    flip: bool

    def boxes(self, boxes: np.ndarray) -> np.ndarray:
        """Move boxes to the frame; they are not clipped.

        Parameters
        ----------
        boxes : ndarray of float64, shape (k, 4)
            x, y, width, height in stored pixels.

        Returns
        -------
        ndarray of float64, shape (k, 4)
            x1, y1, x2, y2 in frame pixels.
        """
        down, right = (new / old for new, old in zip(self.frame, self.length, strict=True))
        x, y, width, height = boxes.T
        left, top = (x - self.start[1]) * right, (y - self.start[0]) * down
        sides = left, left + width * right
        if self.flip:
            sides = self.frame[1] - sides[1], self.frame[1] - sides[0]
        return np.stack([sides[0], top, sides[1], top + height * down], axis=1)

    def sources(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the stored row under the centre of each row of the frame, and column: int64."""
        rows, columns = (
            start + ((np.arange(new) + 0.5) * length / new).astype(np.int64)
            for start, length, new in zip(self.start, self.length, self.frame, strict=True)
        )
        return rows, columns[::-1].copy() if self.flip else columns


def visible_extents(objects: ObjectTable, sizes: np.ndarray) -> np.ndarray:
    """Measure what of each box is within its stored image.

    Parameters
    ----------
    objects : ObjectTable
    sizes : ndarray of int, shape (n, 2)
        Height and width of each stored image.

    Returns
    -------
    ndarray of float64, shape (m, 2)
        Width and height in stored pixels; 0 or less without an area, or wholly outside.
    """
    side = sides_of_boxes(sizes, np.diff(objects.offsets))
    near, extent = objects.box[:, :2], objects.box[:, 2:]
    with np.errstate(over="ignore"):  # infinitely far is outside, too
        far = near + extent
    visible: np.ndarray = np.clip(far, 0, side) - np.clip(near, 0, side)
    return visible


def targets_of(
    objects: ObjectTable,
    row: int,
    size: tuple[int, int],
    move: Move,
    masks: bool,
    device: torch.device,
) -> dict[str, Tensor]:
    """Make the targets of a detector in one image.

    Boxes are clipped to the frame; objects of which less than a pixel is left along an axis are
    left out, as are boxes without area.

    Parameters
    ----------
    objects : ObjectTable
    row : int
        Row number of the image.
    size : tuple of int
        Height and width of the stored image.
    move : Move
    masks : bool
        Whether to make masks. An object without one gets its box as mask.
    device : torch.device
        Device of the targets; masks are resized there, which is quicker than on the CPU.

    Returns
    -------
    dict of str to Tensor
        ``boxes`` float32 (k, 4), x1, y1, x2, y2 in the frame; ``labels`` int64 (k,), from 1 on:
        0 is the background; ``iscrowd`` bool (k,); and ``masks`` uint8 (k, height, width).
    """
    return targets_of_images(objects, [row], [size], [move], masks, device)[0]


def targets_of_images(
    objects: ObjectTable,
    rows: Sequence[int],
    sizes: Sequence[tuple[int, int]],
    moves: Sequence[Move],
    masks: bool,
    device: torch.device,
) -> list[dict[str, Tensor]]:
    """Make the targets in several images, sent to the device in one copy; see `targets_of`."""
    parts = [
        _arrays(objects, row, size, move, masks)
        for row, size, move in zip(rows, sizes, moves, strict=True)
    ]
    sent = iter(send_all([array for part in parts for array in part.values()], device))
    targets = [dict(zip(part, sent, strict=False)) for part in parts]
    for target in targets:
        if masks:
            down, across = target.pop("down"), target.pop("across")
            # Rows are copied as they lie, so the columns of fewer rows are picked first.
            target["masks"] = target["masks"].index_select(2, across).index_select(1, down)
    return targets


def _arrays(
    objects: ObjectTable, row: int, size: tuple[int, int], move: Move, masks: bool
) -> dict[str, np.ndarray]:
    """Make the targets in one image, and what moves its stored masks to the frame."""
    mine = objects.of(row)
    height, width = move.frame
    boxes = np.clip(move.boxes(objects.box[mine]), 0, [width, height, width, height])
    left = np.flatnonzero((boxes[:, 2:] - boxes[:, :2] >= SMALLEST).all(axis=1))
    found = {
        "boxes": boxes[left].astype(np.float32),
        "labels": objects.label[mine][left] + 1,
        "iscrowd": objects.iscrowd[mine][left],
    }
    if masks:
        down, across = move.sources()
        found["masks"] = _stored_masks(objects, mine.start + left, size)
        found |= {"down": down, "across": across}
    return found


def _stored_masks(objects: ObjectTable, numbers: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Decode the masks of some objects of one stored image: uint8 (k, height, width)."""
    masks = np.zeros((len(numbers), *size), np.uint8)
    for mask, number in zip(masks, numbers.tolist(), strict=True):
        if counts := objects.masks.bytes_at(number):
            mask[:] = decode_mask(counts, size)
        else:
            x, y, width, height = objects.box[number]
            rows = slice(max(round(y), 0), max(round(y + height), 0))
            mask[rows, max(round(x), 0) : max(round(x + width), 0)] = 1
    return masks
