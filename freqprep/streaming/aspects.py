"""Batches of images of about the same aspect: a shuffled epoch regrouped. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from freqprep.store.mapped_arrays import pickled, unpickled

POOL = 16
"""Number of batches that are regrouped together."""

_BINS_PER_OCTAVE = 3
_OCTAVES = 1
"""Images more than about twice as wide as high, or as high as wide, share a bin."""


def aspect_bins(sizes: np.ndarray) -> np.ndarray:
    """Number images by their aspect: about the same aspect, the same number.

    Parameters
    ----------
    sizes : ndarray of int, shape (n, 2)
        Height and width.

    Returns
    -------
    ndarray of int64, shape (n,)
        ``log2(width / height)`` in thirds, rounded: -3 to 3. No quotient of whole numbers lies on
        an edge, so that it is the same on every machine.
    """
    height, width = np.maximum(sizes, 1).T  # a rejected image has no size
    thirds: np.ndarray = np.rint(np.log2(width / height) * _BINS_PER_OCTAVE).astype(np.int64)
    return thirds.clip(-_OCTAVES * _BINS_PER_OCTAVE, _OCTAVES * _BINS_PER_OCTAVE)


class AspectBins:
    """Aspect bins of the rows of a split, computed when they are asked for.

    Parameters
    ----------
    sizes : ndarray of int, shape (n, 2)
    """

    def __init__(self, sizes: np.ndarray) -> None:
        self._sizes = sizes

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return aspect_bins(self._sizes[rows])

    def __getstate__(self) -> dict[str, Any]:
        return {"_sizes": pickled(self._sizes)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._sizes = unpickled(state["_sizes"])


def grouped(
    rows: np.ndarray,
    bins: np.ndarray | AspectBins,
    batch_size: int,
    seed: int,
    epoch: int,
    first: int = 0,
    batches: int | None = None,
) -> np.ndarray:
    """Regroup an epoch's rows, so that most batches are of images of one bin.

    Each pool of `POOL` batches is sorted by bin, rows of one bin as they came, and cut into
    batches again, whose order in the pool is drawn. Bins meet in fewer batches of a pool than
    there are bins.

    Parameters
    ----------
    rows : ndarray of int64
        Whole batches.
    bins : ndarray of int64, shape (n,), or AspectBins
        Bin of each row of the split.
    batch_size : int
    seed, epoch : int
    first : int
        Number of the first of the batches in the epoch, a multiple of `POOL`.
    batches : int, optional
        Batches of the epoch; by default those given.

    Returns
    -------
    ndarray of int64
        The same rows.
    """
    count = len(rows) // batch_size
    pool = np.arange(count) // POOL
    by_bin = rows[np.lexsort([bins[rows], np.repeat(pool, batch_size)])]
    drawn = _batch_numbers(count if batches is None else batches, seed, epoch)
    order = np.lexsort([drawn[first : first + count], pool])
    return by_bin.reshape(count, batch_size)[order].ravel()


@lru_cache(maxsize=1)
def _batch_numbers(batches: int, seed: int, epoch: int) -> np.ndarray:
    # Not the stream that the rows are drawn from.
    return np.random.RandomState([seed, epoch, 1]).permutation(batches)
