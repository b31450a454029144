"""Scores of each channel by itself, from the sums of a pass.

Each takes the `Sums` of any groups and the quantization steps, float64 (192,) in raster order, and
gives float64 (192,). ``q`` is a code, ``s`` the step of its channel, ``p(q)`` the share of the
blocks with a valid pixel that have the code; a coefficient is ``q * s``.
"""

from __future__ import annotations

import numpy as np

from freqprep.importance.sums import Sums
from freqprep.importance.visibility import transfer
from freqprep.spectrum import COMPONENTS, FREQUENCIES
from freqprep.spectrum.color import ycbcr_to_rgb

_NEUTRAL = (0.0, 128.0, 128.0)


def codes_of(histogram: np.ndarray) -> np.ndarray:
    """The code that each place of a histogram counts, int64."""
    largest = histogram.shape[-1] // 2
    return np.arange(-largest, largest)


def mean(sums: Sums, steps: np.ndarray) -> np.ndarray:
    """Mean coefficient, ``s * sum(p(q) q)``; grey levels times 8 for a DC."""
    histogram = sums.histogram.sum(axis=0)
    return histogram @ codes_of(histogram) / _blocks(sums) * steps


def energy(sums: Sums, steps: np.ndarray) -> np.ndarray:
    """Mean squared coefficient, ``s**2 * sum(p(q) q**2)``, the mean included.

    By Parseval's theorem the 64 of a component add up to 64 times its mean squared pixel - 128.
    """
    histogram = sums.histogram.sum(axis=0)
    return histogram @ codes_of(histogram) ** 2 / _blocks(sums) * steps**2


def std(sums: Sums, steps: np.ndarray) -> np.ndarray:
    """Standard deviation of the coefficients, ``sqrt(energy - mean**2)``."""
    return np.sqrt(np.maximum(energy(sums, steps) - mean(sums, steps) ** 2, 0))


def energy_share(sums: Sums, steps: np.ndarray) -> np.ndarray:
    """Energy over the energy of all 192 channels; adds up to 1."""
    each = energy(sums, steps)
    return each / max(each.sum(), np.finfo(float).tiny)


def zero_fraction(sums: Sums, _: np.ndarray) -> np.ndarray:
    """Share of coefficients stored as 0, ``p(0)``."""
    histogram = sums.histogram.sum(axis=0)
    return histogram[:, histogram.shape[-1] // 2] / _blocks(sums)


def entropy(sums: Sums, _: np.ndarray) -> np.ndarray:
    """Entropy of the codes, ``-sum(p(q) log2 p(q))``, bits a coefficient (Shannon 1948).

    What an ideal code without memory would need; the measured bytes use that neighbours are alike.
    """
    return shannon(sums.histogram.sum(axis=0) / _blocks(sums))


def shannon(share: np.ndarray) -> np.ndarray:
    """Entropy in bits of shares along the last axis; what never occurs adds nothing."""
    logarithm = np.log2(share, out=np.zeros_like(share), where=share > 0)
    return np.maximum(-np.sum(share * logarithm, axis=-1), 0)


def visible(sums: Sums, steps: np.ndarray) -> np.ndarray:
    """Energy that reaches a network's eye: in RGB, at the size networks are evaluated at.

    ``|a|**2 * sum over images of (transfer * s**2 * sum(q**2)) / blocks``. ``a`` is the channel's
    column of the YCbCr to RGB matrix (`rgb_gram`), so that a unit of Cb counts for what it does
    to red, green and blue. ``transfer`` is what the resize to a short side of 256 pixels leaves
    of the frequency's energy; it depends on the image's size (`visibility.transfer`).
    """
    left = np.tile(transfer(), (1, len(COMPONENTS)))
    seen = np.einsum("gsk,sk->k", sums.squares.astype(np.float64), left)
    weight = np.repeat(np.diag(rgb_gram()), FREQUENCIES)
    return weight * seen * steps**2 / _blocks(sums)


def rgb_gram() -> np.ndarray:
    """Products of the columns of the YCbCr to RGB matrix ``A``: ``A.T @ A``, shape (3, 3).

    An error ``e`` in (Y, Cb, Cr) is a squared error ``e @ gram @ e`` over red, green and blue.
    """
    columns = ycbcr_to_rgb(np.eye(3) + _NEUTRAL)
    return columns @ columns.T


def _blocks(sums: Sums) -> int:
    return max(int(sums.blocks.sum()), 1)
