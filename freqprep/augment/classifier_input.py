"""What a classifier is fed, and how training varies it: plain descriptions, part of its card."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

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
from freqprep.spectrum import BLOCK
from freqprep.spectrum.channels import NAMES, Selection
from freqprep.store.split import Split


@dataclass(frozen=True)
class ClassifierInput(InputSpec):
    """What a network is fed.

    Attributes
    ----------
    kind : {"frequency", "rgb"}
    read : tuple of str
        Names of the channels read from the store; the others count as zero.
    channels : tuple of str
        Names of the channels used, all of them read; empty for ``rgb``.
    side : int
        Pixels of the crop along each axis; for ``frequency`` a multiple of 8.
    resize : int
        Evaluation: the short side in pixels before the centre is cut.
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
    side: int
    resize: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        self.check_feed()
        for name, number in (("side", self.side), ("resize", self.resize)):
            check(whole(number), f"{name} {number!r} is not a whole number")
        check(
            1 <= self.side <= self.resize <= LARGEST_SIZE,
            f"side {self.side} and resize {self.resize} are not rising from 1 to {LARGEST_SIZE}",
        )
        aligned = self.kind == "rgb" or self.side % BLOCK == 0
        check(aligned, f"side {self.side} is not whole blocks")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns of one input."""
        side = self.side if self.kind == "rgb" else self.side // BLOCK
        return self.planes, side, side

    @classmethod
    def frequency(
        cls, split: Split, used: Selection, read: Selection, grid: int
    ) -> ClassifierInput:
        """Coefficients, normalised by the split's own moments.

        Parameters
        ----------
        split : Split
            Of training.
        used, read : Selection
            Channels of the input; channels read, at least those.
        grid : int
            Rows and columns of the input.
        """
        order = list(used.indices)
        mean = split.moments.mean(split.steps)[order]
        std = split.moments.std(split.steps)[order]
        # A channel that is the same everywhere (chroma of grey images) has nothing to scale.
        std = np.where(std > 0, std, 1)
        side = grid * BLOCK
        resize = _resize(split, side)
        return cls(
            "frequency",
            read.names,
            used.names,
            side,
            resize,
            tuple(mean.tolist()),
            tuple(std.tolist()),
        )

    @classmethod
    def rgb(cls, split: Split, read: Selection | None = None, side: int = 224) -> ClassifierInput:
        """Pixels, normalised as ImageNet's networks expect.

        Parameters
        ----------
        split : Split
        read : Selection, optional
            All 192 channels by default.
        side : int
            Pixels of the input along each axis.
        """
        names = NAMES if read is None else read.names
        return cls("rgb", names, (), side, _resize(split, side), RGB_MEAN, RGB_STD)

    def on(self, split: Split) -> ClassifierInput:
        """The same input from a split of another geometry: what was cut is not cut again."""
        return replace(self, resize=_resize(split, self.side))

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return to_dict(self)

    @classmethod
    def from_dict(cls, document: object) -> ClassifierInput:
        """From `to_dict`'s form, checked.

        Raises
        ------
        UsageError
            It is not that.
        """
        with from_a_card("inputs"):
            return cls(**fields_of(cls, document))


@dataclass(frozen=True)
class Policy:
    """How training varies its images.

    Attributes
    ----------
    scale : tuple of float
        Share of the image's area that a crop takes: smallest and largest, in 0..1.
    ratio : tuple of float
        Width / height of a crop: smallest and largest, above 0.
    flip : float
        Probability of mirroring left to right.
    brightness, contrast, saturation : float
        In 0..1: factors are uniform in 1 - x .. 1 + x; 0 leaves it out.
    grey : float
        Probability of dropping colour.
    aligned : bool
        Crops of whole blocks at their own size in place of resized ones: no product is needed, but
        every image must be as large as the input; ``scale`` and ``ratio`` have no meaning then.

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
            known = isinstance(pair, tuple) and len(pair) == 2 and all(map(finite, pair))
            known = known and 0 < pair[0] <= pair[1] <= most
            check(known, f"{name} {pair!r:.60} is not two numbers rising from above 0 to {most:g}")
        for name in ("flip", "brightness", "contrast", "saturation", "grey"):
            value = getattr(self, name)
            check(finite(value) and 0 <= value <= 1, f"{name} {value!r:.60} is not in 0..1")
        check(isinstance(self.aligned, bool), f"aligned {self.aligned!r:.60} is not true or false")

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return to_dict(self)

    @classmethod
    def from_dict(cls, document: object) -> Policy:
        """From `to_dict`'s form, checked; as `ClassifierInput.from_dict`."""
        with from_a_card("augmentation"):
            return cls(**fields_of(cls, document))


def _resize(split: Split, side: int) -> int:
    """The usual 256 for 224; images that were cut to their centre before are not cut again."""
    cut = split.attributes.encoding.geometry.kind == "crop"
    return side if cut else round(side * 8 / 7)
