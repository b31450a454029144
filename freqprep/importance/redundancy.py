"""Redundancy between channels, and an order that avoids it.

The activities of channels over images (`Sums`) are compared in pairs.
"""

from __future__ import annotations

import numpy as np

from freqprep.importance.sums import Sums

_LARGEST_SQUARED = 1 - 2.0**-40


def correlation(sums: Sums) -> np.ndarray:
    """Compute Pearson's correlation of the activities of each pair of channels over images.

    Returns
    -------
    ndarray of float64, shape (192, 192)
        -1..1; 1 on the diagonal, 0 for channels that are the same in every image.
    """
    covariance, constant = _covariance(sums)
    variance = np.diag(covariance)
    scale = np.sqrt(np.where(constant, 1.0, variance))
    result = np.clip(covariance / np.multiply.outer(scale, scale), -1, 1)
    result[constant] = 0
    result[:, constant] = 0
    np.fill_diagonal(result, 1)
    return result


def constant_last(order: tuple[int, ...], sums: Sums) -> tuple[int, ...]:
    """Move channels that are the same in every image to the end of an order.

    They are redundant with nothing because they carry no information.
    """
    constant = constant_channels(sums)
    return (*(k for k in order if not constant[k]), *(k for k in order if constant[k]))


def constant_channels(sums: Sums) -> np.ndarray:
    """Return which channels are the same in every image, bool (192,); so are those not stored."""
    return _covariance(sums)[1]


def _covariance(sums: Sums) -> tuple[np.ndarray, np.ndarray]:
    """Covariance of the activities, in their unit squared, and a mask of constant channels."""
    images = max(int(sums.images.sum()), 1)
    total = sums.activity.sum(axis=0).astype(np.float64)
    products = sums.activity_products.sum(axis=0).astype(np.float64)
    covariance = products / images - np.multiply.outer(total / images, total / images)
    # Of a constant, rounding leaves less than this.
    constant = np.diag(covariance) <= 1e-12 * np.maximum(np.diag(products) / images, 1)
    return covariance, constant


def shared_information(sums: Sums) -> np.ndarray:
    """Compute the mutual information of pairs of channels if jointly normal, in bits.

    ``-log2(1 - r**2) / 2`` for a correlation ``r`` (Gel'fand and Yaglom 1957); shape (192, 192),
    0 on the diagonal.
    """
    squared = np.minimum(correlation(sums) ** 2, _LARGEST_SQUARED)
    np.fill_diagonal(squared, 0)
    bits: np.ndarray = -0.5 * np.log2(1 - squared)
    return bits


def redundancy(sums: Sums, steps: np.ndarray) -> np.ndarray:
    """Compute the mean of `shared_information` of a channel with the others that are stored."""
    others = np.count_nonzero(steps) - 1
    bits: np.ndarray = shared_information(sums).sum(axis=1) / max(others, 1)
    return bits


def relevance_minus_redundancy(
    relevance: np.ndarray, shared: np.ndarray, candidates: np.ndarray
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Order channels greedily by relevance less mean redundancy with those chosen before.

    mRMR of Peng, Long and Ding, "Feature Selection Based on Mutual Information", TPAMI 2005, in
    its difference form.

    Parameters
    ----------
    relevance : ndarray of float64, shape (192,)
        Information of each channel about the label, bits.
    shared : ndarray of float64, shape (192, 192)
        Information that pairs of channels share, bits.
    candidates : ndarray of bool, shape (192,)
        Channels to choose from. The others, which carry nothing, follow in raster order: chosen
        among them, they would thin out the mean redundancy of all that come later.

    Returns
    -------
    ndarray of float64, shape (192,)
        Relevance less redundancy when the channel was chosen, raster order; 0 of the others.
    tuple of int
        Raster indices in the order of selection; ties go to the lower index.
    """
    values, order = np.zeros(len(relevance)), []
    repeated = np.zeros(len(relevance))
    left = candidates.copy()
    for chosen in range(int(candidates.sum())):
        score = np.where(left, relevance - repeated / max(chosen, 1), -np.inf)
        best = int(np.argmax(score))
        values[best] = score[best]
        order.append(best)
        left[best] = False
        repeated += shared[best]
    return values, (*order, *np.flatnonzero(~candidates).tolist())
