"""Sums that coding leaves beside the codes: moments, clipped codes, squared error of luma."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from freqprep.spectrum.moments import Moments

ERROR_UNIT = 2.0**-9
"""Errors are rounded to multiples of this, in steps: their squares then add up exactly."""

ERROR_RUN = 64
"""Number of squared errors of clipped codes that float64 adds exactly."""


@dataclass(frozen=True)
class CodeSums:
    """Sums over the codes of an image.

    Attributes
    ----------
    moments : Moments
        In stored channel order.
    saturated : int
        Number of codes that were clipped.
    luma_squared_error : float
        Sum of squared differences between Y's coefficients and code * step.
    """

    moments: Moments
    saturated: int
    luma_squared_error: float


def squared_error(sums: np.ndarray, steps: np.ndarray) -> float:
    """Add up squared errors of luma, exactly, whichever blocks each sum is of.

    Parameters
    ----------
    sums : ndarray of float64, shape (n, 64)
        Exact sums of squared errors in units of `ERROR_UNIT` steps.
    steps : ndarray of float64, shape (64,)

    Returns
    -------
    float
    """
    return math.fsum((sums * (ERROR_UNIT * steps) ** 2).ravel())
