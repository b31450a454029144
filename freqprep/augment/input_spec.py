"""Base of the descriptions of networks' inputs, and reading them from a file.

Descriptions are part of a run's model.json, so whatever is read from one is checked: types,
ranges, names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import Tensor

from freqprep.augment.normalisation import Normalisation
from freqprep.augment.resample import Resampler
from freqprep.errors import UsageError, some
from freqprep.images.encoding import Encoding
from freqprep.models.rgb import IMAGENET_MEAN, IMAGENET_STD
from freqprep.spectrum.channels import CHANNELS, Selection, channels
from freqprep.text.quantities import plural

if TYPE_CHECKING:
    from freqprep.streaming.batch import Batch

KINDS = ("frequency", "rgb")
"""Kinds of input: DCT coefficients, or pixels."""

_SMALLEST, _LARGEST = 1e-30, 1e30  # float32 holds them

RGB_MEAN, RGB_STD = (
    tuple(255 * value for value in values) for values in (IMAGENET_MEAN, IMAGENET_STD)
)
"""Mean and standard deviation that ImageNet's networks expect, of each colour in 0..255."""


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """Channels and normalisation of an input; subclasses define how images are resized.

    Attributes
    ----------
    kind : {"frequency", "rgb"}
    read : tuple of str
        Names of the channels read from the store; the others count as zero.
    channels : tuple of str
        Names of the channels used, all of them read; empty for ``rgb``.
    mean, std : tuple of float
        Subtracted, and divided by: of each used channel, in coefficients; for ``rgb`` of each
        colour, in 0..255.

    Raises
    ------
    UsageError
        A value of another type or out of range, an unknown or repeated channel, a used channel
        that is not read.
    """

    kind: str
    read: tuple[str, ...]
    channels: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
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
        check(
            bool(self.channels) == frequency,
            f"{plural(len(self.channels), 'channel')} for {self.kind}",
        )
        for name, values in (("mean", self.mean), ("std", self.std)):
            known = isinstance(values, tuple) and all(map(is_finite, values))
            check(known, f"{name} {values!r:.60} is not finite numbers")
            check(len(values) == self.planes, f"{len(values)} values of {name}, not {self.planes}")
        check(all(value >= _SMALLEST for value in self.std), "a std is not above 0")

    @property
    def planes(self) -> int:
        """Number of planes of one input: channels, or colours."""
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
        """Make the operator from stored codes to the channels used, or to pixels for ``rgb``.

        Parameters
        ----------
        encoding : Encoding
            Grid and precision of the stored codes.

        Returns
        -------
        Resampler
        """
        return self._resampler(encoding, None)

    def network_resampler(
        self, encoding: Encoding, dtype: torch.dtype = torch.float32
    ) -> Resampler:
        """Make the operator from stored codes to what the network expects.

        Parameters
        ----------
        encoding : Encoding
            Grid and precision of the stored codes.
        dtype : torch.dtype
            Of the network's input: float32 or bfloat16.

        Returns
        -------
        Resampler
        """
        rgb = self.kind == "rgb"
        return self._resampler(encoding, Normalisation(self.mean, self.std, rgb, dtype))

    def _resampler(self, encoding: Encoding, normalisation: Normalisation | None) -> Resampler:
        read, grid = self.read_selection, encoding.geometry.grid
        steps = encoding.steps_of(read)
        return Resampler(read, steps, grid, self.used_selection, normalisation)

    def codes_of(self, batch: Batch, encoding: Encoding) -> Tensor:
        """Return the codes of a batch of a loader, if they are those that a transform expects.

        Other channels, or others in their place, would have the same shape.

        Parameters
        ----------
        batch : Batch
        encoding : Encoding
            That the transform was made for.

        Returns
        -------
        Tensor of int8 or int16, shape (n, C, rows, columns)

        Raises
        ------
        UsageError
            The batch has other channels than ``read``, another order of them, or other
            quantization steps.
        """
        if batch.channels is not None and batch.channels != self.read:
            raise UsageError(
                f"the batch has {_difference(batch.channels, self.read)}",
                "make the loader with the selection that the input reads, inputs.read_selection",
            )
        made_with = batch.encoding
        if made_with is None or made_with is encoding:
            return batch.codes
        read = self.read_selection
        if not np.array_equal(made_with.steps_of(read), encoding.steps_of(read)):
            raise UsageError(
                "the batch has other quantization steps than this transform was made for",
                "make a transform for each split, with its split.attributes.encoding",
            )
        return batch.codes

    def codes_and_sizes(
        self, given: Tensor | Batch, sizes: np.ndarray | None, encoding: Encoding
    ) -> tuple[Tensor, np.ndarray]:
        """Return codes and sizes of a batch, checked by `codes_of`, or as they are given."""
        if not isinstance(given, Tensor):
            return self.codes_of(given, encoding), given.sizes
        if sizes is None:
            raise UsageError(
                "codes were given without the sizes of their images",
                "give a loader's batch, or batch.codes with batch.sizes",
            )
        return given, sizes

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON data, the normalisation last.

        The order is part of the files: a checkpoint's hash of its network covers it.
        """
        document = to_dict(self)
        normalisation = {name: document.pop(name) for name in ("mean", "std")}
        return document | normalisation

    @classmethod
    def from_dict(cls, document: object) -> Self:
        """Read `to_dict`'s form, checked.

        Raises
        ------
        UsageError
            The document has another form, or a value that is out of range.
        """
        with part_of_config("inputs"):
            return cls(**fields_of(cls, document))


def to_dict(record: Any) -> dict[str, Any]:
    """Return the fields of a dataclass as JSON data."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(record).items()
    }


@contextmanager
def part_of_config(part: str) -> Iterator[None]:
    """Name the file in a UsageError: the user did not ask for what it holds."""
    try:
        yield
    except UsageError as error:
        raise UsageError(
            f"the {part} of the model config cannot be used: {error.message}",
            "restore the run's model.json, or train again",
        ) from None


def fields_of(cls: Any, document: object) -> dict[str, Any]:
    """Return a JSON object's values by name, lists as tuples, if it has exactly the fields."""
    if not isinstance(document, Mapping):
        raise UsageError(f"{type(document).__name__} in place of an object")
    names = {field.name for field in fields(cls)}
    if odd := sorted(map(str, names ^ set(document))):
        raise UsageError(f"fields that are missing or unknown: {some(odd)}")
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in document.items()
    }


def _difference(found: tuple[str, ...], read: tuple[str, ...]) -> str:
    """Describe channels that differ from those that an input reads."""
    if set(found) == set(read):
        at = next(number for number, name in enumerate(read) if found[number] != name)
        return (
            "its channels in another order than this input reads:"
            f" {found[at]} where {read[at]} is expected, number {at}"
        )
    have = plural(len(found), "channel")
    if lacking := [name for name in read if name not in found]:
        return f"{have}, but not these, which this input reads: {some(lacking)}"
    more = [name for name in found if name not in read]
    return f"{have}, and this input does not read {some(more)}"


def _check_names(what: str, names: object) -> None:
    known = isinstance(names, tuple) and all(isinstance(name, str) for name in names)
    check(known, f"{what} {names!r:.60} is not names of channels")
    assert isinstance(names, tuple)
    check(len(names) <= CHANNELS, f"{len(names)} names in {what}: there are {CHANNELS} channels")
    if names:
        channels(names)  # names what is unknown or repeated


def check_rising(low: tuple[str, object], high: tuple[str, object], most: int) -> None:
    """Refuse two named numbers that are not integers with 1 <= low <= high <= most."""
    for name, number in (low, high):
        is_integer = isinstance(number, int) and not isinstance(number, bool)
        check(is_integer, f"{name} {number!r} is not a whole number")
    (first, smaller), (second, larger) = low, high
    assert isinstance(smaller, int) and isinstance(larger, int)
    check(
        1 <= smaller <= larger <= most,
        f"{first} {smaller} and {second} {larger} are not rising from 1 to {most}",
    )


def is_finite(value: object) -> bool:
    """Return whether a value is a number that float32 holds."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return abs(value) <= _LARGEST


def check(condition: bool, message: str) -> None:
    """Raise a UsageError unless a condition holds."""
    if not condition:
        raise UsageError(message)
