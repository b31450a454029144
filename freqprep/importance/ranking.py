"""Scores by name, and the rankings of channels they give."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import numpy as np

from freqprep.importance import gain, label_scores, redundancy, scores
from freqprep.importance.sums import Sums

Values = Callable[[Sums, np.ndarray], np.ndarray]
Ordered = tuple[np.ndarray, tuple[int, ...]]


@dataclass(frozen=True)
class Ranking:
    """Channels in the order of one score.

    Attributes
    ----------
    name, unit, meaning : str
        Name and unit of the score; what it measures, as one sentence.
    values : ndarray of float64, shape (192,)
        Value of each channel in raster order, finite; 0 for channels not stored.
    order : tuple of int
        Raster indices of all channels stored, the most important first.
    error : ndarray of float64 or None, shape (192,)
        Standard errors of the values, if the score has them.
    """

    name: str
    unit: str
    meaning: str
    values: np.ndarray
    order: tuple[int, ...]
    error: np.ndarray | None = None

    def among(self, indices: Collection[int]) -> Ranking:
        """Return the ranking with an order of some channels only."""
        return replace(self, order=tuple(index for index in self.order if index in indices))


@dataclass(frozen=True)
class Score:
    """A score of channels, computed from sums.

    Attributes
    ----------
    name, unit, meaning : str
    rank : callable
        Function from `Sums` and steps, float64 of shape (192,), to values in raster order and
        an order of all 192 channels. The step of a channel that is not stored is 0.
    """

    name: str
    unit: str
    meaning: str
    rank: Callable[[Sums, np.ndarray], Ordered]

    def ranking(self, sums: Sums, steps: np.ndarray) -> Ranking:
        """Rank the channels stored.

        Raises
        ------
        UsageError
            The sums do not have what the score needs, such as labels.
        """
        values, order = self.rank(sums, steps)
        stored = steps > 0
        values = np.where(stored, values, 0)
        ranking = Ranking(self.name, self.unit, self.meaning, values, order)
        return ranking.among(set(np.flatnonzero(stored).tolist()))


def by_size(values: np.ndarray) -> tuple[int, ...]:
    """Return raster indices by descending value; ties go to the lower index."""
    return tuple(int(index) for index in np.argsort(-values, kind="stable"))


def _largest(
    function: Values, key: Callable[[np.ndarray], np.ndarray] = np.positive
) -> Callable[[Sums, np.ndarray], Ordered]:
    """Rank by the values of a function, the largest ``key(values)`` first."""

    def rank(sums: Sums, steps: np.ndarray) -> Ordered:
        values = function(sums, steps)
        return values, by_size(key(values))

    return rank


def _mrmr(sums: Sums, steps: np.ndarray) -> Ordered:
    relevance = label_scores.label_information(sums, steps)
    shared = redundancy.shared_information(sums)
    candidates = ~redundancy.constant_channels(sums)
    return redundancy.relevance_minus_redundancy(relevance, shared, candidates)


def _least_redundant(sums: Sums, steps: np.ndarray) -> Ordered:
    values = redundancy.redundancy(sums, steps)
    return values, redundancy.constant_last(by_size(-values), sums)


_ALL = (
    Score(
        "visible",
        "grey levels squared a block",
        "energy in RGB that is left when the image is resized to 256 pixels, as networks see it",
        _largest(scores.visible),
    ),
    Score(
        "gain",
        "dB",
        "what the channel adds to the PSNR in RGB when channels are added best first",
        gain.greedy_gain,
    ),
    Score(
        "energy",
        "squared coefficient",
        "mean squared coefficient",
        _largest(scores.energy),
    ),
    Score(
        "energy_share",
        "share",
        "energy over the energy of all channels stored",
        _largest(scores.energy_share),
    ),
    Score("std", "coefficient", "standard deviation of the coefficients", _largest(scores.std)),
    Score(
        "mean",
        "coefficient",
        "mean coefficient; ranked by its magnitude",
        _largest(scores.mean, np.abs),
    ),
    Score(
        "zero_fraction",
        "share",
        "share of coefficients stored as 0; the fewest rank first",
        _largest(scores.zero_fraction, np.negative),
    ),
    Score("entropy", "bits", "entropy of the stored codes, bits each", _largest(scores.entropy)),
    Score(
        "label_share",
        "share",
        "share of the variance of the channel's activity that lies between the labels: classes, or"
        " with boxes object and background",
        _largest(label_scores.label_share),
    ),
    Score(
        "label_information",
        "bits",
        "mutual information of the channel's activity and the label: the class, or with boxes"
        " object or background",
        _largest(label_scores.label_information),
    ),
    Score(
        "redundancy",
        "bits",
        "what the channel's activity shares with each other channel's on average; the least first",
        _least_redundant,
    ),
    Score(
        "mrmr",
        "bits",
        "label_information less what the channel shares with those chosen before it",
        _mrmr,
    ),
)
SCORES = {score.name: score for score in _ALL}
"""Scores that are computed from the sums of a pass, by name."""


BYTES = "bytes"
"""Name of the score that is read off the files, not computed from the sums."""


def bytes_ranking(channel_bytes: np.ndarray) -> Ranking:
    """Rank channels by bytes on disk per image, the most first; those not stored have none."""
    meaning = "bytes on disk an image, as measured in the store"
    ranking = Ranking(BYTES, "bytes", meaning, channel_bytes, by_size(channel_bytes))
    return ranking.among(set(np.flatnonzero(channel_bytes > 0).tolist()))
