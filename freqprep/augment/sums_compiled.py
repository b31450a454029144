"""The products of a resampling, compiled: codes down to a row of blocks, and along that row.

Sums of several vectors stay in registers. Needs Numba.
"""

from __future__ import annotations

import numpy as np

from freqprep.augment.lanes import (
    at,
    fused,
    load8,
    load_doubled,
    load_pairs,
    spread8,
    store,
    store_by_lane,
    store_by_pair,
    zeros8,
)
from freqprep.compilation import compiled

CHUNK = 16
"""Columns of blocks that are summed at once."""


@compiled
def sum_down(
    codes: np.ndarray,
    starts: np.ndarray,
    pitch: int,
    count: int,
    weights: np.ndarray,
    group: np.ndarray,
    lanes: int,
    columns: int,
    half: np.ndarray,
    place: int,
) -> None:
    """Sum the codes under a row of output blocks, for one horizontal frequency.

    Parameters
    ----------
    codes : ndarray of int8 or int16, flat
    starts : ndarray of int64, shape (C,)
        Where the first code of each channel is.
    pitch : int
        Codes from one input row to the next.
    count : int
        Number of input rows.
    weights : ndarray of float32, flat
        ``[input row][channel][8 lanes]``.
    group : ndarray of int64, shape (3,)
        A row of `Plan.groups`.
    lanes : int
        Number of sums, a multiple of 4.
    columns : int
        Number of input columns, a multiple of `CHUNK`.
    half : ndarray of float32, flat
        Written from ``place`` on: ``[lane / 4][column][4 lanes]``.
    place : int
    """
    first, stop = group[1], group[2]
    for lane in range(0, lanes, 4):
        for column in range(0, columns, CHUNK):
            a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = zeros8()
            for row in range(count):
                code = row * pitch + column
                weight = 8 * (row * len(starts) + first) + lane
                for channel in range(first, stop):
                    start = at(starts, channel) + code
                    a, b = load8(codes, start), load8(codes, start + 8)
                    w = spread8(weights, weight)
                    a0, b0 = fused(w, a, a0), fused(w, b, b0)
                    w = spread8(weights, weight + 1)
                    a1, b1 = fused(w, a, a1), fused(w, b, b1)
                    w = spread8(weights, weight + 2)
                    a2, b2 = fused(w, a, a2), fused(w, b, b2)
                    w = spread8(weights, weight + 3)
                    a3, b3 = fused(w, a, a3), fused(w, b, b3)
                    weight += 8
            store_by_lane(half, place, a0, a1, a2, a3)
            store_by_lane(half, place + 32, b0, b1, b2, b3)
            place += 4 * CHUNK


@compiled
def sum_across4(
    half: np.ndarray,
    pitch: int,
    lanes: int,
    groups: np.ndarray,
    bands: np.ndarray,
    matrices: np.ndarray,
    left: int,
    out: np.ndarray,
    place: int,
    step: int,
    down_step: int,
) -> None:
    """Sum along a row of output blocks, for four lanes across.

    Parameters
    ----------
    half : ndarray of float32, flat
        Results of `sum_down`, of one group after another.
    pitch : int
        Columns of ``half``.
    lanes : int
        Its lanes.
    groups : ndarray of int64, shape (groups, 3)
    bands, matrices : ndarray
        See `fill_bands`.
    left : int
        Input block of the first column.
    out : ndarray of float32, flat
        Written from ``place`` on: ``[block][lane down][lane across]``, with these steps.
    place, step, down_step : int
        ``down_step`` is 4.
    """
    for block in range(len(bands)):
        first, count = bands[block, 0] - left, bands[block, 1]
        for lane in range(0, lanes, 4):
            a = b = zeros8()
            source, matrix = pitch * lane + 4 * first, bands[block, 2]
            for under in range(count):
                for group in range(len(groups)):
                    w = load_doubled(matrices, matrix + 4 * at(groups, 3 * group))
                    a = fused(load_pairs(half, source), w, a)
                    b = fused(load_pairs(half, source + 2), w, b)
                    source += pitch * lanes
                matrix += 32
                source = pitch * lane + 4 * (first + under + 1)
            store_by_pair(out, place + block * step + lane * down_step, a, b)


@compiled
def sum_across8(
    half: np.ndarray,
    pitch: int,
    lanes: int,
    groups: np.ndarray,
    bands: np.ndarray,
    matrices: np.ndarray,
    left: int,
    out: np.ndarray,
    place: int,
    step: int,
    down_step: int,
) -> None:
    """Sum along a row of output blocks, for eight lanes across; see `sum_across4`."""
    for block in range(len(bands)):
        first, count, matrix = bands[block, 0] - left, bands[block, 1], bands[block, 2]
        for lane in range(0, lanes, 4):
            a = b = c = d = zeros8()
            for under in range(count):
                source = pitch * lane + 4 * (first + under)
                for group in range(len(groups)):
                    weights = load8(matrices, matrix + 8 * at(groups, 3 * group))
                    a = fused(spread8(half, source), weights, a)
                    b = fused(spread8(half, source + 1), weights, b)
                    c = fused(spread8(half, source + 2), weights, c)
                    d = fused(spread8(half, source + 3), weights, d)
                    source += pitch * lanes
                matrix += 64
            matrix -= 64 * count
            target = place + block * step + lane * down_step
            store(out, target, a)
            store(out, target + down_step, b)
            store(out, target + 2 * down_step, c)
            store(out, target + 3 * down_step, d)
