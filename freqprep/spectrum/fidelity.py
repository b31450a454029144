"""Fidelity of the stored coefficients to the image."""

from __future__ import annotations

import numpy as np

PEAK = 255.0


def psnr(squared_error: np.ndarray | float, pixels: np.ndarray | int) -> np.ndarray:
    """Compute the peak signal-to-noise ratio.

    ``10 * log10(255**2 / mean squared error)``.

    Parameters
    ----------
    squared_error : array_like of float
        Sums of squared errors, of pixels or (Parseval) of orthonormal coefficients.
    pixels : array_like of int
        Number of values in each sum.

    Returns
    -------
    ndarray of float64
        In dB; infinite where the error is 0.
    """
    error, count = np.asarray(squared_error, np.float64), np.asarray(pixels, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return 10 * np.log10(PEAK**2 * count / error)
