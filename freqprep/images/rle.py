"""COCO's run-length encoding of masks, decoded and checked without its C code.

Run lengths go column by column and are of zeros and ones in turn, zeros first. COCO compresses
them to text: five bits a character from 48 on, lowest first, 32 more = the number goes on,
sign-extended; each number from the fourth on is a difference to the one two before.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from freqprep.errors import CorruptStoreError

_FIRST = 48
_LARGEST = 63
_MORE = 32

_LONGEST_NUMBER = 12
"""Most characters of a number: 60 bits are more than any image needs, and fit an int64."""


def decode_mask(counts: bytes, size: tuple[int, int]) -> np.ndarray:
    """Decode a stored mask.

    Parameters
    ----------
    counts : bytes
        COCO's compressed counts; any bytes, because they are checked.
    size : tuple of int
        Height and width of the stored image.

    Returns
    -------
    ndarray of bool, shape (h, w)
        Contiguous column by column.

    Raises
    ------
    CorruptStoreError
        The bytes are not the counts of a mask of this size.
    """
    runs = run_lengths(counts, math.prod(size))
    if runs is None:
        shown = counts[:20] + b"..." * (len(counts) > 20)
        raise CorruptStoreError(
            f"{shown!r} is no mask of {size[0]}x{size[1]} pixels (height x width)",
            "restore the split from a copy, or convert again with --overwrite",
        )
    return pixels_of(runs, size)


def pixels_of(runs: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Expand run lengths that add up to the size into a mask, bool of shape (h, w)."""
    inside = np.arange(len(runs)) % 2 == 1
    return np.repeat(inside, runs).reshape(size, order="F")


def run_lengths(counts: bytes, pixels: int) -> np.ndarray | None:
    """Decompress counts.

    Parameters
    ----------
    counts : bytes
    pixels : int
        Number of pixels of the mask.

    Returns
    -------
    ndarray of int64, shape (runs,), or None
        None where the text has other characters or ends inside a number, or the numbers are not
        lengths of runs that add up to ``pixels``.
    """
    characters = np.frombuffer(counts, np.uint8)
    digits = characters.astype(np.int64) - _FIRST
    if not len(digits) or digits.min() < 0 or digits.max() > _LARGEST or digits[-1] & _MORE:
        return None
    stops = np.flatnonzero(digits & _MORE == 0) + 1
    begins = np.concatenate([[0], stops[:-1]])
    lengths = stops - begins
    if lengths.max() > _LONGEST_NUMBER:
        return None
    shifts = 5 * (np.arange(len(digits)) - np.repeat(begins, lengths))
    numbers = np.add.reduceat((digits & 31) << shifts, begins)
    numbers -= (digits[stops - 1] >> 4) << 5 * lengths  # the highest bit is the sign
    if np.abs(numbers).max() > pixels:  # so that the sums below cannot overflow
        return None
    for chain in (numbers[1::2], numbers[2::2]):
        np.cumsum(chain, out=chain)
    fits = numbers.min() >= 0 and numbers.max() <= pixels and numbers.sum() == pixels
    return numbers if fits else None


def checked_runs(counts: Any, pixels: int) -> np.ndarray | None:
    """Check and decode the run lengths of an annotation, compressed (text) or not (list).

    Parameters
    ----------
    counts : object
        Any JSON value.
    pixels : int
        Number of pixels of the mask.

    Returns
    -------
    ndarray of int64, shape (runs,), or None
        None where they are not whole, are negative, or do not add up to ``pixels``.
    """
    if isinstance(counts, str):
        return run_lengths(counts.encode("ascii", "replace"), pixels)
    if not isinstance(counts, list) or not all(type(n) is int and n >= 0 for n in counts):
        return None
    return np.array(counts, np.int64) if sum(counts) == pixels else None


def box_of_runs(runs: np.ndarray, height: int) -> list[float] | None:
    """Compute the box (x, y, width, height) around the pixels of a mask; None if it is empty.

    Parameters
    ----------
    runs : ndarray of int64, shape (runs,)
        Run lengths that add up to the mask's size.
    height : int
        Height of the mask in pixels.

    Returns
    -------
    list of float or None
    """
    ends = np.cumsum(runs)
    inside = np.flatnonzero(runs[1::2]) * 2 + 1
    if not len(inside):
        return None
    first, last = ends[inside - 1], ends[inside] - 1
    one_column = first // height == last // height
    left, right = int(first[0]) // height, int(last[-1]) // height
    upper = int(np.where(one_column, first % height, 0).min())
    lower = int(np.where(one_column, last % height, height - 1).max())
    return [float(side) for side in (left, upper, right - left + 1, lower - upper + 1)]
