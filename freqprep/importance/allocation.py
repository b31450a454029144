"""Channels and steps chosen together, within a budget of bytes.

Bits are allocated to channels as in transform coding: each channel gets the step, or is left
out, so that the sum of distortions is the least that so many bytes allow. With a price ``p`` for
a byte that is the minimum of ``distortion + p * bytes`` for each channel by itself (Shoham and
Gersho 1988); the price is searched so that the bytes come to the budget.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from freqprep.importance.rate_distortion import STEPS, Rates
from freqprep.spectrum import FREQUENCIES
from freqprep.spectrum.channels import CHANNELS, PUBLISHED, Selection, published
from freqprep.spectrum.fidelity import psnr
from freqprep.spectrum.quantization import PRECISIONS, Precision

FITTED = "fitted"
"""Name of a table whose steps were chosen from the data."""

_HALVINGS = 60
_ROUNDING = 1e-12  # sums of the same costs in another order differ by less; bytes by far more
_SAMPLES = 3 * FREQUENCIES


@dataclass(frozen=True)
class Allocation:
    """Channels to read, and the precision to convert with.

    Attributes
    ----------
    selection : Selection
    precision : Precision
    bytes_per_image : float
        Predicted bytes on disk per image of these channels.
    distortion : float
        Predicted visible distortion, grey levels squared a block of three colours.
    """

    selection: Selection
    precision: Precision
    bytes_per_image: float
    distortion: float

    @property
    def psnr(self) -> float:
        """The distortion as PSNR in RGB at the size networks see, dB."""
        return float(psnr(self.distortion, _SAMPLES))

    @property
    def name(self) -> str:
        """Selection and precision as one name."""
        return f"{self.selection.name} at {self.precision.name}"


def allocation_of(rates: Rates, selection: Selection, precision: Precision) -> Allocation | None:
    """Predict bytes and distortion of a selection at a precision; None if not measurable."""
    cost, error = _at(rates, precision)
    indices = list(selection.indices)
    if not np.isfinite(cost[indices]).all():
        return None
    absent = rates.absent.sum() - rates.absent[indices].sum()
    total = float(cost[indices].sum())
    return Allocation(selection, precision, total, float(error[indices].sum() + absent))


def measurable(rates: Rates, precisions: Iterable[Precision]) -> list[Precision]:
    """Return the precisions whose bytes were measured for every channel stored."""
    stored = np.isfinite(rates.stored_bytes)
    return [one for one in precisions if np.isfinite(_at(rates, one)[0][stored]).all()]


def best_channels(
    rates: Rates, precision: Precision, limit: float, count: int
) -> Allocation | None:
    """Choose channels at a precision: the least distortion within a number of bytes.

    Parameters
    ----------
    rates : Rates
    precision : Precision
    limit : float
        Bytes per image.
    count : int
        Number of channels, at most.

    Returns
    -------
    Allocation or None
        None if no channel fits.
    """
    cost, error = _at(rates, precision)
    chosen = _search(cost[:, None], error[:, None], rates, limit, count)
    return _named(rates, chosen, precision)


def best_steps(rates: Rates, limit: float, count: int) -> Allocation | None:
    """Choose channels and the step of each: the least distortion within a number of bytes.

    Parameters and returns as of `best_channels`. Channels that are not chosen get steps at the
    same price of a byte, since a conversion stores them as well.
    """
    chosen = _search(rates.channel_bytes, rates.distortion, rates, limit, count)
    known = np.isfinite(rates.channel_bytes)
    priced = rates.distortion + chosen.price * np.where(known, rates.channel_bytes, 0)
    priced[~known] = np.inf
    priced[~known.any(axis=1), -1] = 0  # not stored: the coarsest step
    steps = [STEPS[number] for number in priced.argmin(axis=1)]
    return _named(rates, chosen, Precision(FITTED, "int8", tuple(steps)))


@dataclass(frozen=True)
class _Chosen:
    picked: tuple[int, ...]
    price: float


def _search(
    cost: np.ndarray,
    error: np.ndarray,
    rates: Rates,
    limit: float,
    count: int,
) -> _Chosen:
    """Find the lowest price of a byte, by halving, at which the chosen channels fit.

    ``cost`` and ``error`` are of shape (192, steps), infinite where a step cannot be had.
    """
    known = np.isfinite(cost)
    finite = np.where(known, cost, 0)
    room = limit * (1 + _ROUNDING)

    def chosen(price: float) -> tuple[list[int], float]:
        each = np.where(known, error + price * finite, np.inf)
        best = each.argmin(axis=1)
        saving = rates.absent - each[np.arange(CHANNELS), best]
        order = np.argsort(-saving, kind="stable")[:count]
        picked = [int(index) for index in order if saving[index] > 0]
        return picked, float(sum(finite[index, best[index]] for index in picked))

    if chosen(0)[1] <= room:
        return _Chosen(tuple(chosen(0)[0]), 0)
    # At the upper end no channel is worth its bytes: the cheapest would save all that there is.
    low, high = 0.0, float(rates.absent.max() / cost[cost > 0].min())
    for _ in range(_HALVINGS):
        middle = math.sqrt(max(low, high * 1e-12) * high)
        if chosen(middle)[1] <= room:
            high = middle
        else:
            low = middle
    return _Chosen(tuple(chosen(high)[0]), high)


def _named(rates: Rates, chosen: _Chosen, precision: Precision) -> Allocation | None:
    if not chosen.picked:
        return None
    name = f"best-{len(chosen.picked)}"
    return allocation_of(rates, Selection(chosen.picked, name), precision)


def _at(rates: Rates, precision: Precision) -> tuple[np.ndarray, np.ndarray]:
    """Return bytes and distortion of each channel at a precision; infinite if not measured."""
    if precision == rates.precision:
        return rates.stored_bytes, rates.stored_distortion
    cost, error = np.full((2, CHANNELS), np.inf)
    for index, step in enumerate(precision.steps):
        if step in STEPS and precision.codes == "int8":
            cost[index] = rates.channel_bytes[index, STEPS.index(step)]
            error[index] = rates.distortion[index, STEPS.index(step)]
    return cost, error


def candidate_allocations(
    rates: Rates, limit: float, count: int, fitted: bool
) -> tuple[Allocation, ...]:
    """Return allocations within a budget, those of the least predicted distortion first.

    At each precision that could be measured: the best channels, and each published selection.

    Parameters
    ----------
    rates : Rates
    limit : float
        Bytes per image.
    count : int
        Number of channels, at most.
    fitted : bool
        Whether steps fitted to the data may be chosen, besides the precisions that have a name.

    Returns
    -------
    tuple of Allocation
    """
    found = [best_steps(rates, limit, count)] if fitted else []
    lists = [published(name) for name in PUBLISHED if len(published(name)) <= count]
    for precision in measurable(rates, known_precisions(rates)):
        found.append(best_channels(rates, precision, limit, count))
        found += [allocation_of(rates, selection, precision) for selection in lists]
    fitting = [one for one in found if one and one.bytes_per_image <= limit * (1 + _ROUNDING)]
    return tuple(sorted(fitting, key=lambda one: one.distortion))


def known_precisions(rates: Rates) -> list[Precision]:
    """Return the precision of the split, and those that have a name."""
    return list(dict.fromkeys([rates.precision, *PRECISIONS.values()]))
