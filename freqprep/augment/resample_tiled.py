"""Resampling on a CPU, tile by tile, so that what is worked on stays in the caches.

An output block depends only on the few input blocks under it: each tile of output blocks has its
own run of input blocks (`axis`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from freqprep.augment.axis import Axis, Tiling, axis_matrices
from freqprep.augment.components import Component
from freqprep.augment.crops import Windows
from freqprep.spectrum import BLOCK

_AT_ONCE = 8  # images whose data fit the caches


class TiledResampler:
    """Resampling of a batch of codes in host memory.

    Parameters
    ----------
    components : sequence of Component
        At least one.
    planes : int
        Number of planes of the output.
    pixels : bool
        Whether the output is pixels.
    """

    def __init__(self, components: Sequence[Component], planes: int, pixels: bool) -> None:
        self._components, self._planes, self._pixels = components, planes, pixels

    def __call__(
        self, codes: Tensor, windows: Windows, flip: np.ndarray, size: tuple[int, int]
    ) -> Tensor:
        """Resample a batch.

        Parameters
        ----------
        codes : Tensor of int8 or int16, shape (n, C, rows, columns)
        windows : Windows
        flip : ndarray of bool, shape (n,)
        size : tuple of int
            Height and width of the output in pixels.

        Returns
        -------
        Tensor of float32, shape (n, planes, height, width), or a position per block
            Not normalised; contiguous.
        """
        block = 1 if self._pixels else BLOCK
        sides = (side // block for side in size)
        out = codes.new_zeros((len(codes), self._planes, *sides), dtype=torch.float32)
        tilings = Tiling.of(size[0]), Tiling.of(size[1])
        # Images of similar size together: the runs of blocks of a slice are padded to its longest.
        by_size = np.argsort(windows.length.prod(axis=1), kind="stable")
        for first in range(0, len(codes), _AT_ONCE):
            images = by_size[first : first + _AT_ONCE]
            self._slice(codes, images, windows.take(images), flip[images], tilings, out)
        return out

    def _slice(
        self,
        codes: Tensor,
        images: np.ndarray,
        windows: Windows,
        flip: np.ndarray,
        tilings: tuple[Tiling, Tiling],
        out: Tensor,
    ) -> None:
        """Resample some images into their rows of ``out``."""
        channels, rows, columns = codes.shape[1:]
        down = Axis.of(windows, 0, np.zeros_like(flip), tilings[0], rows)
        across = Axis.of(windows, 1, flip, tilings[1], columns)
        weights = down.weights(), across.weights()
        # The block columns under any of an image's tiles: what is taken of each block row.
        left = across.first.min(axis=1)
        width = int((across.first.max(axis=1) - left).max()) + across.run
        left = np.minimum(left, columns - width)
        shift = torch.from_numpy(across.first - left[:, None])
        row = torch.from_numpy(down.first[:, :, None] + np.arange(down.run))
        start = torch.from_numpy(images * (channels * rows * columns) + left)
        start = start[:, None, None] + row * columns
        stretches = codes.view(-1).unfold(0, width, 1)  # all runs of this length in memory
        where = torch.from_numpy(images)
        for part in self._components:
            first = start[..., None, None] + part.channel * (rows * columns)
            values = stretches[first] * part.step
            vertical, horizontal = (
                axis_matrices(weights[axis], part.left[axis], part.right[axis]) for axis in (0, 1)
            )
            self._write(part, _both_axes(values, vertical, horizontal, shift), where, tilings, out)

    def _write(
        self,
        part: Component,
        done: Tensor,
        where: Tensor,
        tilings: tuple[Tiling, Tiling],
        out: Tensor,
    ) -> None:
        """Write the result of `_both_axes` to its planes of the output."""
        n, wide, tall = done.shape[:3]
        u, w = (matrix.shape[0] for matrix in part.left)
        height, width = out.shape[2:]
        done = done.view(n, wide, tall, tilings[1].blocks, w, tilings[0].blocks, u)
        if self._pixels:
            pixels = done.permute(0, 2, 5, 6, 1, 3, 4).reshape(n, tall * tilings[0].blocks * u, -1)
            out[where, part.outputs] = pixels[:, :height, :width]
        else:
            planes = done.permute(0, 6, 4, 2, 5, 1, 3)
            planes = planes.reshape(n, u * w, tall * tilings[0].blocks, -1)
            out[where[:, None], part.outputs] = planes[:, part.picked, :height, :width]


def _both_axes(values: Tensor, down: Tensor, across: Tensor, shift: Tensor) -> Tensor:
    """Apply the matrices of both axes, tile by tile.

    Parameters
    ----------
    values : Tensor, shape (n, vertical tiles, run, V, H, width)
        Coefficients under each vertical tile: block row, frequencies, block column.
    down : Tensor, shape (n, vertical tiles, tall, run * V)
    across : Tensor, shape (n, horizontal tiles, wide, run * H)
        The run may differ from that of ``values``.
    shift : Tensor of int64, shape (n, horizontal tiles)
        First block column of each horizontal tile, counted from that of ``values``.

    Returns
    -------
    Tensor, shape (n, horizontal tiles, vertical tiles, wide, tall)
    """
    n, tiles, run, v, h, width = values.shape
    tall = down.shape[2]
    values = values.view(n * tiles, run * v, h * width)
    half = values.transpose(1, 2) @ down.view(n * tiles, tall, run * v).transpose(1, 2)
    # (image, vertical tile, h, block column, tall): a horizontal tile's columns are contiguous.
    run = across.shape[3] // h
    line = torch.arange(n * tiles * h, device=half.device).view(n, 1, tiles, h) * width
    stretches = half.view(-1).unfold(0, run * tall, 1)
    under = stretches[(line + shift[:, :, None, None]) * tall]
    across = across.view(*across.shape[:3], run, h).transpose(3, 4)[:, :, None]
    across = across.flatten(4)
    return across @ under.view(n, -1, tiles, h * run, tall)
