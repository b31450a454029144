"""Encoding one image file to codes: decode, place, transform, quantize.

The same path serves conversion, the dry run's sample and the re-encoding of ``verify --source``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from freqprep.images.decode import decode, place_pixels
from freqprep.images.encoding import Encoding
from freqprep.spectrum.coding import make_coder
from freqprep.spectrum.moments import Moments


@dataclass(frozen=True)
class EncodedImage:
    """Sizes, errors and moments of an encoded image.

    Attributes
    ----------
    size, source_size : tuple of int
        Height and width in pixels, as stored and as decoded.
    orientation : int
        EXIF orientation that was applied.
    saturated : int
        Number of codes that were clipped.
    luma_squared_error : float
        Sum of squared differences between Y's coefficients and code * step. By Parseval this is
        also the squared error of the pixels of the same blocks.
    moments : Moments
        In stored channel order.
    note : str
        Remark of the decoder; mostly empty.
    """

    size: tuple[int, int]
    source_size: tuple[int, int]
    orientation: int
    saturated: int
    luma_squared_error: float
    moments: Moments
    note: str


class Encoder:
    """Encoder of the images of one split.

    Parameters
    ----------
    encoding : Encoding
    compiled : bool
        Whether to use compiled code: where `freqprep.spectrum.coding.worth_compiling`. The codes
        are the same.
    """

    def __init__(self, encoding: Encoding, compiled: bool = False) -> None:
        self._encoding = encoding
        self._coder = make_coder(encoding.precision, compiled)

    def encode(
        self, data: bytes, stated_size: tuple[int, int] | None, out: np.ndarray
    ) -> EncodedImage:
        """Encode the bytes of an image file.

        Parameters
        ----------
        data : bytes
            The whole file.
        stated_size : tuple of int or None
            See `freqprep.images.decode.decode`.
        out : ndarray of int8 or int16, shape (192, rows, columns)
            Filled with codes in stored channel order, and zeros. Any strides.

        Returns
        -------
        EncodedImage

        Raises
        ------
        ImageDefect
            The file cannot be converted; ``out`` is untouched.
        """
        geometry = self._encoding.geometry
        decoded = decode(data, geometry.orientation, stated_size)
        place = geometry.place(*decoded.size)
        sums = self._coder.encode(place_pixels(decoded, place), out)
        return EncodedImage(
            size=place.size,
            source_size=decoded.size,
            orientation=decoded.orientation,
            saturated=sums.saturated,
            luma_squared_error=sums.luma_squared_error,
            moments=sums.moments,
            note=decoded.note,
        )
