"""What a detector is fed, and how training varies it: plain descriptions, part of its card.

A detector's own pixels are the *frame*: the whole image, its short side of a given length unless
the long side would then be too long. Boxes, anchors and image sizes are in frame pixels. Pixels of
RGB are those of the frame; coefficients are of the image at twice that size, so that a place of
their grid is 4 x 4 frame pixels: what the stem of an RGB network would have made of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from freqprep.augment.crops import Windows
from freqprep.augment.input_spec import (
    RGB_MEAN,
    RGB_STD,
    InputSpec,
    check,
    fields_of,
    finite,
    from_a_card,
    to_dict,
    whole,
)
from freqprep.images.geometry import LARGEST_SIZE
from freqprep.models.detection import CANVAS_MULTIPLE, FRAME_STRIDES
from freqprep.progress import Progress
from freqprep.spectrum import BLOCK
from freqprep.spectrum.channels import NAMES, Selection
from freqprep.store.split import Split

ASPECT = 1333 / 800
"""Longest to short side, as published."""

_MEASURED = 32


@dataclass(frozen=True)
class DetectorInput(InputSpec):
    """What a detector is fed.

    Attributes
    ----------
    kind : {"frequency", "rgb"}
    read : tuple of str
        Names of the channels read from the store; the others count as zero.
    channels : tuple of str
        Names of the channels used, all of them read; empty for ``rgb``.
    short, longest : int
        Frame pixels of the short side, and most of the long side.
    mean, std : tuple of float
        What is subtracted and divided by: of each used channel, in coefficients; for ``rgb`` of
        each colour, in 0..255.

    Raises
    ------
    UsageError
        A value of another type or out of range, an unknown or repeated channel, a used channel
        that is not read.
    """

    kind: str
    read: tuple[str, ...]
    channels: tuple[str, ...]
    short: int
    longest: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        self.check_feed()
        for name, number in (("short", self.short), ("longest", self.longest)):
            check(whole(number), f"{name} {number!r} is not a whole number")
        check(
            1 <= self.short <= self.longest <= LARGEST_SIZE,
            f"short {self.short} and longest {self.longest} are not rising from 1 to"
            f" {LARGEST_SIZE}",
        )

    @property
    def stride(self) -> int:
        """Frame pixels a side of one place of the input."""
        return FRAME_STRIDES[self.kind]

    @property
    def enlargement(self) -> int:
        """Pixels of the resized image for one of the frame, along each axis."""
        return 1 if self.kind == "rgb" else BLOCK // self.stride

    @classmethod
    def frequency(cls, split: Split, used: Selection, read: Selection, grid: int) -> DetectorInput:
        """Coefficients, normalised by their moments in some images of the split.

        The split's own moments are of the images as they are stored: enlarged two or three times,
        they have far less in the high frequencies.

        Parameters
        ----------
        split : Split
            Of training.
        used, read : Selection
            Channels of the input; channels read, at least those.
        grid : int
            Places of the short side.
        """
        short, longest = _sides(grid)
        count = len(used)
        plain = cls("frequency", read.names, used.names, short, longest, (0.0,) * count,
                    (1.0,) * count)  # fmt: skip
        mean, std = _moments(plain, split)
        return cls("frequency", read.names, used.names, short, longest, mean, std)

    def fits(self, used: Selection, read: Selection, grid: int) -> bool:
        """Whether it is what `frequency` makes of these, its moments aside."""
        mine = (self.kind, self.channels, self.read, (self.short, self.longest))
        return mine == ("frequency", used.names, read.names, _sides(grid))

    @classmethod
    def rgb(cls, read: Selection | None, grid: int) -> DetectorInput:
        """Pixels, normalised as ImageNet's networks expect; ``read`` is all channels if None."""
        names = NAMES if read is None else read.names
        return cls("rgb", names, (), *_sides(grid), RGB_MEAN, RGB_STD)

    def sizes(self, lengths: np.ndarray) -> np.ndarray:
        """DetectorInput of some images, or of boxes cut from them.

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
        return np.maximum(np.floor(lengths * scale[:, None] + 0.5), 1).astype(np.int64)

    def windows(self, start: np.ndarray, length: np.ndarray) -> Windows:
        """Boxes of stored pixels, int64 (n, 2) each, resized to their frames."""
        resized = self.enlargement * self.sizes(length)
        return Windows(start, length, resized, np.zeros_like(resized), resized)

    def canvas(self, sizes: np.ndarray) -> tuple[int, int]:
        """Height and width of the canvas that frames of these sizes share, in frame pixels."""
        largest = sizes.max(axis=0, initial=1)
        height, width = (int(-(-side // CANVAS_MULTIPLE) * CANVAS_MULTIPLE) for side in largest)
        return height, width

    def places(self, sizes: np.ndarray) -> np.ndarray:
        """Rows and columns of the input that hold some of each image: int64 (n, 2)."""
        return -(-sizes // self.stride)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return to_dict(self)

    @classmethod
    def from_dict(cls, document: object) -> DetectorInput:
        """From `to_dict`'s form, checked.

        Raises
        ------
        UsageError
            It is not that.
        """
        with from_a_card("inputs"):
            return cls(**fields_of(cls, document))


@dataclass(frozen=True)
class DetectorPolicy:
    """How training varies a detector's images.

    Attributes
    ----------
    flip : float
        Probability of mirroring left to right.
    smallest_crop : float
        In 0..1: each side of a crop is a uniform share of the image's, from this one up to all of
        it; the crop is then resized as a whole image would be. 1 takes the whole image.

    Raises
    ------
    UsageError
        A value of another type or out of range.
    """

    flip: float = 0.5
    smallest_crop: float = 1.0

    def __post_init__(self) -> None:
        known = finite(self.flip) and 0 <= self.flip <= 1
        check(known, f"flip {self.flip!r:.60} is not in 0..1")
        known = finite(self.smallest_crop) and 0 < self.smallest_crop <= 1
        check(known, f"smallest_crop {self.smallest_crop!r:.60} is not above 0, up to 1")

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return to_dict(self)


def _sides(grid: int) -> tuple[int, int]:
    """Short and longest side in frame pixels."""
    short = FRAME_STRIDES["frequency"] * grid
    return short, round(short * ASPECT)


def _moments(plain: DetectorInput, split: Split) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each used channel over the first valid images' frames.

    Rows of a store are permuted, so the first ones are a random sample.
    """
    rows = np.flatnonzero(split.valid)[:_MEASURED]
    codes = torch.from_numpy(split.read_codes(rows, plain.read_selection))
    resample = plain.resampler(split.attributes.encoding)
    sums = np.zeros((3, plain.planes))
    with Progress("measuring channels", len(rows)) as progress:
        for image, row in enumerate(rows):
            length = split.sizes[row].astype(np.int64)[None]
            data = resample(codes[image : image + 1], plain.windows(np.zeros_like(length), length))
            values = data[0].double().flatten(1).numpy()
            count = np.full(len(values), values.shape[1])
            sums += np.stack([count, values.sum(1), np.square(values).sum(1)])
            progress.update(1)
    mean = sums[1] / sums[0]
    std = np.sqrt(np.maximum(sums[2] / sums[0] - mean**2, 0))
    # A channel that is the same everywhere (chroma of grey images) has nothing to scale.
    std = np.where(std > 1e-3, std, 1)
    return _rounded(mean), _rounded(std)


def _rounded(values: Sequence[float] | np.ndarray) -> tuple[float, ...]:
    """Six digits: all that such a sample knows."""
    return tuple(float(f"{value:.6g}") for value in values)
