"""Descriptions of a detector's input and of its augmentation: part of a run's model.json.

A detector's own pixels are the *frame*: the whole image, its short side of a given length unless
the long side would then be too long. Boxes, anchors and image sizes are in frame pixels. Pixels of
RGB are those of the frame; coefficients are of the image at twice that size, so that one position
of their grid is 4 x 4 frame pixels: what the stem of an RGB network would have made of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from freqprep.augment.crops import Windows
from freqprep.augment.input_moments import measure_moments, sample_rows
from freqprep.augment.input_spec import (
    RGB_MEAN,
    RGB_STD,
    InputSpec,
    check,
    check_rising,
    is_finite,
    to_dict,
)
from freqprep.images.geometry import LARGEST_SIZE
from freqprep.models.detection import CANVAS_MULTIPLE, FRAME_STRIDES
from freqprep.spectrum import BLOCK
from freqprep.spectrum.channels import NAMES, Selection
from freqprep.store.selections import ChannelsLike, select
from freqprep.store.split import Split

ASPECT = 1333 / 800
"""Ratio of the longest side to the short side, as published."""

_MEASURED = 32  # images that the moments are taken from


@dataclass(frozen=True, kw_only=True)
class DetectorInput(InputSpec):
    """Input of a detector: whole images, resized.

    Attributes
    ----------
    kind, read, channels, mean, std
        See `freqprep.augment.input_spec.InputSpec`.
    short, longest : int
        Length of the short side, and the largest of the long side, in frame pixels.

    Raises
    ------
    UsageError
        A value of another type or out of range, an unknown or repeated channel, a used channel
        that is not read.
    """

    short: int
    longest: int

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rising(("short", self.short), ("longest", self.longest), LARGEST_SIZE)

    @property
    def stride(self) -> int:
        """Frame pixels per grid position, along each axis."""
        return FRAME_STRIDES[self.kind]

    @property
    def grid(self) -> int:
        """Grid positions of the short side of coefficients."""
        return self.short // FRAME_STRIDES["frequency"]

    @property
    def enlargement(self) -> int:
        """Pixels of the resized image per frame pixel, along each axis."""
        return 1 if self.kind == "rgb" else BLOCK // self.stride

    @classmethod
    def frequency(
        cls, split: Split, used: ChannelsLike, read: ChannelsLike, grid: int
    ) -> DetectorInput:
        """Describe an input of coefficients, normalised by their moments in some images.

        The split's own moments are of the images as they are stored: enlarged two or three times,
        they have far less in the high frequencies.

        Parameters
        ----------
        split : Split
            The split to train on.
        used, read : str, int, sequence or Selection
            Channels of the input; channels to read, at least those: anything that
            `freqprep.channels` takes.
        grid : int
            Grid positions of the short side.

        Returns
        -------
        DetectorInput
        """
        used, read = select(used, split), select(read, split)
        short, longest = _sides(grid)
        plain = cls(
            kind="frequency",
            read=read.names,
            channels=used.names,
            short=short,
            longest=longest,
            mean=(0.0,) * len(used),
            std=(1.0,) * len(used),
        )
        rows = sample_rows(split, _MEASURED)
        mean, std = measure_moments(plain, split, rows, plain.whole_images(split.sizes[rows]))
        return replace(plain, mean=mean, std=std)

    def fits(self, used: Selection, read: Selection, grid: int) -> bool:
        """Return whether `frequency` makes the same of these, the moments aside."""
        mine = (self.kind, self.channels, self.read, (self.short, self.longest))
        return mine == ("frequency", used.names, read.names, _sides(grid))

    @classmethod
    def rgb(cls, read: Selection | None, grid: int) -> DetectorInput:
        """Describe an input of RGB pixels, normalised as ImageNet's networks expect.

        Parameters
        ----------
        read : Selection or None
            Channels to read; None: all 192.
        grid : int
            A quarter of the short side in frame pixels: grid positions of coefficients.

        Returns
        -------
        DetectorInput
        """
        short, longest = _sides(grid)
        return cls(
            kind="rgb",
            read=NAMES if read is None else read.names,
            channels=(),
            short=short,
            longest=longest,
            mean=RGB_MEAN,
            std=RGB_STD,
        )

    def frame_sizes(self, lengths: np.ndarray) -> np.ndarray:
        """Compute the frames of some images, or of boxes cut from them.

        Parameters
        ----------
        lengths : ndarray of int, shape (n, 2)
            Height and width in stored pixels, at least 1.

        Returns
        -------
        ndarray of int64, shape (n, 2)
            Height and width in frame pixels; the aspect is kept, halves are rounded up.
        """
        lengths = np.asarray(lengths, np.float64).reshape(-1, 2)
        scale = np.minimum(self.short / lengths.min(axis=1), self.longest / lengths.max(axis=1))
        sizes: np.ndarray = np.maximum(np.floor(lengths * scale[:, None] + 0.5), 1)
        return sizes.astype(np.int64)

    def windows(self, start: np.ndarray, length: np.ndarray) -> Windows:
        """Resize boxes of stored pixels to their frames; ``start`` and ``length``: int64 (n, 2)."""
        resized = self.enlargement * self.frame_sizes(length)
        return Windows(start, length, resized, np.zeros_like(resized), resized)

    def whole_images(self, sizes: np.ndarray) -> Windows:
        """Resize whole images to their frames; ``sizes``: int (n, 2), in stored pixels."""
        sizes = sizes.astype(np.int64)
        return self.windows(np.zeros_like(sizes), sizes)

    def canvas(self, sizes: np.ndarray) -> tuple[int, int]:
        """Compute height and width of the canvas for frames of these sizes, in frame pixels."""
        largest = sizes.max(axis=0, initial=1)
        height, width = (int(-(-side // CANVAS_MULTIPLE) * CANVAS_MULTIPLE) for side in largest)
        return height, width

    def grid_sizes(self, sizes: np.ndarray) -> np.ndarray:
        """Compute rows and columns of the input that each frame reaches into: int64 (n, 2)."""
        grid: np.ndarray = -(-sizes // self.stride)
        return grid


@dataclass(frozen=True)
class DetectorPolicy:
    """Random augmentation of a detector's images.

    Attributes
    ----------
    flip : float
        Probability of mirroring left to right.
    smallest_crop : float
        Smallest share of the image's side that a crop's side takes, above 0 and up to 1: shares
        are uniform between it and 1. The crop is resized as a whole image would be.

    Raises
    ------
    UsageError
        A value of another type or out of range.
    """

    flip: float = 0.5
    smallest_crop: float = 1.0

    def __post_init__(self) -> None:
        known = is_finite(self.flip) and 0 <= self.flip <= 1
        check(known, f"flip {self.flip!r:.60} is not in 0..1")
        known = is_finite(self.smallest_crop) and 0 < self.smallest_crop <= 1
        check(known, f"smallest_crop {self.smallest_crop!r:.60} is not above 0, up to 1")

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON data."""
        return to_dict(self)


def _sides(grid: int) -> tuple[int, int]:
    """Compute the short and the longest side in frame pixels."""
    short = FRAME_STRIDES["frequency"] * grid
    return short, round(short * ASPECT)
