"""PSNR in RGB of images from some channels, and the gain of each channel in it.

The transform is orthonormal, so the squared error of an image that lacks some channels follows
from the mean products of the coefficients it lacks, those of Y, Cb and Cr at the same frequency
with one another included. Nothing is clipped or rounded, and the pixels that fill the last
partial block count as pixels.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from freqprep.importance.scores import rgb_gram
from freqprep.importance.shard_counts import CROSS
from freqprep.importance.sums import Sums
from freqprep.spectrum import COMPONENTS, FREQUENCIES
from freqprep.spectrum.channels import CHANNELS
from freqprep.spectrum.fidelity import psnr

_SAMPLES = len(COMPONENTS) * FREQUENCIES


def error_products(sums: Sums, steps: np.ndarray) -> np.ndarray:
    """Compute what two missing components at one frequency add to the squared error.

    Returns
    -------
    ndarray of float64, shape (64, 3, 3)
        Mean per red, green or blue sample. The mean squared error of an image that lacks some
        channels is the sum of the entries with both components lacking.
    """
    products = np.zeros((FREQUENCIES, 3, 3))
    scale = steps.reshape(3, FREQUENCIES).T
    squares = sums.squares.sum(axis=(0, 1)).reshape(3, FREQUENCIES)
    cross = sums.cross.sum(axis=0)
    for c in range(3):
        products[:, c, c] = squares[c] * scale[:, c] ** 2
    for pair, (a, b) in enumerate(CROSS):
        products[:, a, b] = products[:, b, a] = cross[:, pair] * scale[:, a] * scale[:, b]
    error: np.ndarray = products * rgb_gram() / (max(int(sums.blocks.sum()), 1) * _SAMPLES)
    return error


def reconstruction_psnr(sums: Sums, steps: np.ndarray, chosen: Iterable[int]) -> float:
    """Compute the PSNR in RGB of images from some channels, against those from all stored.

    Parameters
    ----------
    sums : Sums
    steps : ndarray of float64, shape (192,)
    chosen : iterable of int
        Raster indices.

    Returns
    -------
    float
        PSNR of the mean squared error over all images, dB; infinite for all channels stored.
    """
    products = error_products(sums, steps)
    lacking = np.ones(CHANNELS, bool)
    lacking[list(chosen)] = False
    gone = lacking.reshape(3, FREQUENCIES).T
    error = np.einsum("kab,ka,kb->", products, gone, gone)
    return float(psnr(max(error, 0.0), 1))


def greedy_gain(sums: Sums, steps: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
    """Order channels by forward selection on the squared error in RGB.

    From grey, each step adds the channel that lowers the error most. Its gain is
    ``10 log10(error before / error after)``, where both errors include the rounding of the codes,
    which no channel can repair: ``step**2 / 12`` each (uniform quantization).

    Returns
    -------
    ndarray of float64, shape (192,)
        Gain in dB, raster order.
    tuple of int
        Raster indices in the order of selection.
    """
    products = error_products(sums, steps)
    rounding = np.repeat(np.diag(rgb_gram()), FREQUENCIES) @ (steps**2 / 12) / _SAMPLES
    lacking = np.ones((FREQUENCIES, 3), bool)
    error = products.sum() + rounding
    # Without a component c, the terms of c with itself and, twice, with the others go.
    drop = 2 * products.sum(axis=2) - np.diagonal(products, axis1=1, axis2=2)
    gains, order = np.zeros(CHANNELS), []
    for _ in range(CHANNELS):
        best = int(np.argmax(np.where(lacking, drop, -np.inf)))
        frequency, component = divmod(best, 3)
        after = max(error - drop[frequency, component], rounding)
        index = component * FREQUENCIES + frequency
        gains[index] = 10 * np.log10(error / after)
        order.append(index)
        error = after
        lacking[frequency, component] = False
        drop[frequency] -= 2 * products[frequency, component]
    return gains, tuple(order)
