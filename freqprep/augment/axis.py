"""One axis of crop + resize on block DCT coefficients, as banded matrices.

Along an axis the operator is ``L . R . D^T``: the inverse DCT of each block, the antialiased
bilinear weights of the box, and the map to the output, coefficients (``L = D``) or pixels
(``L = 1``). An output block depends only on the few input blocks under it, so the output is cut
into tiles, and each tile gets the matrix from its own run of input blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from freqprep.augment.crops import Windows
from freqprep.spectrum import BLOCK

_LARGEST_TILE = 8


@dataclass(frozen=True)
class Tiling:
    """Equal tiles of blocks that cover the output of an axis; the last may reach beyond it.

    Attributes
    ----------
    pixels : int
        Length of the output.
    tiles : int
        Number of tiles.
    blocks : int
        Number of blocks in a tile.
    """

    pixels: int
    tiles: int
    blocks: int

    @classmethod
    def of(cls, pixels: int) -> Tiling:
        """Cut an output of some pixels into tiles of at most eight blocks."""
        blocks = -(-pixels // BLOCK)
        tiles = -(-blocks // _LARGEST_TILE)
        return cls(pixels, tiles, -(-blocks // tiles))


@dataclass(frozen=True)
class Axis:
    """Position of the output pixels of n images among the input blocks, along one axis.

    Attributes
    ----------
    first : ndarray of int64, shape (n, tiles)
        First input block of each tile's run of blocks.
    run : int
        Number of input blocks in a run, the same for all.
    centres : ndarray of float32, shape (n, tiles, pixels)
        Centre of each output pixel of a tile in input pixels, from the start of the run.
    reach : ndarray of float32, shape (n,)
        Half width of the triangle filter in input pixels.
    box : ndarray of int64, shape (2, n, tiles)
        First pixel of the box and the one after its last, from the start of the run.
    """

    first: np.ndarray
    run: int
    centres: np.ndarray
    reach: np.ndarray
    box: np.ndarray

    @classmethod
    def of(
        cls,
        windows: Windows,
        axis: int,
        flip: np.ndarray,
        tiling: Tiling,
        grid: int,
    ) -> Axis:
        """Lay the output of n images over their inputs.

        Parameters
        ----------
        windows : Windows
        axis : int
            0 vertical, 1 horizontal.
        flip : ndarray of bool, shape (n,)
            Whether to reverse the output.
        tiling : Tiling
        grid : int
            Number of input blocks along the axis.

        Returns
        -------
        Axis
        """
        n = len(windows)
        parts = (windows.start, windows.length, windows.resized, windows.offset, windows.kept)
        start, length, resized, offset, kept = (part[:, axis] for part in parts)
        last = kept[:, None] - 1
        # Beyond what is kept the last pixel is repeated, as a store fills an image's last block.
        pixels = np.minimum(np.arange(tiling.tiles * tiling.blocks * BLOCK), last)
        pixels = np.where(flip[:, None], last - pixels, pixels)
        scale = (length / resized)[:, None]
        reach = np.maximum(scale, 1.0)
        centres = start[:, None] + (offset[:, None] + pixels + 0.5) * scale
        centres = centres.reshape(n, tiling.tiles, -1)
        stop = (start + length)[:, None]
        low = np.maximum(np.floor(centres.min(axis=2) - reach).astype(np.int64), start[:, None])
        high = np.minimum(np.ceil(centres.max(axis=2) + reach).astype(np.int64), stop)
        first, final = low // BLOCK, (high - 1) // BLOCK
        run = int((final - first).max()) + 1
        first = np.minimum(first, grid - run)
        origin = first * BLOCK
        return cls(
            first,
            run,
            (centres - origin[:, :, None]).astype(np.float32),
            reach[:, 0].astype(np.float32),
            np.stack([start[:, None] - origin, stop - origin]),
        )

    def weights(self) -> Tensor:
        """Compute the triangle filter's weights of input pixels for output pixels.

        Returns
        -------
        Tensor of float32, shape (n, tiles, output pixels of a tile, input pixels of a run)
            Rows add up to 1; nothing outside the box has weight. The formula is that of
            `freqprep.spectrum.resizing.resize_matrix`.
        """
        centres, reach, box = map(torch.from_numpy, (self.centres, self.reach, self.box))
        pixel = torch.from_numpy(np.arange(self.run * BLOCK, dtype=np.float32))
        inside = (pixel >= box[0][..., None]) & (pixel < box[1][..., None])
        weights = (pixel + 0.5) - centres[..., None]
        weights.abs_().mul_(-1 / reach[:, None, None, None]).add_(1).clamp_(min=0)
        weights.mul_(inside[:, :, None])
        return weights.div_(weights.sum(dim=-1, keepdim=True))


def axis_matrices(weights: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Multiply the weights by the transforms on both sides.

    Parameters
    ----------
    weights : Tensor, shape (n, tiles, 8 * blocks, 8 * run)
    left : Tensor, shape (U, 8)
        Map from the pixels of an output block to the output.
    right : Tensor, shape (8, V)
        Map from the frequencies read of an input block to its pixels.

    Returns
    -------
    Tensor, shape (n, tiles, blocks * U, run * V)
        Rows (block, frequency or pixel), columns (block, frequency).
    """
    n, tiles, out, inp = weights.shape
    half = left @ weights.view(n * tiles * out // BLOCK, BLOCK, inp)
    return (half.view(-1, BLOCK) @ right).view(n, tiles, -1, inp // BLOCK * right.shape[1])
