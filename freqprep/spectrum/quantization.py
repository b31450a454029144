"""Quantization of coefficients to integer codes: ``value = code * step``.

A precision is the step of every channel and the dtype of the codes. Steps are powers of two, so
that scaling by them is exact. ``int8`` takes step 8 for DC and for every frequency with
v + h <= 2, and step 4 for the rest: low frequencies need the range, high ones the precision. Codes
saturate at -128 and 127 (about 1.6e-7 of them do, in photographs). ``int16`` takes step 1
everywhere and cannot saturate. ``compact`` and ``coarse`` are coarser at high frequencies and in
chroma, as the tables of JPEG are. On ImageNet all channels as ``compact`` take about half the bytes
of ``int8``, and 48 channels as ``coarse`` those of 24 as ``int8``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from freqprep.errors import UsageError
from freqprep.spectrum import BLOCK, COMPONENTS, FREQUENCIES
from freqprep.spectrum.channels import CHANNELS, FREE_NAME, NAMES

CODE_TYPES = ("int8", "int16")
"""Dtypes that codes can have."""

SMALLEST_STEP, LARGEST_STEP = 2.0**-4, 2.0**10
"""Bounds of a step. An 8x8 DCT of pixels in -128..127 is at most 1,024 in magnitude."""

LARGEST_COEFFICIENT = 2**10

_HISTOGRAM_BOUND = 2 * LARGEST_COEFFICIENT


@dataclass(frozen=True)
class Precision:
    """Quantization step of every channel, and dtype of the codes.

    Attributes
    ----------
    name : str
        ``int8``, ``int16``, ``compact``, or the name of a table of one's own.
    codes : {"int8", "int16"}
        Dtype of the codes.
    steps : tuple of float
        Step of each of the 192 channels in raster order: powers of two.
    """

    name: str
    codes: str
    steps: tuple[float, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not FREE_NAME.fullmatch(self.name):
            raise UsageError(
                f"{self.name!r:.80} cannot be the name of a precision",
                'use a letter and then at most 63 letters, digits, "_", "." and "-"',
            )
        if self.codes not in CODE_TYPES:
            raise UsageError(
                f"codes of type {self.codes!r} do not exist", f"use {' or '.join(CODE_TYPES)}"
            )
        if len(self.steps) != CHANNELS:
            raise UsageError(f"{len(self.steps)} steps for {CHANNELS} channels", "give one each")
        for index, step in enumerate(self.steps):
            if not _is_step(step):
                raise UsageError(
                    f"the step of {NAMES[index]} is {step!r}",
                    f"use a power of two from {SMALLEST_STEP} to {LARGEST_STEP:.0f}",
                )

    def __repr__(self) -> str:
        low, high = min(self.steps), max(self.steps)
        return f"Precision({self.name!r}, {self.codes}, steps {low:g} to {high:g})"

    @property
    def is_predefined(self) -> bool:
        """Whether `PRECISIONS` has it, so that its name alone says its steps."""
        return PRECISIONS.get(self.name) == self

    @property
    def dtype(self) -> np.dtype:
        """Dtype of the codes."""
        return np.dtype(self.codes)

    @cached_property
    def step_table(self) -> np.ndarray:
        """Step of each channel in raster order, float32, shape (192,)."""
        return np.array(self.steps, np.float32)

    def apart_from(self, other: Precision) -> str:
        """Say where another precision's steps differ; empty if they do not.

        Two tables may have the same name and range.
        """
        different = np.flatnonzero(self.step_table != other.step_table)
        if not different.size:
            return ""
        index = int(different[0])
        return (
            f"other steps of {different.size} of {CHANNELS} channels, the first"
            f" {NAMES[index]}: {self.steps[index]:g} instead of {other.steps[index]:g}"
        )

    @property
    def largest_code(self) -> int:
        """Bound of the absolute codes: 128 for int8, a power of two, 2048 for int16 at step 1."""
        of_dtype = -int(np.iinfo(self.dtype).min)
        if self.codes == "int8":
            return of_dtype
        return min(of_dtype, int(_HISTOGRAM_BOUND / min(self.steps)))

    def to_dict(self) -> dict[str, Any]:
        """Return JSON data: ``precision``, ``codes``, and ``steps`` as three 8x8 tables.

        ``steps[component][v][h]`` is a step; see docs/format.md.
        """
        by_component = np.reshape(self.steps, (len(COMPONENTS), BLOCK, BLOCK))
        tables = {
            name: [[_short(step) for step in row] for row in table.tolist()]
            for name, table in zip(COMPONENTS, by_component, strict=True)
        }
        return {"precision": self.name, "codes": self.codes, "steps": tables}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Precision:
        """Read JSON data of `to_dict`, or the name alone of ``int8`` or ``int16``.

        Raises
        ------
        UsageError
            The data are not those of a precision.
        """
        name = data["precision"]
        if "steps" not in data and name in CODE_TYPES:
            return PRECISIONS[name]
        found = cls(name, data.get("codes", ""), _flat(data.get("steps")))
        if name in CODE_TYPES and found != PRECISIONS[name]:
            raise UsageError(f"these are not the steps of {name}", "give them another name")
        return found


def _is_step(step: Any) -> bool:
    is_number = isinstance(step, (int, float)) and not isinstance(step, bool)
    return is_number and SMALLEST_STEP <= step <= LARGEST_STEP and math.frexp(step)[0] == 0.5


def _short(step: float) -> float | int:
    return int(step) if step == int(step) else step


def _flat(tables: Any) -> tuple[float, ...]:
    """Flatten three 8x8 tables to raster order."""
    shape = f"a table of {BLOCK} rows of {BLOCK} numbers for each of {', '.join(COMPONENTS)}"
    if not isinstance(tables, Mapping) or set(tables) != set(COMPONENTS):
        raise UsageError("the steps are not given for each component", f"give {shape}")
    flat: list[float] = []
    for component in COMPONENTS:
        table = tables[component]
        if not _is_list(table) or not all(_is_list(row) for row in table):
            raise UsageError(f"the steps of {component} are not {BLOCK}x{BLOCK}", f"give {shape}")
        flat += [step for row in table for step in row]
    return tuple(float(step) if _is_step(step) else step for step in flat)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and len(value) == BLOCK


def _by_frequency(luma: np.ndarray, chroma: np.ndarray) -> tuple[float, ...]:
    return tuple(np.concatenate([luma, chroma, chroma]).astype(np.float64).tolist())


_SUM = np.add(*np.divmod(np.arange(FREQUENCIES), BLOCK))  # v + h
_INT8 = np.where(_SUM <= 2, 8, 4)
_COMPACT = (
    np.where(_SUM <= 5, 8, 16),
    np.select([_SUM <= 3, _SUM <= 5], [16, 32], 64),
)
_COARSE = np.where(_SUM <= 5, 16, 32), np.where(_SUM == 0, 16, 32)

PRECISIONS = {
    "int8": Precision("int8", "int8", _by_frequency(_INT8, _INT8)),
    "int16": Precision("int16", "int16", (1.0,) * CHANNELS),
    "compact": Precision("compact", "int8", _by_frequency(*_COMPACT)),
    "coarse": Precision("coarse", "int8", _by_frequency(*_COARSE)),
}
"""Precisions by name. docs/method.md has the measurements behind ``compact`` and ``coarse``."""


def round_codes(scaled: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, int]:
    """Round coefficients divided by their steps to codes.

    Parameters
    ----------
    scaled : ndarray of float32
        Coefficients / step.
    dtype : dtype
        int8 or int16: the range of the codes.

    Returns
    -------
    codes : ndarray of float32
        Nearest integers, halves to even, clipped to the range of ``dtype``. Still float32: codes
        are summed before they are stored.
    saturated : int
        Number of codes that were clipped.
    """
    codes = np.rint(scaled)
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    if codes.min() >= low and codes.max() <= high:
        return codes, 0
    saturated = int(np.count_nonzero((codes < low) | (codes > high)))
    return np.clip(codes, low, high, out=codes), saturated


def requantize(
    codes: np.ndarray, ratio: int, random: np.random.Generator, zeros: int = 0
) -> np.ndarray:
    """Round codes to a coarser step.

    Coefficients were rounded once already, so a code half-way between two coarser ones does not
    say which is nearer to its coefficient. Chance decides, with the odds that the numbers of the
    codes on both sides suggest. Numbers of coarser codes, and so bytes, are then near those of
    coefficients rounded once.

    Parameters
    ----------
    codes : ndarray of int8, int16 or int32
    ratio : int
        The coarser step over the step of the codes: a power of two.
    random : Generator
    zeros : int
        Number of further codes, all 0, that are left out of ``codes``.

    Returns
    -------
    ndarray
        Same shape and dtype as ``codes``.
    """
    if ratio == 1:
        return codes
    size = np.abs(codes.astype(np.int32))
    counts = np.bincount(size.reshape(-1), minlength=int(size.max(initial=0)) + 2)
    counts[0] = 2 * (counts[0] + zeros)  # the others are of both signs
    # An exponential density that falls by f over two codes falls by the fourth root of f from the
    # inner half of the code between them to the outer half. Coefficients of JPEGs are multiples of
    # their own steps, and of these no half has more: the sixth root is between the two.
    falls = (counts[:-2] + 1) / (counts[2:] + 1)
    outer = np.concatenate([[0.5], 1 / (1 + falls ** (1 / 6)), [0.5]])
    outward = random.random(size.shape) < outer[size]
    coarse: np.ndarray = (size + ratio // 2 - 1 + outward) // ratio * np.sign(codes)
    return coarse.astype(codes.dtype)


def dequantize(codes: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Compute coefficients from codes.

    Parameters
    ----------
    codes : ndarray of int8 or int16, shape (..., channels, rows, columns)
    steps : ndarray of float32, shape (channels,)

    Returns
    -------
    ndarray of float32
        Same shape as ``codes``.
    """
    coefficients: np.ndarray = np.multiply(codes, steps[:, None, None], dtype=np.float32)
    return coefficients
