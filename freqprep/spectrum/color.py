"""Conversion between RGB and full-range JFIF YCbCr (BT.601).

Source of the formulas: ITU-T T.871 (JFIF), section 7.
"""

from __future__ import annotations

import numpy as np

KR, KG, KB = 0.299, 0.587, 0.114
"""Luma weights of ITU-R BT.601."""

_TO_YCBCR = np.array(
    [
        [KR, KG, KB],
        [-KR / (2 - 2 * KB), -KG / (2 - 2 * KB), 0.5],
        [0.5, -KG / (2 - 2 * KR), -KB / (2 - 2 * KR)],
    ]
)
TO_RGB = np.linalg.inv(_TO_YCBCR)
"""Matrix from Y, Cb - 128, Cr - 128 to red, green, blue."""

_FRACTION_BITS = 16
_FIXED = np.rint(_TO_YCBCR * 2**_FRACTION_BITS).astype(np.int32)


def rgb_to_ycbcr(rgb: np.ndarray) -> np.ndarray:
    """Convert RGB to full-range YCbCr, rounded.

    Integer arithmetic with 16 fraction bits, so the result is the same on every machine.
    (Pillow's own conversion rounds down: half a grey level too dark on average.)

    Parameters
    ----------
    rgb : ndarray of uint8, shape (..., 3)

    Returns
    -------
    ndarray of uint8, shape (..., 3)
        Y, Cb, Cr; Cb and Cr around 128.
    """
    red, green, blue = (rgb[..., c].astype(np.int32) for c in range(3))
    ycbcr = np.empty(rgb.shape, np.uint8)
    for component, offset in enumerate((0, 128, 128)):
        r, g, b = _FIXED[component]
        total = red * r + green * g + blue * b
        total += (offset << _FRACTION_BITS) + (1 << (_FRACTION_BITS - 1))
        ycbcr[..., component] = np.clip(total >> _FRACTION_BITS, 0, 255)
    return ycbcr


def ycbcr_to_rgb(ycbcr: np.ndarray) -> np.ndarray:
    """Convert full-range YCbCr to RGB.

    Parameters
    ----------
    ycbcr : ndarray, shape (..., 3)
        Y, Cb, Cr; Cb and Cr around 128. Any real dtype.

    Returns
    -------
    ndarray of float64, shape (..., 3)
        Red, green, blue, not rounded and not clipped.
    """
    return (np.asarray(ycbcr, np.float64) - (0.0, 128.0, 128.0)) @ TO_RGB.T
