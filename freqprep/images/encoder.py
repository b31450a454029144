"""Encoding one image file to codes: decode, place, transform, quantize.

The same path serves conversion, the dry run's sample and the re-encoding of ``verify --source``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from freqprep.images.decode import decode, place_pixels
from freqprep.images.encoding import Encoding
from freqprep.spectrum import FREQUENCIES
from freqprep.spectrum.channels import STORED_POSITION
from freqprep.spectrum.dct import ForwardDCT, pad_to_blocks
from freqprep.spectrum.moments import Moments, exact_squared_sums
from freqprep.spectrum.quantization import LARGEST_COEFFICIENT, round_codes

_ERROR_UNIT = 2.0**-9
_LARGEST_ERROR = 2**8  # half a step, in units


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
    """

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding
        self._largest = -int(np.iinfo(encoding.dtype).min)
        tables = encoding.precision.step_table.astype(np.float64).reshape(-1, FREQUENCIES)
        self._transforms = [ForwardDCT.divided_by(steps) for steps in tables]
        order = self._transforms[0].frequencies  # the same for every table
        self._positions = np.array(STORED_POSITION).reshape(-1, FREQUENCIES)[:, order]
        self._luma_steps = tables[0][order]

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
            Zeros; filled with codes in stored channel order. Any strides.

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
        total = np.zeros((2, len(STORED_POSITION)), np.int64)
        luma_squared_error = 0.0
        saturated = 0
        pixels = pad_to_blocks(place_pixels(decoded, place))
        for component in range(pixels.shape[2]):
            scaled = self._transforms[component](pixels[..., component])
            codes, clipped = round_codes(scaled, self._encoding.dtype)
            rows, columns = codes.shape[1:]
            positions = self._positions[component]
            out[positions, :rows, :columns] = codes
            moments = Moments.of(codes, self._largest)
            total[:, positions] = moments.total, moments.total_squares
            if component == 0:
                luma_squared_error = self._squared_error(scaled, codes, clipped)
            saturated += clipped
        return EncodedImage(
            size=place.size,
            source_size=decoded.size,
            orientation=decoded.orientation,
            saturated=saturated,
            luma_squared_error=luma_squared_error,
            moments=Moments(rows * columns, *total),
            note=decoded.note,
        )

    def _squared_error(self, scaled: np.ndarray, codes: np.ndarray, clipped: int) -> float:
        """Compute the squared error of a plane, exactly, in any order of adding.

        Differences are first rounded to multiples of 2**-9 of a step; ``scaled`` is overwritten.
        """
        scaled -= codes
        scaled /= _ERROR_UNIT
        np.rint(scaled, out=scaled)
        # A coefficient and a clipped code are never further apart than the largest coefficient.
        farthest = int(LARGEST_COEFFICIENT / (self._luma_steps.min() * _ERROR_UNIT))
        largest = farthest if clipped else _LARGEST_ERROR
        flat = scaled.reshape(scaled.shape[0], -1)
        per_channel = exact_squared_sums(flat, largest) * _ERROR_UNIT**2
        return math.fsum(per_channel * self._luma_steps**2)
