"""Crop, resize, flip and normalise codes, compiled: images one by one, rows of blocks one by one.

For each row of output blocks the codes under it are summed vertically, as they lie in memory; then
along the row; then the row is normalised and written. What an image needs stays in the processor's
caches, and its result depends on nothing else. Needs Numba.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from freqprep.augment.axis_compiled import ROOM, fill_bands, longest_run
from freqprep.augment.crops import Windows
from freqprep.augment.lanes import load8, splat8, store, times
from freqprep.augment.output_compiled import Output, write_coefficients, write_pixels
from freqprep.augment.resample_plan import Plan
from freqprep.augment.sums_compiled import CHUNK, sum_across4, sum_across8, sum_down
from freqprep.compilation import compiled, was_compiled
from freqprep.spectrum import BLOCK, FREQUENCIES


class _Scratch(NamedTuple):
    """Memory of a thread.

    Attributes
    ----------
    down, across : ndarray of int64, shape (blocks, 3)
    down_matrices, across_matrices : ndarray of float32
        See `fill_bands`.
    codes : ndarray of int8 or int16
        Copy of an image's codes, where rows in chunks would reach beyond the grid.
    starts : ndarray of int64, shape (C,)
    weights : ndarray of float32
        Of the codes under a row of blocks.
    half : ndarray of float32
        Sums of columns.
    strip : ndarray of float32
        Results of a row of blocks: block after block of coefficients, or rows of pixels.
    line : ndarray of float32
        What is written of them.
    """

    down: np.ndarray
    across: np.ndarray
    down_matrices: np.ndarray
    across_matrices: np.ndarray
    codes: np.ndarray
    starts: np.ndarray
    weights: np.ndarray
    half: np.ndarray
    strip: np.ndarray
    line: np.ndarray


def resample(
    codes: np.ndarray,
    windows: Windows,
    flip: np.ndarray,
    plan: Plan,
    canvas: tuple[int, int],
    normalisation: tuple[np.ndarray, np.ndarray] | None,
    bfloat16: bool,
    threads: int,
) -> np.ndarray:
    """Resample a batch whose arguments `Resampler` has checked.

    An image's result is the same to the bit in any batch and with any number of threads.

    Parameters
    ----------
    codes : ndarray of int8 or int16, shape (n, C, rows, columns)
        Contiguous.
    windows : Windows
    flip : ndarray of bool, shape (n,)
    plan : Plan
    canvas : tuple of int
        Height and width of the output in pixels.
    normalisation : tuple of ndarray, or None
        Mean and standard deviation of each plane, subtracted and divided by. Pixels become RGB in
        0..255 first. None: coefficients, or YCbCr pixels less 128, as they are.
    bfloat16 : bool
        Whether to write bfloat16, if normalised.
    threads : int

    Returns
    -------
    ndarray of float32, shape (n, planes, rows, columns)
        Beyond what is kept of an image its last row and column of pixels are repeated. If
        normalised: shape (n, rows, columns, planes), zero beyond; bfloat16 as the bits of uint16.
    """
    n, planes = len(codes), plan.planes
    block = BLOCK if len(plan.pieces) else 1
    height, width = canvas[0] // block, canvas[1] // block
    # Room for vectors that begin with the last plane.
    mean, std = np.zeros(planes + 7, np.float32), np.ones(planes + 7, np.float32)
    shape: tuple[int, ...] = (n, planes, height, width)
    make = np.empty
    if normalisation is not None:
        mean[:planes], std[:planes] = normalisation
        shape = (n, height, width, planes)
        if (windows.kept <= np.array(canvas) - block).any():
            make = np.zeros
    out = make(shape, np.uint16 if bfloat16 else np.float32)
    output = Output(out.reshape(-1), height, width, normalisation is not None, mean, std)
    arrays = (windows.start, windows.length, windows.resized, windows.offset, windows.kept)
    table = np.stack(arrays, axis=2).astype(np.int64)
    flip = np.ascontiguousarray(flip, bool)
    threads = min(threads, n)

    def work(first: int) -> None:
        scratch = _scratch(codes, table, plan, output)
        _resample(codes, table, flip, plan, output, scratch, first, threads)

    if threads > 1:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, range(threads)))
    elif n:
        work(0)
    return out


def is_compiling() -> bool:
    """Return whether this process compiles or has compiled, rather than loaded code from disk."""
    return was_compiled(_resample)


def _scratch(codes: np.ndarray, table: np.ndarray, plan: Plan, output: Output) -> _Scratch:
    _, _, rows, columns = codes.shape
    pixels = len(plan.pieces) == 0
    block = BLOCK if pixels else 1
    tall, wide = -(-output.height // block), -(-output.width // block)
    pitch = -(-columns // CHUNK) * CHUNK
    channels = len(plan.channels)
    run = [longest_run(table[:, axis], (rows, columns)[axis]) for axis in (0, 1)]
    matrices = (run[0] * tall * plan.down.lanes, run[1] * wide * plan.across.lanes)
    return _Scratch(
        np.empty((tall, 3), np.int64),
        np.empty((wide, 3), np.int64),
        np.empty(ROOM + BLOCK * matrices[0] + 4, np.float32),
        np.empty(ROOM + BLOCK * matrices[1] + 4, np.float32),
        np.empty(channels * rows * pitch if pitch > columns else 0, codes.dtype),
        np.empty(channels, np.int64),
        np.empty(run[0] * channels * BLOCK, np.float32),
        np.empty(FREQUENCIES * pitch, np.float32),
        np.zeros(wide * plan.size + 7, np.float32),
        np.empty(wide * block * plan.planes + 7, np.float32),
    )


@compiled
def _resample(
    codes: np.ndarray,
    table: np.ndarray,
    flip: np.ndarray,
    plan: Plan,
    output: Output,
    scratch: _Scratch,
    first: int,
    step: int,
) -> None:
    """Resample every ``step``-th image from the first on."""
    block = BLOCK if len(plan.pieces) == 0 else 1
    _, _, rows, columns = codes.shape
    for image in range(first, len(table), step):
        height, width = output.height, output.width
        if output.normalised:
            height, width = table[image, 0, 4], table[image, 1, 4]
            if block == 1:
                height, width = -(-height // BLOCK), -(-width // BLOCK)
        down, across = scratch.down[: -(-height // block)], scratch.across[: -(-width // block)]
        fill_bands(table[image, 0], False, plan.down, down, scratch.down_matrices)
        fill_bands(table[image, 1], flip[image], plan.across, across, scratch.across_matrices)
        left, right = columns, 0
        for i in range(len(across)):
            left, right = min(left, across[i, 0]), max(right, across[i, 0] + across[i, 1])
        chunks = -(-(right - left) // CHUNK) * CHUNK
        flat = codes[image].reshape(-1)
        size = (height, width)
        if chunks <= columns:
            left = min(left, columns - chunks)
            for i in range(len(plan.channels)):
                scratch.starts[i] = plan.channels[i, 0] * rows * columns + left
            _rows(flat, columns, left, chunks, down, across, plan, output, scratch, image, size)
        else:
            _copy(flat, rows, columns, left, chunks, plan, scratch)
            _rows(
                scratch.codes,
                chunks,
                left,
                chunks,
                down,
                across,
                plan,
                output,
                scratch,
                image,
                size,
            )


@compiled
def _copy(
    codes: np.ndarray,
    rows: int,
    columns: int,
    left: int,
    pitch: int,
    plan: Plan,
    scratch: _Scratch,
) -> None:
    """Copy codes from a column on to longer rows, filled up with zeros."""
    width = min(pitch, columns - left)
    for i in range(len(plan.channels)):
        scratch.starts[i] = i * rows * pitch
        for row in range(rows):
            source = (plan.channels[i, 0] * rows + row) * columns + left
            target = (i * rows + row) * pitch
            for column in range(width):
                scratch.codes[target + column] = codes[source + column]
            for column in range(width, pitch):
                scratch.codes[target + column] = 0


@compiled
def _rows(
    codes: np.ndarray,
    pitch: int,
    left: int,
    columns: int,
    down: np.ndarray,
    across: np.ndarray,
    plan: Plan,
    output: Output,
    scratch: _Scratch,
    image: int,
    size: tuple[int, int],
) -> None:
    """Resample an image; ``left``: block column of the first code, ``columns``: how many."""
    for row in range(len(down)):
        if row == 0 or down[row, 2] != down[row - 1, 2]:
            _weigh(down[row], plan, scratch)
            for part in range(len(plan.parts)):
                _sum(
                    codes[down[row, 0] * pitch :],
                    pitch,
                    left,
                    columns,
                    down[row, 1],
                    part,
                    across,
                    plan,
                    scratch,
                )
        strip, line = scratch.strip, scratch.line
        if len(plan.pieces):
            write_coefficients(strip, row, image, size[1], plan, output, line)
        else:
            write_pixels(strip, row, image, size, output, line)


@compiled
def _weigh(band: np.ndarray, plan: Plan, scratch: _Scratch) -> None:
    """Multiply the matrices of a row of output blocks by the steps of the codes under it."""
    lanes, target = plan.down.lanes, 0
    for under in range(band[1]):
        matrix = band[2] + under * BLOCK * lanes
        for channel in range(len(plan.channels)):
            step = splat8(plan.steps[channel])
            row = load8(scratch.down_matrices, matrix + lanes * plan.channels[channel, 1])
            store(scratch.weights, target, times(row, step))
            target += BLOCK


@compiled
def _sum(
    codes: np.ndarray,
    pitch: int,
    left: int,
    columns: int,
    count: int,
    part: int,
    across: np.ndarray,
    plan: Plan,
    scratch: _Scratch,
) -> None:
    """Compute a component's results of a row of output blocks."""
    first, stop, lanes, place = plan.parts[part]
    for group in range(first, stop):
        target = (group - first) * lanes * columns
        sum_down(
            codes,
            scratch.starts,
            pitch,
            count,
            scratch.weights,
            plan.groups[group],
            lanes,
            columns,
            scratch.half,
            target,
        )
    step, down_step = plan.size, plan.across.lanes
    if len(plan.pieces) == 0:
        place, step, down_step = place * len(scratch.across), BLOCK, BLOCK * len(scratch.across)
    if first == stop:
        return
    groups = plan.groups[first:stop]
    arguments = (
        scratch.half,
        columns,
        lanes,
        groups,
        across,
        scratch.across_matrices,
        left,
        scratch.strip,
        place,
        step,
        down_step,
    )
    if plan.across.lanes == 4:
        sum_across4(*arguments)
    else:
        sum_across8(*arguments)
