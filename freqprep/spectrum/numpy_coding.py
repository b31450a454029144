"""Coding in NumPy: pixels to codes. The definition of what compiled code does, too."""

from __future__ import annotations

import numpy as np

from freqprep.spectrum import FREQUENCIES
from freqprep.spectrum.channels import CHANNELS, STORED_POSITION
from freqprep.spectrum.code_sums import ERROR_RUN, ERROR_UNIT, CodeSums, squared_error
from freqprep.spectrum.dct import ForwardDCT, pad_to_blocks
from freqprep.spectrum.moments import Moments, exact_squared_sums
from freqprep.spectrum.quantization import Precision, round_codes

_LARGEST_ERROR = 2**8  # half a step, in units


class NumpyCoder:
    """Coder in NumPy.

    Parameters
    ----------
    precision : Precision
    """

    def __init__(self, precision: Precision) -> None:
        self._dtype = precision.dtype
        self._largest = -int(np.iinfo(precision.dtype).min)
        tables = precision.step_table.astype(np.float64).reshape(-1, FREQUENCIES)
        self._transforms = [ForwardDCT.divided_by(steps) for steps in tables]
        order = self._transforms[0].frequencies  # the same for every table
        self._positions = np.array(STORED_POSITION).reshape(-1, FREQUENCIES)[:, order]
        self._luma_steps = tables[0][order]

    def encode(self, pixels: np.ndarray, out: np.ndarray) -> CodeSums:
        """Transform, round and place the codes of an image.

        Parameters
        ----------
        pixels : ndarray of uint8, shape (h, w, 1) or (h, w, 3)
            Y, Cb and Cr, or only Y of a grey image. Any strides. The last partial blocks are
            padded by repeating the edge.
        out : ndarray of int8 or int16, shape (192, rows, columns)
            At least as many rows and columns as the image has blocks. Filled with codes in stored
            channel order, and zeros. Any strides.

        Returns
        -------
        CodeSums
        """
        total = np.zeros((2, CHANNELS), np.int64)
        luma_squared_error = 0.0
        saturated = 0
        pixels = pad_to_blocks(pixels)
        for component in range(pixels.shape[2]):
            scaled = self._transforms[component](pixels[..., component])
            codes, clipped = round_codes(scaled, self._dtype)
            rows, columns = codes.shape[1:]
            positions = self._positions[component]
            out[positions, :rows, :columns] = codes
            out[positions, :rows, columns:] = 0
            out[positions, rows:] = 0
            moments = Moments.of(codes, self._largest)
            total[:, positions] = moments.total, moments.total_squares
            if component == 0:
                luma_squared_error = self._squared_error(scaled, codes, clipped > 0)
            saturated += clipped
        out[pixels.shape[2] * FREQUENCIES :] = 0  # chroma of a grey image
        return CodeSums(Moments(rows * columns, *total), saturated, luma_squared_error)

    def _squared_error(self, scaled: np.ndarray, codes: np.ndarray, clipped: bool) -> float:
        """Compute the squared error of a plane; ``scaled`` is overwritten."""
        scaled -= codes
        scaled /= ERROR_UNIT
        np.rint(scaled, out=scaled)
        flat = scaled.reshape(scaled.shape[0], -1)
        if not clipped:
            return squared_error(exact_squared_sums(flat, _LARGEST_ERROR)[None], self._luma_steps)
        filled = np.pad(flat, ((0, 0), (0, -flat.shape[1] % ERROR_RUN)))
        runs = filled.reshape(len(flat), -1, ERROR_RUN).astype(np.float64)
        return squared_error(np.vecdot(runs, runs).T, self._luma_steps)
