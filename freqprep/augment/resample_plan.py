"""What the compiled form of a `Resampler` knows before it sees codes: tables in NumPy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from freqprep.augment.components import frequencies
from freqprep.spectrum import BLOCK, COMPONENTS
from freqprep.spectrum.channels import Selection
from freqprep.spectrum.dct import dct_matrix_1d


class Side(NamedTuple):
    """Output lanes of an axis: the frequencies of a block that are used, or its eight pixels.

    Attributes
    ----------
    lanes : int
        Room for them: 4 or 8.
    left : ndarray of float32, shape (64,)
        Weight of each pixel of a block in each of eight lanes: their DCT.
    same : ndarray of float32, shape (64,)
        1 where an input frequency is that of a lane: what copies a block. Zeros for pixels.
    """

    lanes: int
    left: np.ndarray
    same: np.ndarray


class Plan(NamedTuple):
    """Inputs and outputs of a `Resampler`, laid out for loops.

    Attributes
    ----------
    channels : ndarray of int64, shape (C, 2)
        Index among the channels read, and vertical frequency, of each that is needed: by
        component, then by horizontal frequency.
    steps : ndarray of float32, shape (C,)
        Quantization step of each.
    groups : ndarray of int64, shape (G, 3)
        Horizontal frequency of a component; the first of its ``channels`` and the one after its
        last.
    parts : ndarray of int64, shape (3, 4)
        First of a component's groups and the one after its last; number of lanes down, a multiple
        of 4; place of its results among those of a block.
    down, across : Side
    size : int
        Results of a block.
    pieces : ndarray of int64, shape (pieces, 2)
        Planes of coefficients whose results follow each other, at most eight at a time: the first
        plane, and its place among the results of a block. By plane; none for pixels.
    planes : int
    """

    channels: np.ndarray
    steps: np.ndarray
    groups: np.ndarray
    parts: np.ndarray
    down: Side
    across: Side
    size: int
    pieces: np.ndarray
    planes: int


def plan_of(read: Selection, steps: np.ndarray, used: Selection | None) -> Plan:
    """Make the plan from the arguments of `Resampler`."""
    orders = [list(range(BLOCK)) if used is None else _lanes(used, axis) for axis in (0, 1)]
    down, across = (_side(order, used is None) for order in orders)
    channels: list[tuple[int, int]] = []
    groups: list[tuple[int, int, int]] = []
    parts: list[tuple[int, int, int, int]] = []
    places: dict[int, int] = {}
    size = 0
    for component in range(len(COMPONENTS)):
        inside, tall = frequencies(read, component), BLOCK
        if used is not None:
            outside = frequencies(used, component)
            tall = 1 + max((orders[0].index(v) for v, _ in outside), default=-1)
            for (v, h), plane in outside.items():
                places[plane] = size + across.lanes * orders[0].index(v) + orders[1].index(h)
        tall = -(-tall // 4) * 4
        first = len(groups)
        for h in sorted({h for _, h in inside}) if tall else ():
            column = sorted(v for v, other in inside if other == h)
            groups.append((h, len(channels), len(channels) + len(column)))
            channels += [(inside[v, h], v) for v in column]
        parts.append((first, len(groups), tall, size))
        size += across.lanes * tall
    table = np.array(channels, np.int64).reshape(-1, 2)
    return Plan(
        table,
        np.asarray(steps, np.float32)[table[:, 0]],
        np.array(groups, np.int64).reshape(-1, 3),
        np.array(parts, np.int64),
        down,
        across,
        size,
        _pieces([places[plane] for plane in range(len(places))]),
        len(places) or len(COMPONENTS),
    )


def _lanes(used: Selection, axis: int) -> list[int]:
    """List the output frequencies of an axis, those of most components first.

    A component computes no lanes beyond its last: of nested selections, none in vain.
    """
    users: dict[int, int] = {}
    for component in range(len(COMPONENTS)):
        for frequency in {pair[axis] for pair in frequencies(used, component)}:
            users[frequency] = users.get(frequency, 0) + 1
    return sorted(users, key=lambda frequency: (-users[frequency], frequency))


def _side(order: list[int], pixels: bool) -> Side:
    left, same = np.zeros((2, BLOCK, BLOCK), np.float32)
    if pixels:
        left[:] = np.eye(BLOCK)
    else:
        left[:, : len(order)] = dct_matrix_1d()[order].T
        same[order, range(len(order))] = 1
    return Side(4 if len(order) <= 4 else BLOCK, left.ravel(), same.ravel())


def _pieces(places: list[int]) -> np.ndarray:
    """Merge planes whose places follow each other, eight at most."""
    pieces: list[tuple[int, int]] = []
    for plane, place in enumerate(places):
        after = plane - pieces[-1][0] if pieces else BLOCK
        if after >= BLOCK or place != pieces[-1][1] + after:
            pieces.append((plane, place))
    return np.array(pieces, np.int64).reshape(-1, 2)
