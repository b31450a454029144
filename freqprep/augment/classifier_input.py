"""Descriptions of a classifier's input and of its augmentation: part of a run's model.json."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from freqprep.augment.crops import CROP_DRAWS, Windows, aligned_crop, random_resized_crop
from freqprep.augment.input_moments import measure_moments, sample_rows
from freqprep.augment.input_spec import (
    RGB_MEAN,
    RGB_STD,
    InputSpec,
    check,
    check_rising,
    fields_of,
    is_finite,
    part_of_config,
    to_dict,
)
from freqprep.augment.randomness import uniforms
from freqprep.images.geometry import LARGEST_SIZE
from freqprep.spectrum import BLOCK
from freqprep.spectrum.channels import NAMES, Selection
from freqprep.store.selections import ChannelsLike, select
from freqprep.store.split import Split

_MEASURED = 512  # images that the moments are taken from


@dataclass(frozen=True, kw_only=True)
class ClassifierInput(InputSpec):
    """Input of a classifier: a square crop.

    Attributes
    ----------
    kind, read, channels, mean, std
        See `freqprep.augment.input_spec.InputSpec`.
    side : int
        Pixels of the crop along each axis; for ``frequency`` a multiple of 8.
    resize : int
        Length in pixels of an image's short side before the centre is cut in evaluation.

    Raises
    ------
    UsageError
        A value of another type or out of range, an unknown or repeated channel, a used channel
        that is not read.
    """

    side: int
    resize: int

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rising(("side", self.side), ("resize", self.resize), LARGEST_SIZE)
        aligned = self.kind == "rgb" or self.side % BLOCK == 0
        check(aligned, f"side {self.side} is not whole blocks")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns of one input."""
        side = self.side if self.kind == "rgb" else self.side // BLOCK
        return self.planes, side, side

    @classmethod
    def frequency(
        cls,
        split: Split,
        used: ChannelsLike,
        read: ChannelsLike,
        grid: int,
        policy: Policy | None = None,
    ) -> ClassifierInput:
        """Describe an input of coefficients, normalised by their moments in crops of some images.

        The split's own moments are of the images as they are stored: a crop that is enlarged has
        less in the high frequencies, one that is reduced has more. The crops are those that
        training draws, so every run with this policy gets the same numbers, whatever its seed.

        Parameters
        ----------
        split : Split
            The split to train on.
        used, read : str, int, sequence or Selection
            Channels of the input; channels to read, at least those: anything that
            `freqprep.channels` takes.
        grid : int
            Rows and columns of the input.
        policy : Policy, optional
            Augmentation that draws the crops; by default `Policy()`.

        Returns
        -------
        ClassifierInput
        """
        used, read = select(used, split), select(read, split)
        side = grid * BLOCK
        plain = cls(
            kind="frequency",
            read=read.names,
            channels=used.names,
            side=side,
            resize=_resize(split, side),
            mean=(0.0,) * len(used),
            std=(1.0,) * len(used),
        )
        rows = sample_rows(split, _MEASURED)
        draws = uniforms(0, 0, rows, CROP_DRAWS)
        windows = (Policy() if policy is None else policy).windows(split.sizes[rows], side, draws)
        mean, std = measure_moments(plain, split, rows, windows)
        return replace(plain, mean=mean, std=std)

    def fits(self, split: Split, used: Selection, read: Selection, grid: int) -> bool:
        """Return whether `frequency` makes the same of these, the moments aside."""
        mine = (self.kind, self.channels, self.read, self.side, self.resize)
        side = grid * BLOCK
        return mine == ("frequency", used.names, read.names, side, _resize(split, side))

    @classmethod
    def rgb(cls, split: Split, read: ChannelsLike = None, side: int = 224) -> ClassifierInput:
        """Describe an input of RGB pixels, normalised as ImageNet's networks expect.

        Parameters
        ----------
        split : Split
            The split to train on.
        read : str, int, sequence or Selection, optional
            Channels to read, as for `frequency`; all 192 by default.
        side : int
            Pixels of the input along each axis.

        Returns
        -------
        ClassifierInput
        """
        return cls(
            kind="rgb",
            read=NAMES if read is None else select(read, split).names,
            channels=(),
            side=side,
            resize=_resize(split, side),
            mean=RGB_MEAN,
            std=RGB_STD,
        )

    def on(self, split: Split) -> ClassifierInput:
        """Return the same input for a split of another geometry.

        Images that conversion cut to their centre are not cut again.
        """
        return self.sized(split, self.side)

    def sized(self, split: Split, side: int) -> ClassifierInput:
        """Return the same input with crops of another side in pixels, normalised as before."""
        return replace(self, side=side, resize=_resize(split, side))


@dataclass(frozen=True)
class Policy:
    """Random augmentation of a classifier's images.

    Attributes
    ----------
    scale : tuple of float
        Share of the image's area that a crop takes: smallest and largest, in 0..1.
    ratio : tuple of float
        Width / height of a crop: smallest and largest, above 0.
    flip : float
        Probability of mirroring left to right.
    brightness, contrast, saturation : float
        Strength x in 0..1: factors are uniform in 1 - x .. 1 + x; 0 leaves it out.
    grey : float
        Probability of dropping colour.
    aligned : bool
        Whether crops are whole blocks at their own size in place of resized ones: cheap, but every
        image must be at least as large as the input. ``scale`` and ``ratio`` are not used then.

    Raises
    ------
    UsageError
        A value of another type or out of range.
    """

    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    grey: float = 0.0
    aligned: bool = False

    def __post_init__(self) -> None:
        for name, most in (("scale", 1.0), ("ratio", 100.0)):
            pair = getattr(self, name)
            known = isinstance(pair, tuple) and len(pair) == 2 and all(map(is_finite, pair))
            known = known and 0 < pair[0] <= pair[1] <= most
            check(known, f"{name} {pair!r:.60} is not two numbers rising from above 0 to {most:g}")
        for name in ("flip", "brightness", "contrast", "saturation", "grey"):
            value = getattr(self, name)
            check(is_finite(value) and 0 <= value <= 1, f"{name} {value!r:.60} is not in 0..1")
        check(isinstance(self.aligned, bool), f"aligned {self.aligned!r:.60} is not true or false")

    def windows(self, sizes: np.ndarray, side: int, draws: np.ndarray) -> Windows:
        """Make the crops of some images.

        Parameters
        ----------
        sizes : ndarray of int, shape (n, 2)
            Valid height and width in pixels.
        side : int
            Pixels of a crop along each axis, once it is resized.
        draws : ndarray of float64, shape (n, CROP_DRAWS)
            Uniform in [0, 1).

        Returns
        -------
        Windows
        """
        if self.aligned:
            return aligned_crop(sizes, side, draws)
        return random_resized_crop(sizes, side, draws, self.scale, self.ratio)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON data."""
        return to_dict(self)

    @classmethod
    def from_dict(cls, document: object) -> Policy:
        """Read `to_dict`'s form, checked; raises as `ClassifierInput.from_dict`."""
        with part_of_config("augmentation"):
            return cls(**fields_of(cls, document))


def _resize(split: Split, side: int) -> int:
    """Return the usual 256 for 224, or the side itself where conversion cut images already."""
    cut = split.attributes.encoding.geometry.kind == "crop"
    return side if cut else round(side * 8 / 7)
