"""Antialiased bilinear resizing of a row of pixels, as a matrix."""

from __future__ import annotations

import numpy as np


def resize_matrix(length: int, resized: int) -> np.ndarray:
    """Compute antialiased bilinear weights, as Pillow's BILINEAR and torch's ``antialias=True``.

    The weight of a pixel falls linearly with its distance from the centre of the new pixel, over
    a half width of ``max(1, length / resized)`` pixels.

    Parameters
    ----------
    length, resized : int
        Pixels before and after, both at least 1.

    Returns
    -------
    ndarray of float64, shape (resized, length)
        Rows add up to 1.
    """
    scale = length / resized
    centres = (np.arange(resized)[:, None] + 0.5) * scale
    distance = np.abs(np.arange(length) + 0.5 - centres) / max(scale, 1.0)
    weights = np.clip(1 - distance, 0, None)
    matrix: np.ndarray = weights / weights.sum(axis=1, keepdims=True)
    return matrix
