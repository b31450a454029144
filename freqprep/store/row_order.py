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
from typing import Any, Protocol

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


class RowOrder(Protocol):
    """The listing index of each row of a split."""

    def __len__(self) -> int:
        """Return the number of rows."""

    def take(self, rows: np.ndarray | range) -> np.ndarray:
        """Return the listing index of some rows, in any order.

        Parameters
        ----------
        rows : ndarray of int64, or range
            From 0 to the number of rows, without it.

        Returns
        -------
        ndarray of int64, shape (len(rows),)
        """


class PermutedRows:
    """The rule ``permutation``; parameters and errors are those of `permutation`."""

    def __init__(self, images: int, seed: int) -> None:
        self._index = permutation(images, seed)

    def __len__(self) -> int:
        return len(self._index)

    def take(self, rows: np.ndarray | range) -> np.ndarray:
        """Return the listing index of some rows; see `RowOrder`."""
        taken: np.ndarray = self._index[np.asarray(rows, np.int64)]
        return taken


class PermutedRuns:
    """The rule ``runs``, a window at a time: memory grows with the runs, not with their images.

    Parameters
    ----------
    runs : ndarray of int64, shape (runs,)
        Number of images of each run, in the order of the listing.
    seed : int
        0 to 2**32 - 1.

    Raises
    ------
    UsageError
        The seed is out of range.
    """

    def __init__(self, runs: np.ndarray, seed: int) -> None:
        order = _random(seed).permutation(len(runs))
        lengths = runs[order]
        self._seed, self._images = seed, int(lengths.sum())
        self._ends = np.cumsum(lengths, dtype=np.int64)
        # From a place in the sequence of runs to one in the listing.
        self._shift = (np.cumsum(runs, dtype=np.int64) - runs)[order] - (self._ends - lengths)
        self._latest = -1, np.empty(0, np.int64)

    def __len__(self) -> int:
        return self._images

    def take(self, rows: np.ndarray | range) -> np.ndarray:
        """Return the listing index of some rows; see `RowOrder`."""
        rows = np.asarray(rows, np.int64)
        taken, windows = np.empty(len(rows), np.int64), rows // WINDOW_ROWS
        order = np.argsort(windows, kind="stable")
        for mine in np.split(order, np.flatnonzero(np.diff(windows[order])) + 1):
            for number in windows[mine[:1]].tolist():
                taken[mine] = self._window(number)[rows[mine] - number * WINDOW_ROWS]
        return taken

    def _window(self, number: int) -> np.ndarray:
        if self._latest[0] == number:  # shards are asked for one after the other
            return self._latest[1]
        begin = number * WINDOW_ROWS
        sequence = np.arange(begin, min(begin + WINDOW_ROWS, self._images))
        run = np.searchsorted(self._ends, sequence, side="right")
        listed = sequence + self._shift[run]
        shuffled = np.random.RandomState([self._seed, number]).permutation(len(listed))
        window: np.ndarray = listed[shuffled]
        self._latest = number, window
        return window


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
