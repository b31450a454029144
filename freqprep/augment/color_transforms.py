"""Brightness, contrast, saturation and grey as linear maps of YCbCr data; and YCbCr to RGB.

They are torchvision's ``adjust_*`` without the clamp to 0..255, which coefficients cannot have.
Without it each scales the components and adds a constant to luma, so they act on pixels and on
coefficients alike, on any selection of channels, and in any order with the same result. Grey is
the luma Y (torchvision's has 0.2989 in place of 0.299 for red: 0.03 grey levels at most).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from freqprep.spectrum import BLOCK, FREQUENCIES
from freqprep.spectrum.channels import Selection
from freqprep.spectrum.color import TO_RGB
from freqprep.spectrum.dct import PIXEL_OFFSET


@dataclass(frozen=True)
class Basis:
    """Meaning of the planes of (n, planes, rows, columns) data.

    Attributes
    ----------
    chroma : tuple of int
        Planes of Cb and Cr.
    constant : int or None
        Plane of luma's mean, to which a constant added to luma goes; None if it is not there.
    unit : float
        Value of one grey level of luma in that plane.
    """

    chroma: tuple[int, ...]
    constant: int | None
    unit: float

    @classmethod
    def of(cls, used: Selection | None) -> Basis:
        """Describe the coefficients of some channels, or YCbCr pixels (None)."""
        if used is None:
            return cls((1, 2), 0, 1.0)
        chroma = tuple(i for i, index in enumerate(used.indices) if index >= FREQUENCIES)
        return cls(chroma, used.indices.index(0) if 0 in used.indices else None, float(BLOCK))


def brightness(data: Tensor, factor: Tensor, basis: Basis) -> Tensor:
    """Multiply RGB by a factor.

    Parameters
    ----------
    data : Tensor, shape (n, planes, rows, columns)
        Y - 128, Cb - 128 and Cr - 128 as pixels, or their coefficients.
    factor : Tensor, shape (n,)
        At least 0; 1 changes nothing.
    basis : Basis

    Returns
    -------
    Tensor
        Same shape as ``data``.
    """
    return _scaled(data, factor, (factor - 1) * (PIXEL_OFFSET * basis.unit), basis)


def contrast(data: Tensor, factor: Tensor, basis: Basis) -> Tensor:
    """Blend with the image's mean grey, which 0 gives; parameters as for `brightness`."""
    if basis.constant is None:
        return data * _each(factor)
    mean = data[:, basis.constant].mean(dim=(1, 2))
    return _scaled(data, factor, (1 - factor) * mean, basis)


def saturation(data: Tensor, factor: Tensor, basis: Basis) -> Tensor:
    """Blend with the grey image, which 0 gives; parameters as for `brightness`."""
    out = data.clone()
    out[:, list(basis.chroma)] *= _each(factor)
    return out


def grey(data: Tensor, chosen: Tensor, basis: Basis) -> Tensor:
    """Make some of the images grey; ``chosen``: bool, shape (n,)."""
    return saturation(data, (~chosen).to(data.dtype), basis)


def to_rgb(pixels: Tensor) -> Tensor:
    """Convert YCbCr to RGB.

    Parameters
    ----------
    pixels : Tensor of float32, shape (n, 3, height, width)
        Y - 128, Cb - 128, Cr - 128.

    Returns
    -------
    Tensor of float32, shape (n, 3, height, width)
        Red, green and blue around 0..255, not clipped.
    """
    matrix = torch.as_tensor(TO_RGB, dtype=pixels.dtype, device=pixels.device)
    return (matrix @ pixels.flatten(2)).add_(PIXEL_OFFSET).view_as(pixels)


def _scaled(data: Tensor, factor: Tensor, constant: Tensor, basis: Basis) -> Tensor:
    """Multiply all planes by a factor, and add a constant to luma."""
    out = data * _each(factor)
    if basis.constant is not None:
        out[:, basis.constant] += constant[:, None, None]
    return out


def _each(factor: Tensor) -> Tensor:
    return factor[:, None, None, None]
