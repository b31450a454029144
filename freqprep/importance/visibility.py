"""Energy of each frequency that is left at the image size of networks.

Networks are evaluated on images resized to a short side of 256. A basis function of the 8x8 DCT
goes through that antialiased bilinear resize (a triangle filter as wide as an output pixel) as
through a low pass: the share of its energy that is left depends on the ratio of sizes alone.
Blocks are taken as independent; in real images neighbours are alike, and the lowest frequencies
keep more.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from freqprep.spectrum import BLOCK
from freqprep.spectrum.dct import dct_matrix_1d
from freqprep.spectrum.resizing import resize_matrix

SHORT_SIDE = 256
"""Short side, in pixels, at which networks are usually evaluated before the 224 crop."""

STEPS_PER_OCTAVE = 8
_LOWEST = -5 * STEPS_PER_OCTAVE
SCALES = 8 * STEPS_PER_OCTAVE
"""Number of scales: 2**-5 to 2**3 in eighths of an octave."""

_BLOCKS = 32


def scale_of(short_side: np.ndarray) -> np.ndarray:
    """Return the index, 0..`SCALES` - 1, of the ratio `SHORT_SIDE` / ``short_side`` (pixels)."""
    octaves = np.log2(SHORT_SIDE / np.maximum(short_side, 1))
    index: np.ndarray = np.clip(
        np.rint(octaves * STEPS_PER_OCTAVE).astype(np.int64) - _LOWEST, 0, SCALES - 1
    )
    return index


@cache
def transfer() -> np.ndarray:
    """Compute the share of energy per pixel that a resize leaves of each frequency.

    Returns
    -------
    ndarray of float64, shape (SCALES, 64)
        In raster order of frequencies; separable: the product of the vertical and the horizontal.
    """
    ratios = 2.0 ** ((np.arange(SCALES) + _LOWEST) / STEPS_PER_OCTAVE)
    each = np.stack([_transfer_1d(ratio) for ratio in ratios])
    shares: np.ndarray = (each[:, :, None] * each[:, None, :]).reshape(SCALES, -1)
    shares.flags.writeable = False  # every caller gets this one
    return shares


def _transfer_1d(ratio: float) -> np.ndarray:
    length = _BLOCKS * BLOCK
    resized = max(1, round(length * ratio))
    operator = resize_matrix(length, resized)
    basis = dct_matrix_1d()
    energy = np.zeros(BLOCK)
    for block in range(_BLOCKS):
        energy += ((operator[:, block * BLOCK : (block + 1) * BLOCK] @ basis.T) ** 2).sum(axis=0)
    return energy / _BLOCKS * length / resized
