"""What all networks' inputs have in common, and how descriptions of them come from a card.

Cards are files, so whatever is read from one is checked: types, ranges, names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, fields
from typing import Any

import torch
from torch import Tensor

from freqprep.augment import color_transforms
from freqprep.augment.resample import Resampler
from freqprep.errors import UsageError, some
from freqprep.images.encoding import Encoding
from freqprep.models.rgb import IMAGENET_MEAN, IMAGENET_STD
from freqprep.spectrum.channels import CHANNELS, Selection, channels

KINDS = ("frequency", "rgb")

_SMALLEST, _LARGEST = 1e-30, 1e30  # float32 holds them

RGB_MEAN, RGB_STD = (
    tuple(255 * value for value in values) for values in (IMAGENET_MEAN, IMAGENET_STD)
)
"""What ImageNet's networks expect, of each colour in 0..255."""


class InputSpec:
    """Channels and their normalisation; what becomes of an image's size, its heirs say.

    Attributes
    ----------
    kind : {"frequency", "rgb"}
    read : tuple of str
        Names of the channels read from the store; the others count as zero.
    channels : tuple of str
        Names of the channels used, all of them read; empty for ``rgb``.
    mean, std : tuple of float
        What is subtracted and divided by: of each used channel, in coefficients; for ``rgb`` of
        each colour, in 0..255.
    """

    kind: str
    read: tuple[str, ...]
    channels: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def check_feed(self) -> None:
        """Refuse values of another type or out of range.

        Raises
        ------
        UsageError
        """
        check(self.kind in KINDS, f"kind {self.kind!r} is neither of {', '.join(KINDS)}")
        _check_names("read", self.read)
        check(len(self.read) > 0, "no channels are read")
        _check_names("channels", self.channels)
        if missing := [name for name in self.channels if name not in self.read]:
            raise UsageError(
                f"channels are used that are not read: {some(missing)}",
                "read at least the channels that the network uses",
            )
        frequency = self.kind == "frequency"
        check(bool(self.channels) == frequency, f"{len(self.channels)} channels for {self.kind}")
        for name, values in (("mean", self.mean), ("std", self.std)):
            known = isinstance(values, tuple) and all(map(finite, values))
            check(known, f"{name} {values!r:.60} is not finite numbers")
            check(len(values) == self.planes, f"{len(values)} values of {name}, not {self.planes}")
        check(all(value >= _SMALLEST for value in self.std), "a std is not above 0")

    @property
    def planes(self) -> int:
        """Planes of one input: channels, or colours."""
        return len(self.channels) if self.kind == "frequency" else 3

    @property
    def read_selection(self) -> Selection:
        """The channels read."""
        return channels(list(self.read))

    @property
    def used_selection(self) -> Selection | None:
        """The channels used; None for ``rgb``."""
        return channels(list(self.channels)) if self.channels else None

    def resampler(self, encoding: Encoding) -> Resampler:
        """Return the operator from stored codes to the channels used, or to pixels for ``rgb``.

        Parameters
        ----------
        encoding : Encoding
            Grid and precision of the stored codes.
        """
        read = self.read_selection
        return Resampler(read, encoding.steps_of(read), encoding.geometry.grid, self.used_selection)

    def normalise(self, data: Tensor) -> Tensor:
        """Coefficients, or pixels in YCbCr less 128, as the network expects them.

        Parameters
        ----------
        data : Tensor of float32, shape (n, channels or 3, rows, columns)
            May be overwritten.
        """
        if self.kind == "rgb":
            # A caller's autocast would round the grey levels to half precision.
            with torch.autocast(data.device.type, enabled=False):
                data = color_transforms.to_rgb(data).clamp_(0, 255)
        mean, std = (
            torch.tensor(values, device=data.device)[:, None, None]
            for values in (self.mean, self.std)
        )
        return data.sub_(mean).div_(std)


def to_dict(record: Any) -> dict[str, Any]:
    """A description's fields as JSON has them."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(record).items()
    }


@contextmanager
def from_a_card(part: str) -> Iterator[None]:
    """What is wrong then was not asked for by the user: name the file."""
    try:
        yield
    except UsageError as error:
        raise UsageError(
            f"the {part} of the model card cannot be used: {error.message}",
            "restore the card, or train again",
        ) from None


def fields_of(cls: Any, document: object) -> dict[str, Any]:
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
    check(known, f"{what} {names!r:.60} is not names of channels")
    assert isinstance(names, tuple)
    check(len(names) <= CHANNELS, f"{len(names)} names in {what}: there are {CHANNELS} channels")
    if names:
        channels(names)  # names what is unknown or repeated


def whole(value: object) -> bool:
    """Whether it is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


def finite(value: object) -> bool:
    """Whether it is a number that float32 holds."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return abs(value) <= _LARGEST


def check(condition: bool, message: str) -> None:
    """Raise a UsageError unless a condition holds."""
    if not condition:
        raise UsageError(message)
