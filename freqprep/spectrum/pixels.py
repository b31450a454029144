"""Pixels of an image from its coefficients."""

from __future__ import annotations

import numpy as np

from freqprep.spectrum import COMPONENTS, FREQUENCIES
from freqprep.spectrum.color import ycbcr_to_rgb
from freqprep.spectrum.dct import grid_of, inverse


def rgb_of(coefficients: np.ndarray, height: int, width: int) -> np.ndarray:
    """Reconstruct the pixels of an image.

    Parameters
    ----------
    coefficients : ndarray of float32, shape (192, rows, columns)
        All channels in raster order; 0 for those that are left out.
    height, width : int
        Valid pixels, from the top left.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
    """
    rows, columns = grid_of(height, width)
    shape = (len(COMPONENTS), FREQUENCIES, rows, columns)
    components = coefficients[:, :rows, :columns].reshape(shape)
    ycbcr = np.stack([inverse(component)[:height, :width] for component in components], axis=-1)
    rgb: np.ndarray = np.clip(np.rint(ycbcr_to_rgb(ycbcr)), 0, 255)
    return rgb.astype(np.uint8)
