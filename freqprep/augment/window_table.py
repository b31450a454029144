"""All that differs from image to image in a batch, as one table of integers: a single copy.

Everything else that resampling needs (centres, weights, matrices, indices, mirrored images) follows
from it on the device.
"""

from __future__ import annotations

import numpy as np

from freqprep.augment.color_transforms import ColorChange
from freqprep.augment.crops import Windows
from freqprep.spectrum import BLOCK

# Rows of the table, each for the two axes. Output pixel p, p <= LAST, has its centre at input pixel
# START + (CENTRE + STRIDE * p) * LENGTH / TWICE: mirrored images count down. Exact as integers.
START, STOP, LENGTH, TWICE, LAST, CENTRE, STRIDE, FIRST_BLOCK, SLOPE, GAIN, CONSTANT = range(11)
ROWS = 11
LARGEST = 2**29
"""Pixels of a resized box from which the table's integers would overflow."""


def window_table(windows: Windows, flip: np.ndarray, colors: ColorChange | None) -> np.ndarray:
    """Pack windows, mirroring and colours of a batch.

    Parameters
    ----------
    windows : Windows
    flip : ndarray of bool, shape (n,)
    colors : ColorChange or None

    Returns
    -------
    ndarray of int32, shape (11, 2, n)
        By vertical and horizontal axis: the box's first pixel and the one after its last; its
        length; twice the resized length; the last pixel kept; the numbers of the formula above;
        the first block kept; and, as the bits of float32, 1 / the filter's half width. The last two
        rows are float32 too: factors of luma and chroma, and the constants of `ColorChange`.
    """
    table = np.zeros((ROWS, 2, len(windows)), np.int32)
    last = windows.kept - 1
    mirrored = np.stack([np.zeros_like(flip), flip], axis=1)
    rows = {
        START: windows.start,
        STOP: windows.start + windows.length,
        LENGTH: windows.length,
        TWICE: 2 * windows.resized,
        LAST: last,
        CENTRE: 2 * (windows.offset + np.where(mirrored, last, 0)) + 1,
        STRIDE: np.where(mirrored, -2, 2),
        FIRST_BLOCK: (windows.start + windows.offset) // BLOCK,
    }
    for row, values in rows.items():
        table[row] = values.T
    table[SLOPE].view(np.float32)[:] = np.minimum(windows.resized / windows.length, 1).T
    if colors is not None:
        table[GAIN].view(np.float32)[:] = colors.luma, colors.chroma
        table[CONSTANT].view(np.float32)[:] = colors.constant, colors.share
    return table
