"""Writing a resampled row of blocks, compiled: normalised, or plane by plane. Needs Numba."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from freqprep.augment.lanes import at, load8, minus, over, store
from freqprep.augment.resample_plan import Plan
from freqprep.compilation import compiled, compiled_exactly
from freqprep.spectrum import BLOCK
from freqprep.spectrum.color import TO_RGB
from freqprep.spectrum.dct import PIXEL_OFFSET

_TO_RGB = np.ascontiguousarray(TO_RGB, np.float32)
_GREY, _LARGEST = np.float32(PIXEL_OFFSET), np.float32(255)


class Output(NamedTuple):
    """Where results go, and how.

    Attributes
    ----------
    values : ndarray of float32 or uint16, flat
    height, width : int
        Of the output, in blocks of coefficients or in pixels.
    normalised : bool
        Whether the output is ``[image][row][column][plane]``, only where an image was kept, rather
        than ``[image][plane][row][column]``, filled up.
    mean, std : ndarray of float32, shape (planes + 7,)
        Subtracted from each plane, and divided by; 0 and 1 to leave it as it is.
    """

    values: np.ndarray
    height: int
    width: int
    normalised: bool
    mean: np.ndarray
    std: np.ndarray


@compiled
def write_coefficients(
    strip: np.ndarray,
    row: int,
    image: int,
    count: int,
    plan: Plan,
    output: Output,
    line: np.ndarray,
) -> None:
    """Write a row of blocks.

    Parameters
    ----------
    strip : ndarray of float32, flat
        Results of one block after another, `Plan.size` numbers each.
    row, image : int
    count : int
        Number of blocks.
    plan : Plan
    output : Output
    line : ndarray of float32, flat
        Overwritten; room for a row of the output and seven numbers more.
    """
    planes = plan.planes
    _pick(strip, plan.size, plan.pieces, output.mean, output.std, count, planes, line)
    if output.normalised:
        place = (image * output.height + row) * output.width * planes
        _write_line(line, count * planes, output.values, place)
        return
    area = output.height * output.width
    for plane in range(planes):
        place = (image * planes + plane) * area + row * output.width
        for block in range(count):
            output.values[place + block] = line[block * planes + plane]


@compiled
def write_pixels(
    strip: np.ndarray,
    row: int,
    image: int,
    size: tuple[int, int],
    output: Output,
    line: np.ndarray,
) -> None:
    """Write a row of blocks of pixels.

    Parameters
    ----------
    strip : ndarray of float32, flat
        Eight rows of pixels of Y less 128, then of Cb and Cr less 128; whole blocks of the output.
    row, image : int
    size : tuple of int
        Height and width of what is written of the image.
    output : Output
    line : ndarray of float32, flat
        Overwritten; room for a row of the output.
    """
    pitch = BLOCK * (-(-output.width // BLOCK))
    for inside in range(min(BLOCK, size[0] - BLOCK * row)):
        source = inside * pitch
        y = BLOCK * row + inside
        if output.normalised:
            _to_rgb(strip, source, BLOCK * pitch, output.mean, output.std, size[1], line)
            place = 3 * (image * output.height + y) * output.width
            _write_line(line, 3 * size[1], output.values, place)
        else:
            for plane in range(3):
                place = ((3 * image + plane) * output.height + y) * output.width
                for column in range(size[1]):
                    output.values[place + column] = strip[source + column]
                source += BLOCK * pitch


@compiled
def _pick(
    strip: np.ndarray,
    step: int,
    pieces: np.ndarray,
    mean: np.ndarray,
    std: np.ndarray,
    count: int,
    planes: int,
    line: np.ndarray,
) -> None:
    """Pick the planes out of the results of some blocks; write ``[block][plane]``, normalised."""
    for block in range(count):
        for piece in range(len(pieces)):
            # What is too much of eight is overwritten by the next piece.
            plane = at(pieces, 2 * piece)
            values = load8(strip, block * step + at(pieces, 2 * piece + 1))
            values = over(minus(values, load8(mean, plane)), load8(std, plane))
            store(line, block * planes + plane, values)


@compiled_exactly
def _to_rgb(
    strip: np.ndarray,
    row: int,
    step: int,
    mean: np.ndarray,
    std: np.ndarray,
    count: int,
    line: np.ndarray,
) -> None:
    """Convert a row of pixels to RGB in 0..255; write ``[pixel][colour]``, normalised."""
    for pixel in range(row, row + count):
        luma, blue, red = strip[pixel] + _GREY, strip[pixel + step], strip[pixel + 2 * step]
        target = 3 * (pixel - row)
        for colour in range(3):
            matrix = _TO_RGB[colour]
            value = matrix[0] * luma + matrix[1] * blue + matrix[2] * red
            value = min(max(value, np.float32(0)), _LARGEST)
            line[target + colour] = (value - mean[colour]) / std[colour]


@compiled
def _write_line(line: np.ndarray, count: int, out: np.ndarray, place: int) -> None:
    """Write numbers of a row to float32, or as bits of bfloat16 to uint16, halves to even."""
    if out.itemsize == line.itemsize:
        for i in range(count):
            out[place + i] = line[i]
    else:
        bits = line.view(np.uint32)
        for i in range(count):
            even = (bits[i] >> np.uint32(16)) & np.uint32(1)
            out[place + i] = (bits[i] + np.uint32(0x7FFF) + even) >> np.uint32(16)
