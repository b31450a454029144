"""Random numbers as a function of seed, epoch, row and purpose.

There is no generator state, so a row gets the same numbers in any batch, worker, rank or run.
"""

from __future__ import annotations

import numpy as np

from freqprep.errors import UsageError

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MASK = 2**64 - 1


def uniforms(seed: int, epoch: int, rows: np.ndarray, draws: int, stream: int = 0) -> np.ndarray:
    """Compute uniform random numbers for each row.

    A counter-based hash: the finaliser of SplitMix64 (Steele, Lea and Flood, "Fast splittable
    pseudorandom number generators", 2014) over the seed, the epoch, the stream, the row and the
    number of the draw, one after the other.

    Parameters
    ----------
    seed, epoch : int
        At least 0.
    rows : ndarray of int, shape (n,)
        Row numbers in the split, or any other whole numbers from 0 on.
    draws : int
        Number of draws for each row. More draws do not change the first ones.
    stream : int
        At least 0. It separates purposes: crops and colours get different numbers.

    Returns
    -------
    ndarray of float64, shape (n, draws)
        In [0, 1), multiples of 2**-53.

    Raises
    ------
    UsageError
        A number is negative.
    """
    rows = np.asarray(rows, np.int64)
    for name, number in (("seed", seed), ("epoch", epoch), ("stream", stream)):
        if number < 0:
            raise UsageError(f"{name} must be at least 0, got {number}")
    if rows.size and rows.min() < 0:
        raise UsageError(f"row numbers must be at least 0, got {rows.min()}")
    state = np.zeros(1, np.uint64)
    for number in (seed, epoch, stream):
        state = _mix(state + _GOLDEN + np.uint64(number & _MASK))
    state = _mix(state + _GOLDEN + rows.astype(np.uint64))
    counters = np.arange(1, draws + 1, dtype=np.uint64) * _GOLDEN
    bits = _mix(state[:, None] + counters)
    uniform: np.ndarray = (bits >> np.uint64(11)) * 2.0**-53
    return uniform


def _mix(words: np.ndarray) -> np.ndarray:
    """Let every bit of a word affect every bit of the result; uint64 overflow wraps."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = words ^ (words >> np.uint64(31))
    return mixed
