"""First and second moments of codes, as integer sums: exact, so merging them is exact too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_EXACT_FLOAT32 = 2**24
_SHORTEST_RUN = 64


@dataclass(frozen=True)
class Moments:
    """Exact sums of codes, over the blocks that hold a valid pixel.

    Attributes
    ----------
    count : int
        Number of blocks; the same for every channel.
    total : ndarray of int64, shape (channels,)
        Sum of codes.
    total_squares : ndarray of int64, shape (channels,)
        Sum of squared codes.
    """

    count: int
    total: np.ndarray
    total_squares: np.ndarray

    def __repr__(self) -> str:
        return f"Moments({self.count} blocks, {len(self.total)} channels)"

    @classmethod
    def zero(cls, channels: int) -> Moments:
        """Return the moments of no blocks."""
        return cls(0, np.zeros(channels, np.int64), np.zeros(channels, np.int64))

    @classmethod
    def of(cls, codes: np.ndarray, largest: int) -> Moments:
        """Sum up codes.

        Parameters
        ----------
        codes : ndarray, shape (channels, rows, columns)
            Whole numbers of any real dtype.
        largest : int
            Bound of their absolute values: 128 for int8, 32768 for int16.

        Returns
        -------
        Moments
        """
        flat = codes.reshape(codes.shape[0], -1)
        total = exact_sums(flat, largest).astype(np.int64)
        return cls(flat.shape[1], total, exact_squared_sums(flat, largest).astype(np.int64))

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.count + other.count,
            self.total + other.total,
            self.total_squares + other.total_squares,
        )

    def __sub__(self, other: Moments) -> Moments:
        return Moments(
            self.count - other.count,
            self.total - other.total,
            self.total_squares - other.total_squares,
        )

    def energy(self, steps: np.ndarray) -> np.ndarray:
        """Compute each channel's sum of squared coefficients, float64; ``steps`` (channels,)."""
        energy: np.ndarray = self.total_squares * steps.astype(np.float64) ** 2
        return energy

    def mean(self, steps: np.ndarray) -> np.ndarray:
        """Compute each channel's mean coefficient, float64; ``steps`` of shape (channels,)."""
        mean: np.ndarray = self.total / max(self.count, 1) * steps
        return mean

    def std(self, steps: np.ndarray) -> np.ndarray:
        """Compute the standard deviation of each channel's coefficients, float64."""
        count = max(self.count, 1)
        variance = self.total_squares / count - (self.total / count) ** 2
        std: np.ndarray = np.sqrt(np.maximum(variance, 0)) * steps
        return std


def exact_sums(values: np.ndarray, largest: int) -> np.ndarray:
    """Sum integers per channel, exactly, in any order of adding.

    Parameters
    ----------
    values : ndarray, shape (channels, blocks)
    largest : int
        Bound of their absolute values.

    Returns
    -------
    ndarray of float64, shape (channels,)
    """
    return _sum_runs(values, largest, lambda run: run @ np.ones(run.shape[-1], run.dtype))


def exact_squared_sums(values: np.ndarray, largest: int) -> np.ndarray:
    """Sum squared integers per channel, exactly; see `exact_sums`."""
    return exact_products(values, values, largest)


def exact_products(one: np.ndarray, other: np.ndarray, largest: int) -> np.ndarray:
    """Sum products of integers per channel, exactly; see `exact_sums`."""
    return _sum_runs(one, largest**2, np.vecdot, other)


def _sum_runs(
    values: np.ndarray, largest_term: int, add: Callable[..., np.ndarray], *more: np.ndarray
) -> np.ndarray:
    """Add in float32 within runs that stay below 2**24, where it is exact; then in float64."""
    channels, blocks = values.shape
    run = _EXACT_FLOAT32 // largest_term
    if run < _SHORTEST_RUN:
        return add(*(array.astype(np.float64) for array in (values, *more)))
    arrays = [array.astype(np.float32, copy=False) for array in (values, *more)]
    in_runs = blocks // run * run
    runs = add(*(array[:, :in_runs].reshape(channels, -1, run) for array in arrays))
    total: np.ndarray = runs.sum(axis=1, dtype=np.float64)
    if in_runs < blocks:
        total += add(*(array[:, in_runs:] for array in arrays))
    return total
