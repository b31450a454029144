"""How much channels repeat one another, and an order that avoids repetition.

Activities of channels over images (`Sums`) are compared two by two.
"""

from __future__ import annotations

import numpy as np

from freqprep.importance.sums import Sums
from freqprep.spectrum.channels import CHANNELS

_LARGEST_SQUARED = 1 - 2.0**-40


def correlation(sums: Sums) -> np.ndarray:
    """Pearson's correlation of the activities of each two channels over the images.

    Returns
    -------
    ndarray of float64, shape (192, 192)
        -1..1; 1 on the diagonal, 0 where a channel is the same in every image.
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
    """The order with the channels that are the same in every image moved to its end.

    They repeat nothing because they say nothing.
    """
    _, constant = _covariance(sums)
    return (*(k for k in order if not constant[k]), *(k for k in order if constant[k]))


def _covariance(sums: Sums) -> tuple[np.ndarray, np.ndarray]:
    """Covariance of the activities, in their unit squared, and which channels do not vary."""
    images = max(int(sums.images.sum()), 1)
    total = sums.activity.sum(axis=0).astype(np.float64)
    products = sums.activity_products.sum(axis=0).astype(np.float64)
    covariance = products / images - np.multiply.outer(total / images, total / images)
    # Of a constant, rounding leaves less than this.
    constant = np.diag(covariance) <= 1e-12 * np.maximum(np.diag(products) / images, 1)
    return covariance, constant


def shared_information(sums: Sums) -> np.ndarray:
    """Bits that two channels' activities share if they are jointly normal.

    ``-log2(1 - r**2) / 2`` for a correlation ``r`` (Gel'fand and Yaglom 1957); shape (192, 192),
    0 on the diagonal.
    """
    squared = np.minimum(correlation(sums) ** 2, _LARGEST_SQUARED)
    np.fill_diagonal(squared, 0)
    return -0.5 * np.log2(1 - squared)


def redundancy(sums: Sums, _: np.ndarray) -> np.ndarray:
    """Mean bits that a channel shares with each of the other 191; see `shared_information`."""
    return shared_information(sums).sum(axis=1) / (CHANNELS - 1)


def relevance_minus_redundancy(
    relevance: np.ndarray, shared: np.ndarray
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Greedy order by relevance less mean redundancy with what is chosen already.

    mRMR of Peng, Long and Ding, "Feature Selection Based on Mutual Information", TPAMI 2005, in
    its difference form.

    Parameters
    ----------
    relevance : ndarray of float64, shape (192,)
        Bits that a channel shares with the label.
    shared : ndarray of float64, shape (192, 192)
        Bits that two channels share.

    Returns
    -------
    ndarray of float64, shape (192,)
        Relevance less redundancy when the channel was chosen, raster order.
    tuple of int
        Raster indices, first the channel chosen first; ties go to the lower index.
    """
    values, order = np.zeros(len(relevance)), []
    repeated = np.zeros(len(relevance))
    left = np.ones(len(relevance), bool)
    for chosen in range(len(relevance)):
        score = np.where(left, relevance - repeated / max(chosen, 1), -np.inf)
        best = int(np.argmax(score))
        values[best] = score[best]
        order.append(best)
        left[best] = False
        repeated += shared[best]
    return values, tuple(order)
