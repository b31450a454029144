"""Stability of rankings: their agreement between random halves of the images.

The pass counts eight groups of rows separately. Rows are permuted, so any four groups are a random
half of the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from freqprep.errors import UsageError
from freqprep.importance.ranking import Ranking, Score
from freqprep.importance.shard_counts import GROUPS
from freqprep.importance.sums import Sums


@dataclass(frozen=True)
class Stability:
    """Agreement of two halves of the data on a ranking, over the 35 ways to halve eight groups.

    Attributes
    ----------
    spearman, spearman_sd : float
        Rank correlation of the two orders of all channels, mean and standard deviation.
    overlap, overlap_sd : float
        Share of the top channels that both halves have, mean and standard deviation.
    top : int
        Number of top channels.
    error : ndarray of float64, shape (192,)
        Standard error of the score of all images, raster order: a jackknife over eight groups,
        ``sqrt(7 / 8 * sum((without group g - mean of these)**2))`` (Tukey 1958).
    """

    spearman: float
    spearman_sd: float
    overlap: float
    overlap_sd: float
    top: int
    error: np.ndarray


_EVERY = tuple(range(GROUPS))
_HALVES = [half for half in combinations(_EVERY, GROUPS // 2) if 0 in half]


def stabilities(
    scores: Sequence[Score], sums: Sums, steps: np.ndarray, top: int
) -> dict[str, Stability]:
    """Compute the stability of each score that every half of the data has.

    Parameters
    ----------
    scores : sequence of Score
    sums : Sums
        Sums of eight groups; the result is empty if a group has no images.
    steps : ndarray of float64, shape (192,)
    top : int
        Number of top channels to compare.

    Returns
    -------
    dict of str to Stability
        Stability by name of the score, without scores that a part of the data does not have,
        such as a label score of a half without labels.
    """
    if not sums.images.all():
        return {}
    agreement: dict[str, list[tuple[float, float]]] = {score.name: [] for score in scores}
    without: dict[str, list[np.ndarray]] = {score.name: [] for score in scores}
    sums = sums.without_unused_codes()
    total = sums.total()
    for half in _HALVES:
        one = sums.part(half)
        other = total - one
        for score in scores:
            with suppress(UsageError):
                first, second = (score.ranking(part, steps) for part in (one, other))
                agreement[score.name].append(agreement_of(first, second, top))
    for group in _EVERY:
        part = total - sums.part((group,))
        for score in scores:
            with suppress(UsageError):
                without[score.name].append(score.ranking(part, steps).values)
    return {
        score.name: _stability(agreement[score.name], without[score.name], top)
        for score in scores
        if len(agreement[score.name]) == len(_HALVES) and len(without[score.name]) == GROUPS
    }


def _stability(
    agreement: list[tuple[float, float]], without: list[np.ndarray], top: int
) -> Stability:
    mean, sd = np.mean(agreement, axis=0), np.std(agreement, axis=0, ddof=1)
    spread = ((np.stack(without) - np.mean(without, axis=0)) ** 2).sum(axis=0)
    error = np.sqrt(spread * (GROUPS - 1) / GROUPS)
    return Stability(float(mean[0]), float(sd[0]), float(mean[1]), float(sd[1]), top, error)


def agreement_of(one: Ranking, other: Ranking, top: int) -> tuple[float, float]:
    """Compute Spearman's rank correlation, and the share of the top that is common.

    Both rank the same channels; the order of one channel is always the same.
    """
    if len(one.order) == 1:
        return 1.0, 1.0
    ranks = np.corrcoef(np.argsort(one.order), np.argsort(other.order))
    common = len(set(one.order[:top]) & set(other.order[:top]))
    return float(np.asarray(ranks)[0, 1]), common / top
