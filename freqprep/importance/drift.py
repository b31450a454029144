"""Drift: differences between the channels of two splits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from freqprep.errors import UsageError
from freqprep.importance.analysis import Analysis
from freqprep.importance.scores import shannon
from freqprep.importance.stability import agreement_of
from freqprep.spectrum.channels import CHANNELS

_ENERGY = "energy"
_LARGEST_LEVEL = 30.0


@dataclass(frozen=True)
class Drift:
    """Differences between the channels of a split and of another one; raster order.

    Values of channels that either does not store are 0.

    Attributes
    ----------
    other : str
        Store and name of the other split.
    by : str
        Score that ranks both.
    channels : tuple of int
        Raster indices of the channels that both store, rising.
    below_rounding : ndarray of bool, shape (192,)
        Whether both energies are below the error of rounding, ``step**2 / 12`` of the larger step:
        ranks among such channels mean nothing.
    level : ndarray of float64, shape (192,)
        Energy of the other over the energy here, dB, within +-30; 0 where both are below the
        error of rounding.
    standard_errors : ndarray of float64 or None, shape (192,)
        Difference of the energies over its standard error; None where a split has fewer than eight
        images.
    mean_shift : ndarray of float64, shape (192,)
        Difference of the means over the standard deviation here; 0 where that is 0.
    divergence : ndarray of float64 or None, shape (192,)
        Jensen-Shannon divergence of the distributions of codes, bits: 0 the same, 1 disjoint
        (Lin 1991). None where the splits have different quantization.
    rank_change : ndarray of int64, shape (192,)
        Rank in the other less rank here, by the score.
    spearman : float
        Correlation of the two orders.
    overlap : float
        Share of the top channels that both have.
    """

    other: str
    by: str
    channels: tuple[int, ...]
    below_rounding: np.ndarray
    level: np.ndarray
    standard_errors: np.ndarray | None
    mean_shift: np.ndarray
    divergence: np.ndarray | None
    rank_change: np.ndarray
    spearman: float
    overlap: float


def compute_drift(here: Analysis, there: Analysis, by: str, top: int) -> Drift:
    """Compare the channels of two splits.

    Parameters
    ----------
    here, there : Analysis
    by : str
        Score whose ranks are compared.
    top : int
        Number of top channels whose overlap is measured.

    Returns
    -------
    Drift

    Raises
    ------
    UsageError
        One of the splits does not have the score, or they store no channel in common.
    """
    shared = tuple(sorted({*here.stored} & {*there.stored}))
    if not shared:
        raise UsageError(
            f"{there.store} {there.split} stores none of the channels of {here.store} {here.split}",
            "compare splits that store some channels in common",
        )
    energies = [_values(analysis, _ENERGY) for analysis in (here, there)]
    means = [_values(analysis, "mean") for analysis in (here, there)]
    deviation = _values(here, "std")
    shift = np.divide(
        means[1] - means[0], deviation, out=np.zeros_like(deviation), where=deviation > 0
    )
    one, other = (analysis.ranking(by).among(set(shared)) for analysis in (here, there))
    # In both, the ranks of the shared channels in rising order.
    ranks = [np.argsort(ranking.order) for ranking in (one, other)]
    rank_change = np.zeros(CHANNELS, np.int64)
    rank_change[list(shared)] = ranks[1] - ranks[0]
    spearman, overlap = agreement_of(one, other, min(top, len(shared)))
    rounding = np.maximum(here.steps, there.steps) ** 2 / 12
    below_rounding = np.maximum(*energies) < rounding
    kept = np.isin(np.arange(CHANNELS), shared)
    errors = _standard_errors(here, there, energies[1] - energies[0])
    return Drift(
        other=f"{there.store} {there.split}",
        by=by,
        channels=shared,
        below_rounding=kept & below_rounding,
        level=(kept & ~below_rounding) * _level(*energies),
        standard_errors=None if errors is None else kept * errors,
        mean_shift=kept * shift,
        divergence=_divergence(here, there, shared),
        rank_change=rank_change,
        spearman=spearman,
        overlap=overlap,
    )


def _values(analysis: Analysis, name: str) -> np.ndarray:
    return analysis.ranking(name).values


def _level(here: np.ndarray, there: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = 10 * np.log10(there / here)
    level: np.ndarray = np.clip(np.nan_to_num(ratio, nan=0.0), -_LARGEST_LEVEL, _LARGEST_LEVEL)
    return level


def _standard_errors(here: Analysis, there: Analysis, difference: np.ndarray) -> np.ndarray | None:
    if _ENERGY not in here.stability or _ENERGY not in there.stability:
        return None
    error = np.hypot(here.stability[_ENERGY].error, there.stability[_ENERGY].error)
    errors: np.ndarray = np.divide(
        difference, error, out=np.zeros_like(difference), where=error > 0
    )
    return errors


def _divergence(here: Analysis, there: Analysis, shared: tuple[int, ...]) -> np.ndarray | None:
    indices = list(shared)
    if not np.array_equal(here.steps[indices], there.steps[indices]):
        return None
    shares = []
    largest = max(analysis.sums.histogram.shape[-1] // 2 for analysis in (here, there))
    for analysis in (here, there):
        histogram = analysis.sums.histogram.sum(axis=0)
        # int8 and int16 codes of the same steps: histograms of other lengths around code 0.
        beside = largest - histogram.shape[-1] // 2
        histogram = np.pad(histogram, ((0, 0), (beside, beside)))
        shares.append(histogram / histogram.sum(axis=1, keepdims=True))
    middle = shannon((shares[0] + shares[1]) / 2)
    bits: np.ndarray = np.maximum(middle - (shannon(shares[0]) + shannon(shares[1])) / 2, 0)
    return np.where(np.isin(np.arange(CHANNELS), indices), bits, 0)
