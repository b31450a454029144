"""Scores of each channel by itself, from the sums of a pass.

Each takes the `Sums` of any groups and the quantization steps, float64 (192,) in raster order, and
returns float64 (192,). ``q`` is a code, ``s`` the step of its channel, ``p(q)`` the share of the
blocks with a valid pixel that have the code; a coefficient is ``q * s``.
"""

from __future__ import annotations

import numpy as np

from freqprep.importance.sums import Sums
from freqprep.importance.visibility import transfer
from freqprep.spectrum import COMPONENTS, FREQUENCIES
from freqprep.spectrum.color import ycbcr_to_rgb

_NEUTRAL = (0.0, 128.0, 128.0)


def mean(sums: Sums, steps: np.ndarray) -> np.ndarray:
    """Compute the mean coefficient, ``s * sum(p(q) q)``; grey levels times 8 for a DC."""
    means: np.ndarray = sums.moments[0] / _blocks(sums) * steps
    return means


def energy(sums: Sums, steps: np.ndarray) -> np.ndarray:
    """Compute the mean squared coefficient, ``s**2 * sum(p(q) q**2)``.

    By Parseval's theorem the 64 of a component add up to 64 times its mean squared pixel - 128.
    """
    energies: np.ndarray = sums.moments[1] / _blocks(sums) * steps**2
    return energies


def std(sums: Sums, steps: np.ndarray) -> np.ndarray:
    """Compute the standard deviation, ``sqrt(energy - mean**2)``."""
    deviation: np.ndarray = np.sqrt(np.maximum(energy(sums, steps) - mean(sums, steps) ** 2, 0))
    return deviation


def energy_share(sums: Sums, steps: np.ndarray) -> np.ndarray:
    """Compute the energy as a share of that of all channels stored; adds up to 1."""
    each = energy(sums, steps)
    shares: np.ndarray = each / max(each.sum(), np.finfo(float).tiny)
    return shares


def zero_fraction(sums: Sums, _: np.ndarray) -> np.ndarray:
    """Compute the share of coefficients stored as 0, ``p(0)``."""
    code_0 = sums.histogram.shape[-1] // 2
    zeros: np.ndarray = sums.histogram[..., code_0].sum(axis=0) / _blocks(sums)
    return zeros


def entropy(sums: Sums, _: np.ndarray) -> np.ndarray:
    """Compute the entropy of the codes, ``-sum(p(q) log2 p(q))``, bits per coefficient.

    An ideal code without memory needs as much (Shannon 1948). The measured bytes may be fewer,
    because neighbours are alike.
    """
    return shannon(sums.histogram.sum(axis=0) / _blocks(sums))


def shannon(share: np.ndarray) -> np.ndarray:
    """Compute the entropy of shares along the last axis, in bits."""
    logarithm = np.log2(share, out=np.zeros_like(share), where=share > 0)
    bits: np.ndarray = np.maximum(-np.sum(share * logarithm, axis=-1), 0)
    return bits


def visible(sums: Sums, steps: np.ndarray) -> np.ndarray:
    """Compute the energy in RGB that is left at the size networks are evaluated at.

    ``|a|**2 * sum over images of (transfer * s**2 * sum(q**2)) / blocks``. ``a`` is the channel's
    column of the YCbCr to RGB matrix (`rgb_gram`), so that a unit of Cb counts for what it does
    to red, green and blue. ``transfer`` is what the resize to a short side of 256 pixels leaves
    of the frequency's energy; it depends on the image's size (`visibility.transfer`).
    """
    left = np.tile(transfer(), (1, len(COMPONENTS)))
    seen = np.einsum("gsk,sk->k", sums.squares.astype(np.float64), left)
    weight = np.repeat(np.diag(rgb_gram()), FREQUENCIES)
    left_energy: np.ndarray = weight * seen * steps**2 / _blocks(sums)
    return left_energy


def rgb_gram() -> np.ndarray:
    """Return ``A.T @ A`` of the YCbCr to RGB matrix ``A``, shape (3, 3).

    An error ``e`` in (Y, Cb, Cr) is a squared error ``e @ gram @ e`` over red, green and blue.
    """
    columns = ycbcr_to_rgb(np.eye(3) + _NEUTRAL)
    gram: np.ndarray = columns @ columns.T
    return gram


def _blocks(sums: Sums) -> int:
    return max(int(sums.blocks.sum()), 1)
