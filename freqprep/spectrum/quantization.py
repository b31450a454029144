"""Quantization of coefficients to integer codes: ``value = code * step``.

``int8`` takes step 8 for DC and for every frequency with v + h <= 2, and step 4 for the rest: low
frequencies need the range, high ones the precision. Codes saturate at -128 and 127 (about 1.6e-7
of them do, in photographs). ``int16`` takes step 1 everywhere and cannot saturate.
"""

from __future__ import annotations

import numpy as np

from freqprep.errors import UsageError
from freqprep.spectrum import BLOCK, COMPONENTS, FREQUENCIES

PRECISIONS: dict[str, np.dtype] = {"int8": np.dtype("int8"), "int16": np.dtype("int16")}
"""Dtype of the codes of each precision."""


def step_table(precision: str) -> np.ndarray:
    """Return the quantization steps of a precision.

    Parameters
    ----------
    precision : {"int8", "int16"}

    Returns
    -------
    ndarray of float32, shape (192,)
        Step of each channel in raster order; powers of two, so that scaling is exact.
    """
    if precision not in PRECISIONS:
        raise UsageError(f"precision {precision!r} does not exist", "use int8 or int16")
    if precision == "int16":
        return np.ones(len(COMPONENTS) * FREQUENCIES, np.float32)
    v, h = np.divmod(np.arange(FREQUENCIES), BLOCK)
    return np.tile(np.where(v + h <= 2, 8, 4).astype(np.float32), len(COMPONENTS))


def round_codes(scaled: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, int]:
    """Round coefficients divided by their steps to codes.

    Parameters
    ----------
    scaled : ndarray of float32
        Coefficients / step.
    dtype : dtype
        int8 or int16: the range of the codes.

    Returns
    -------
    codes : ndarray of float32
        Nearest integers, halves to even, clipped to the range of ``dtype``. Still float32: codes
        are summed before they are stored.
    saturated : int
        Number of codes that were clipped.
    """
    codes = np.rint(scaled)
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    if codes.min() >= low and codes.max() <= high:
        return codes, 0
    saturated = int(np.count_nonzero((codes < low) | (codes > high)))
    return np.clip(codes, low, high, out=codes), saturated


def dequantize(codes: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Compute coefficients from codes.

    Parameters
    ----------
    codes : ndarray of int8 or int16, shape (..., channels, rows, columns)
    steps : ndarray of float32, shape (channels,)

    Returns
    -------
    ndarray of float32
        Same shape as ``codes``.
    """
    coefficients: np.ndarray = np.multiply(codes, steps[:, None, None], dtype=np.float32)
    return coefficients
