"""What a network is fed, and how training varies it: plain descriptions, part of a model's card.

Cards are files, so whatever is read from one is checked: types, ranges, names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from freqprep.errors import UsageError, some
from freqprep.geometry import LARGEST_SIZE
from freqprep.models.rgb import IMAGENET_MEAN, IMAGENET_STD
from freqprep.spectrum import BLOCK
from freqprep.spectrum.channels import CHANNELS, NAMES, Selection, channels
from freqprep.store.split import Split

KINDS = ("frequency", "rgb")

_SMALLEST, _LARGEST = 1e-30, 1e30  # float32 holds them


@dataclass(frozen=True)
class Inputs:
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
        _check(self.kind in KINDS, f"kind {self.kind!r} is neither of {', '.join(KINDS)}")
        _check_names("read", self.read)
        _check(len(self.read) > 0, "no channels are read")
        _check_names("channels", self.channels)
        if missing := [name for name in self.channels if name not in self.read]:
            raise UsageError(
                f"channels are used that are not read: {some(missing)}",
                "read at least the channels that the network uses",
            )
        frequency = self.kind == "frequency"
        _check(bool(self.channels) == frequency, f"{len(self.channels)} channels for {self.kind}")
        for name, number in (("side", self.side), ("resize", self.resize)):
            _check(_whole(number), f"{name} {number!r} is not a whole number")
        _check(
            1 <= self.side <= self.resize <= LARGEST_SIZE,
            f"side {self.side} and resize {self.resize} are not rising from 1 to {LARGEST_SIZE}",
        )
        _check(not frequency or self.side % BLOCK == 0, f"side {self.side} is not whole blocks")
        count = len(self.channels) if frequency else 3
        for name, values in (("mean", self.mean), ("std", self.std)):
            known = isinstance(values, tuple) and all(map(_finite, values))
            _check(known, f"{name} {values!r:.60} is not finite numbers")
            _check(len(values) == count, f"{len(values)} values of {name} for {count} channels")
        _check(all(value >= _SMALLEST for value in self.std), "a std is not above 0")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns of one input."""
        if self.kind == "rgb":
            return 3, self.side, self.side
        return len(self.channels), self.side // BLOCK, self.side // BLOCK

    @property
    def read_selection(self) -> Selection:
        """The channels read."""
        return channels(list(self.read))

    @property
    def used_selection(self) -> Selection | None:
        """The channels used; None for ``rgb``."""
        return channels(list(self.channels)) if self.channels else None

    @classmethod
    def frequency(cls, split: Split, used: Selection, read: Selection, grid: int) -> Inputs:
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
    def rgb(cls, split: Split, read: Selection | None = None, side: int = 224) -> Inputs:
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
        mean, std = (
            tuple(255 * value for value in values) for values in (IMAGENET_MEAN, IMAGENET_STD)
        )
        return cls("rgb", names, (), side, _resize(split, side), mean, std)

    def on(self, split: Split) -> Inputs:
        """The same input from a split of another geometry: what was cut is not cut again."""
        return replace(self, resize=_resize(split, self.side))

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return _to_dict(self)

    @classmethod
    def from_dict(cls, document: object) -> Inputs:
        """From `to_dict`'s form, checked.

        Raises
        ------
        UsageError
            It is not that.
        """
        with _from_a_card("inputs"):
            return cls(**_fields(cls, document))


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
            known = isinstance(pair, tuple) and len(pair) == 2 and all(map(_finite, pair))
            known = known and 0 < pair[0] <= pair[1] <= most
            _check(known, f"{name} {pair!r:.60} is not two numbers rising from above 0 to {most:g}")
        for name in ("flip", "brightness", "contrast", "saturation", "grey"):
            value = getattr(self, name)
            _check(_finite(value) and 0 <= value <= 1, f"{name} {value!r:.60} is not in 0..1")
        _check(isinstance(self.aligned, bool), f"aligned {self.aligned!r:.60} is not true or false")

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return _to_dict(self)

    @classmethod
    def from_dict(cls, document: object) -> Policy:
        """From `to_dict`'s form, checked; as `Inputs.from_dict`."""
        with _from_a_card("augmentation"):
            return cls(**_fields(cls, document))


def _resize(split: Split, side: int) -> int:
    """The usual 256 for 224; images that were cut to their centre before are not cut again."""
    cut = split.attributes.encoding.geometry.kind == "crop"
    return side if cut else round(side * 8 / 7)


def _to_dict(record: Inputs | Policy) -> dict[str, Any]:
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(record).items()
    }


@contextmanager
def _from_a_card(part: str) -> Iterator[None]:
    """What is wrong then was not asked for by the user: name the file."""
    try:
        yield
    except UsageError as error:
        raise UsageError(
            f"the {part} of the model card cannot be used: {error.message}",
            "restore the card, or train again",
        ) from None


def _fields(cls: type[Inputs] | type[Policy], document: object) -> dict[str, Any]:
    """A JSON object's values by name, lists as tuples, if it has exactly the fields."""
    if not isinstance(document, Mapping):
        raise UsageError(f"{type(document).__name__} in place of an object")
    names = {field.name for field in fields(cls)}
    if odd := sorted(map(str, names ^ set(document))):
        raise UsageError(f"fields that are missing or unknown: {some(odd)}")
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in document.items()
    }


def _check_names(what: str, names: object) -> None:
    known = isinstance(names, tuple) and all(isinstance(name, str) for name in names)
    _check(known, f"{what} {names!r:.60} is not names of channels")
    assert isinstance(names, tuple)
    _check(len(names) <= CHANNELS, f"{len(names)} names in {what}: there are {CHANNELS} channels")
    if names:
        channels(names)  # names what is unknown or repeated


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _finite(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return abs(value) <= _LARGEST


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise UsageError(message)
