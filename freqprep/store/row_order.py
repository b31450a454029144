"""Rules that put the images of a listing into the order of a split's rows. Pure.

Readers take whole shards, so each shard must be a fair sample of the split:

``permutation``
    One permutation of all images, for sources that images are read from one by one.
``runs``
    For tables, whose images are read together in runs (row groups): the runs are permuted, their
    sequence is cut into windows of 16,384 rows, and each window is permuted. The images of a shard
    then lie in the runs of one window, and each run in one window, or in two.

The generator is NumPy's `RandomState`, whose stream it has frozen.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from freqprep.errors import UsageError

LARGEST_SEED = 2**32 - 1

WINDOW_ROWS = 2**14
"""Rows of a window of the rule ``runs``: a constant, and whole shards."""

_ROWS_TO_COMPACT = 2**20

_PERMUTATION = "numpy.random.RandomState(seed).permutation"
_RUNS = (
    f"{_PERMUTATION} of the source's runs; numpy.random.RandomState([seed, number]).permutation of"
    " the rows of each window"
)


def rule_document(seed: int, window: int | None) -> dict[str, Any]:
    """Return the attribute ``order`` of a split.

    Parameters
    ----------
    seed : int
    window : int or None
        Rows of a window of the rule ``runs``; None for the rule ``permutation``.

    Returns
    -------
    dict
        JSON data.
    """
    if window is None:
        return {"seed": seed, "rule": _PERMUTATION}
    return {"seed": seed, "rule": _RUNS, "window": window}


def permutation(images: int, seed: int) -> np.ndarray:
    """Return the listing index of each row by the rule ``permutation``.

    Parameters
    ----------
    images : int
    seed : int
        0 to 2**32 - 1.

    Returns
    -------
    ndarray of int64, shape (images,)

    Raises
    ------
    UsageError
        The seed is out of range.
    """
    return _random(seed).permutation(images).astype(np.int64)


def permuted_runs(runs: np.ndarray, seed: int) -> np.ndarray:
    """Return the listing index of each row by the rule ``runs``.

    Parameters
    ----------
    runs : ndarray of int64, shape (runs,)
        Number of images of each run, in the order of the listing.
    seed : int
        0 to 2**32 - 1.

    Returns
    -------
    ndarray of int64, shape (runs.sum(),)

    Raises
    ------
    UsageError
        The seed is out of range.
    """
    order = _random(seed).permutation(len(runs))
    first, lengths = (np.cumsum(runs) - runs)[order], runs[order]
    begins = np.cumsum(lengths) - lengths
    rows: np.ndarray = np.arange(int(runs.sum())) + np.repeat(first - begins, lengths)
    for number, begin in enumerate(range(0, len(rows), WINDOW_ROWS)):
        window = rows[begin : begin + WINDOW_ROWS]
        window[:] = window[np.random.RandomState([seed, number]).permutation(len(window))]
    return rows


def order_problem(
    listing_index: Iterable[np.ndarray], images: int, seed: int, window: int | None
) -> str:
    """Describe how stored rows do not follow their rule, as far as they tell without the source.

    Parameters
    ----------
    listing_index : iterable of ndarray of int64
        Parts of the array, in order.
    images : int
        Rows in all.
    seed : int
    window : int or None
        Rows of a window of the rule ``runs``; None for the rule ``permutation``.

    Returns
    -------
    str
        Empty if they may follow it: what the runs were, only the source knows.
    """
    expected = _compact_permutation(images, seed) if window is None else np.empty(0)
    first, seen = 0, np.zeros(images, bool)
    for part in listing_index:
        if window is None and not np.array_equal(part, expected[first : first + len(part)]):
            return "is not the permutation of the seed"
        inside = (part >= 0) & (part < images)
        seen[part[inside]] = True
        first += len(part)
    return "" if first == images and seen.all() else "does not have each image of the listing once"


def _compact_permutation(images: int, seed: int) -> np.ndarray:
    """Return the rule ``permutation``, in half the memory where that counts."""
    if images < _ROWS_TO_COMPACT or images >= 2**31:
        return permutation(images, seed)
    # Shuffling draws the same numbers whatever is shuffled.
    return np.random.RandomState(seed).permutation(np.arange(images, dtype=np.int32))


def _random(seed: int) -> np.random.RandomState:
    if not 0 <= seed <= LARGEST_SEED:
        raise UsageError(f"seed must be from 0 to {LARGEST_SEED}, got {seed}")
    return np.random.RandomState(seed)
