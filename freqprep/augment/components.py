"""One colour component of a resampling: its input and output frequencies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from freqprep.spectrum import BLOCK, FREQUENCIES
from freqprep.spectrum.channels import Selection
from freqprep.spectrum.dct import dct_matrix_1d


@dataclass(frozen=True)
class Component:
    """Frequencies read of a component, as a rectangle v x h, and its output channels.

    Attributes
    ----------
    read : tuple of list of int
        Vertical and horizontal frequencies read, V and H of them, rising.
    channel : Tensor of int64, shape (V, H)
        Index of each frequency among the channels read; 0 where it is not read.
    step : Tensor of float32, shape (V, H, 1)
        Quantization step of each; 0 where it is not read.
    right : tuple of Tensor, shapes (8, V) and (8, H)
        Inverse DCT of the frequencies read, vertical and horizontal.
    left : tuple of Tensor, shapes (U, 8) and (W, 8)
        DCT of the output frequencies; the identity for pixels.
    picked : Tensor of int64, shape (outputs,)
        Index of each output channel among the U x W frequencies.
    outputs : Tensor of int64, shape (outputs,)
        Index of each output channel among all of the output.
    """

    read: tuple[list[int], list[int]]
    channel: Tensor
    step: Tensor
    right: tuple[Tensor, Tensor]
    left: tuple[Tensor, Tensor]
    picked: Tensor
    outputs: Tensor

    @classmethod
    def of(
        cls, number: int, read: Selection, steps: np.ndarray, used: Selection | None
    ) -> Component | None:
        """Make component ``number`` (Y, Cb, Cr); None if nothing of it is read or used.

        ``read``, ``steps`` and ``used`` are those of `Resampler`.
        """
        inside = frequencies(read, number)
        outside = {} if used is None else frequencies(used, number)
        if not inside or (used is not None and not outside):
            return None
        matrix = dct_matrix_1d()
        v, h = inputs = _axes(inside)
        channel, step = np.zeros((len(v), len(h)), np.int64), np.zeros((len(v), len(h), 1))
        for (row, column), index in inside.items():
            at = v.index(row), h.index(column)
            channel[at], step[at] = index, steps[index]
        right = _float(matrix[v].T), _float(matrix[h].T)
        left = _float(np.eye(BLOCK)), _float(np.eye(BLOCK))
        picked, outputs = np.zeros(1, np.int64), np.array([number])
        if used is not None:
            v, h = _axes(outside)
            left = _float(matrix[v]), _float(matrix[h])
            picked = np.array([v.index(row) * len(h) + h.index(column) for row, column in outside])
            outputs = np.array(list(outside.values()))
        return cls(
            inputs,
            torch.from_numpy(channel),
            _float(step),
            right,
            left,
            torch.from_numpy(picked),
            torch.from_numpy(outputs),
        )


def frequencies(selection: Selection, component: int) -> dict[tuple[int, int], int]:
    """Map (v, h) of one component's channels to their index in the selection."""
    return {
        divmod(index % FREQUENCIES, BLOCK): number
        for number, index in enumerate(selection.indices)
        if index // FREQUENCIES == component
    }


def _axes(frequencies: dict[tuple[int, int], int]) -> tuple[list[int], list[int]]:
    """List the vertical and the horizontal frequencies that occur."""
    v, h = (sorted({pair[axis] for pair in frequencies}) for axis in (0, 1))
    return v, h


def _float(matrix: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(matrix, np.float32))
