"""Brightness, contrast, saturation and grey as linear maps of YCbCr data; and YCbCr to RGB.

They are torchvision's ``adjust_*`` without the clamp to 0..255, which coefficients cannot have.
Without it each scales the components and adds a constant to luma, so they act on pixels and on
coefficients alike, on any selection of channels, and all changes of an image are one map: two
factors and two constants, drawn on the host and applied at once. Grey is the luma Y (torchvision's
has 0.2989 in place of 0.299 for red: 0.03 grey levels at most).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from freqprep.augment.transfer import Constants
from freqprep.spectrum import BLOCK, FREQUENCIES
from freqprep.spectrum.channels import Selection
from freqprep.spectrum.color import TO_RGB
from freqprep.spectrum.dct import PIXEL_OFFSET

_TO_RGB = {
    torch.float32: Constants(matrix=TO_RGB.astype(np.float32)),
    torch.float64: Constants(matrix=TO_RGB),
}


@dataclass(frozen=True)
class ColorChange:
    """Map of the colours of n images, in grey levels: Y -> luma * Y + constant + share * mean(Y).

    All arrays are float64 of shape (n,). Y is around 0 (Y - 128).

    Attributes
    ----------
    luma, chroma : ndarray
        Factors of Y, and of Cb and Cr.
    constant : ndarray
        Grey levels added to Y.
    share : ndarray
        Part of the image's mean Y, before the change, that is added to Y.
    """

    luma: np.ndarray
    chroma: np.ndarray
    constant: np.ndarray
    share: np.ndarray

    @classmethod
    def none(cls, n: int) -> ColorChange:
        """Return the change of n images that leaves them as they are."""
        return cls(np.ones(n), np.ones(n), np.zeros(n), np.zeros(n))

    def brightness(self, factor: np.ndarray) -> ColorChange:
        """Multiply RGB by a factor.

        Parameters
        ----------
        factor : ndarray of float64, shape (n,)
            At least 0; 1 changes nothing.

        Returns
        -------
        ColorChange
            This change, and then that one.
        """
        constant = factor * self.constant + (factor - 1) * PIXEL_OFFSET
        return ColorChange(self.luma * factor, self.chroma * factor, constant, self.share * factor)

    def contrast(self, factor: np.ndarray) -> ColorChange:
        """Blend with the image's mean grey, which 0 gives; see `brightness`."""
        share = self.share + (1 - factor) * self.luma
        return ColorChange(self.luma * factor, self.chroma * factor, self.constant, share)

    def saturation(self, factor: np.ndarray) -> ColorChange:
        """Blend with the grey image, which 0 gives; see `brightness`."""
        return replace(self, chroma=self.chroma * factor)

    def grey(self, chosen: np.ndarray) -> ColorChange:
        """Make some of the images grey; ``chosen``: bool, shape (n,)."""
        return self.saturation(np.where(chosen, 0.0, 1.0))


class Basis:
    """Meaning of the planes of (n, planes, rows, columns) data, and changes of their colours.

    Parameters
    ----------
    used : Selection or None
        Channels of coefficients; None: YCbCr pixels.
    """

    def __init__(self, used: Selection | None) -> None:
        indices = (0, FREQUENCIES, 2 * FREQUENCIES) if used is None else used.indices
        self._unit = 1.0 if used is None else float(BLOCK)  # of a grey level in luma's mean
        self._mean = indices.index(0) if 0 in indices else None  # plane of luma's mean
        self._constants = Constants(is_chroma=np.array(indices) // FREQUENCIES > 0)

    def apply(self, data: Tensor, gains: Tensor, constants: Tensor) -> Tensor:
        """Change the colours of each image.

        Parameters
        ----------
        data : Tensor of float32, shape (n, planes, rows, columns)
            Y - 128, Cb - 128 and Cr - 128 as pixels, or their coefficients. May be overwritten.
        gains : Tensor of float32, shape (2, n)
            ``luma`` and ``chroma`` of a `ColorChange`.
        constants : Tensor of float32, shape (2, n)
            ``constant`` and ``share`` of it.

        Returns
        -------
        Tensor of float32
            Of the shape of ``data``.
        """
        is_chroma = self._constants.on(data.device)["is_chroma"]
        added = None
        if self._mean is not None:
            mean = data[:, self._mean].mean(dim=(1, 2))
            added = torch.addcmul(constants[0] * self._unit, constants[1], mean)
        factor = torch.where(is_chroma, gains[1, :, None], gains[0, :, None])
        data = data.mul_(factor[:, :, None, None])
        if added is not None:
            data[:, self._mean].add_(added[:, None, None])
        return data


def to_rgb(pixels: Tensor) -> Tensor:
    """Convert YCbCr to RGB.

    Parameters
    ----------
    pixels : Tensor of float, shape (n, 3, height, width)
        Y - 128, Cb - 128, Cr - 128.

    Returns
    -------
    Tensor of float, shape (n, 3, height, width)
        Red, green and blue around 0..255, not clipped.
    """
    matrix = _TO_RGB[pixels.dtype].on(pixels.device)["matrix"]
    return (matrix @ pixels.flatten(2)).add_(PIXEL_OFFSET).view_as(pixels)
