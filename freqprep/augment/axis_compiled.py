"""One axis of crop + resize as banded matrices, compiled: what `axis` does for a batch with torch.

An output block has a matrix for each of the input blocks under it: rows are the eight input
frequencies, columns the output lanes (`Side`). Needs Numba.
"""

from __future__ import annotations

import numpy as np

from freqprep.augment.lanes import (
    fused,
    load4,
    load8,
    splat8,
    spread4,
    spread8,
    store,
    times,
    zeros8,
)
from freqprep.augment.resample_plan import Side
from freqprep.compilation import compiled
from freqprep.spectrum import BLOCK
from freqprep.spectrum.dct import dct_matrix_1d

ROOM = 8
"""Numbers in front of the matrices."""

_BASIS = np.ascontiguousarray(dct_matrix_1d().T, np.float32).ravel()  # pixel by frequency


def longest_run(table: np.ndarray, grid: int) -> int:
    """Compute how many input blocks are under an output block, at most.

    Parameters
    ----------
    table : ndarray of int64, shape (n, 5)
        Windows along an axis; see `fill_bands`.
    grid : int
        Number of input blocks.

    Returns
    -------
    int
    """
    scale = table[:, 1] / table[:, 2]
    run = ((BLOCK - 1) * scale + 2 * np.maximum(scale, 1) + 2) // BLOCK + 2
    return int(np.minimum(run, grid).max(initial=1))


@compiled
def fill_bands(
    window: np.ndarray, mirrored: bool, side: Side, bands: np.ndarray, matrices: np.ndarray
) -> None:
    """Compute the matrices of all output blocks of an axis.

    Parameters
    ----------
    window : ndarray of int64, shape (5,)
        Start, length, resized, offset and kept of `Windows`.
    mirrored : bool
        Whether to reverse the output.
    side : Side
    bands : ndarray of int64, shape (blocks, 3)
        Written: the first input block under each output block, their number, and where the first
        matrix begins. Blocks beyond what is kept repeat its last pixel, and share one matrix.
    matrices : ndarray of float32, flat
        Written: from `ROOM` on, ``[input block][input frequency][lane]`` of each output block.
        Up to four numbers behind them are touched.
    """
    start, length, resized, offset, kept = window
    stop, scale, lanes = start + length, length / resized, side.lanes
    reach = max(scale, 1.0)
    copies = length == resized and side.same.any()
    place = ROOM
    for block in range(len(bands)):
        pixel = BLOCK * block
        if pixel >= kept + BLOCK:
            bands[block] = bands[block - 1]
            continue
        first = start + offset + (kept - BLOCK - pixel if mirrored else pixel)
        count = 1
        if copies and first % BLOCK == 0 and pixel + BLOCK <= kept:
            first //= BLOCK
            _copy(mirrored, side.same, lanes, matrices, place)
        else:
            one = _centre(pixel, start, offset, kept, scale, mirrored)
            other = _centre(pixel + BLOCK - 1, start, offset, kept, scale, mirrored)
            first = _low(min(one, other), reach, start) // BLOCK
            count = (_high(max(one, other), reach, stop) - 1) // BLOCK - first + 1
            for i in range(count * BLOCK * lanes):
                matrices[place + i] = 0
            for inside in range(BLOCK):
                centre = _centre(pixel + inside, start, offset, kept, scale, mirrored)
                low, high = _low(centre, reach, start), _high(centre, reach, stop)
                target = place - first * BLOCK * lanes
                _add_pixel(
                    centre, 1 / reach, low, high, side.left, BLOCK * inside, lanes, matrices, target
                )
        bands[block, 0], bands[block, 1], bands[block, 2] = first, count, place
        place += count * BLOCK * lanes


@compiled
def _copy(mirrored: bool, same: np.ndarray, lanes: int, matrices: np.ndarray, place: int) -> None:
    """Write the matrix of a block that is copied: then codes times steps stay exact."""
    for frequency in range(BLOCK):
        for lane in range(lanes):
            sign = -1 if mirrored and frequency % 2 else 1
            matrices[place] = sign * same[frequency * BLOCK + lane]
            place += 1


@compiled
def _add_pixel(
    centre: float,
    slope: float,
    low: int,
    high: int,
    left: np.ndarray,
    part: int,
    lanes: int,
    matrices: np.ndarray,
    place: int,
) -> None:
    """Add an output pixel to the matrices: its filter's transform times its share of each lane."""
    total = 0.0
    for i in range(low, high):
        total += _triangle(i, centre, slope)
    for under in range(low // BLOCK, (high - 1) // BLOCK + 1):
        origin = BLOCK * under
        sums = zeros8()
        for i in range(max(low, origin), min(high, origin + BLOCK)):
            weight = splat8(np.float32(_triangle(i, centre, slope)))
            sums = fused(weight, load8(_BASIS, BLOCK * (i - origin)), sums)
        store(matrices, 0, times(sums, splat8(np.float32(1 / total))))
        target = place + origin * lanes
        if lanes == 4:
            for frequency in range(BLOCK):
                row = fused(
                    spread4(matrices, frequency), load4(left, part), load4(matrices, target)
                )
                store(matrices, target, row)
                target += 4
        else:
            for frequency in range(BLOCK):
                rows = fused(
                    spread8(matrices, frequency), load8(left, part), load8(matrices, target)
                )
                store(matrices, target, rows)
                target += 8


@compiled
def _centre(pixel: int, start: int, offset: int, kept: int, scale: float, mirrored: bool) -> float:
    """Return the centre of an output pixel in input pixels."""
    pixel = min(pixel, kept - 1)
    if mirrored:
        pixel = kept - 1 - pixel
    return start + (offset + pixel + 0.5) * scale


@compiled
def _low(centre: float, reach: float, start: int) -> int:
    """Return the first input pixel under a filter."""
    return max(int(np.floor(centre - reach)), start)


@compiled
def _high(centre: float, reach: float, stop: int) -> int:
    """Return the input pixel after the last under a filter."""
    return min(int(np.ceil(centre + reach)), stop)


@compiled
def _triangle(pixel: int, centre: float, slope: float) -> float:
    """Return a pixel's weight, before it is divided by their sum; see `resize_matrix`."""
    return max(0.0, 1.0 - abs(pixel + 0.5 - centre) * slope)
