"""Annotated objects moved along with their image: cut, resized and mirrored as its pixels are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from freqprep.masks import decode_mask
from freqprep.store.objects import ObjectTable

SMALLEST = 1.0
"""Frame pixels: objects of which less is left along an axis are no targets."""


@dataclass(frozen=True)
class Move:
    """What becomes of one image's stored pixels.

    Attributes
    ----------
    start, length : tuple of int
        Vertical and horizontal first pixel of the box that is taken, and its pixels.
    frame : tuple of int
        Height and width that it is resized to.
    flip : bool
        Whether it is mirrored left to right.
    """

    start: tuple[int, int]
    length: tuple[int, int]
    frame: tuple[int, int]
    flip: bool

    def boxes(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes in the frame, not clipped.

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

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """A mask in the frame: each pixel takes the stored one under its centre.

        Parameters
        ----------
        mask : ndarray of bool, shape (height, width)
            Of the stored image.

        Returns
        -------
        ndarray of uint8, shape ``frame``
        """
        rows, columns = (
            start + ((np.arange(new) + 0.5) * length / new).astype(np.int64)
            for start, length, new in zip(self.start, self.length, self.frame, strict=True)
        )
        return mask[np.ix_(rows, columns[::-1] if self.flip else columns)].astype(np.uint8)


def targets_of(
    objects: ObjectTable, row: int, size: tuple[int, int], move: Move, masks: bool
) -> dict[str, Tensor]:
    """What a detector is to find in an image.

    Boxes are clipped to the frame; objects of which less than a pixel is left along an axis are
    left out, as are boxes that have no area in the first place.

    Parameters
    ----------
    objects : ObjectTable
    row : int
        Of the image.
    size : tuple of int
        Height and width of the stored image.
    move : Move
    masks : bool
        Whether masks are wanted. An object without one gets its box as mask.

    Returns
    -------
    dict of str to Tensor
        ``boxes`` float32 (k, 4), x1, y1, x2, y2 in the frame; ``labels`` int64 (k,), from 1 on:
        0 is the background; ``iscrowd`` bool (k,); and ``masks`` uint8 (k, height, width).
    """
    mine = objects.of(row)
    height, width = move.frame
    boxes = np.clip(move.boxes(objects.box[mine]), 0, [width, height, width, height])
    left = np.flatnonzero((boxes[:, 2:] - boxes[:, :2] >= SMALLEST).all(axis=1))
    found = {
        "boxes": torch.from_numpy(boxes[left].astype(np.float32)),
        "labels": torch.from_numpy(objects.label[mine][left] + 1),
        "iscrowd": torch.from_numpy(objects.iscrowd[mine][left]),
    }
    if masks:
        moved = np.zeros((len(left), *move.frame), np.uint8)
        for place, number in enumerate(left.tolist()):
            counts = objects.masks.bytes_at(mine.start + number)
            if counts:
                moved[place] = move.mask(decode_mask(counts, size))
            else:
                x1, y1, x2, y2 = np.rint(boxes[number]).astype(int)
                moved[place, y1:y2, x1:x2] = 1
        found["masks"] = torch.from_numpy(moved)
    return found
