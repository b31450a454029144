"""Crop, antialiased resize and flip, exactly, on coefficients, in batches.

``out = A_h . X . A_w^T``: each of the two matrices is composed per image and axis (`axis`), and
limited to the frequencies that are read and used. Nothing becomes a picture in between.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from freqprep.augment.axis import Axis, Tiling, axis_matrices
from freqprep.augment.crops import Windows
from freqprep.errors import UsageError
from freqprep.spectrum import BLOCK, COMPONENTS, FREQUENCIES
from freqprep.spectrum.channels import Selection
from freqprep.spectrum.dct import dct_matrix_1d

_IMAGES_AT_ONCE = 32


@dataclass(frozen=True)
class _Component:
    """One colour component: the frequencies read, as a rectangle v x h, and what comes out.

    Attributes
    ----------
    channel : Tensor of int64, shape (V, H)
        Place of each frequency among the channels read; 0 where it is not read.
    step : Tensor of float32, shape (V, 1, H, 1)
        Its quantization step; 0 where it is not read.
    right : tuple of Tensor, shapes (8, V) and (8, H)
        Inverse DCT of the frequencies read, vertical and horizontal.
    left : tuple of Tensor, shapes (U, 8) and (W, 8), or None
        DCT of the frequencies used; None: pixels.
    picked : tuple of Tensor of int64
        Which vertical and which horizontal of the frequencies computed each output channel is.
    outputs : Tensor of int64
        Places of the output channels.
    """

    channel: Tensor
    step: Tensor
    right: tuple[Tensor, Tensor]
    left: tuple[Tensor, Tensor] | None
    picked: tuple[Tensor, Tensor]
    outputs: Tensor


class Resampler:
    """Crop + antialiased bilinear resize (+ flip) of stored codes as one exact linear operator.

    Parameters
    ----------
    read : Selection
        Channels of the codes, in their order. Channels not read count as zero.
    steps : ndarray of float32, shape (C,)
        Quantization step of each channel read.
    grid : tuple of int
        Rows and columns of blocks of the codes.
    side : int
        Output pixels along each axis.
    used : Selection or None
        Channels of the output; None: pixels.

    Raises
    ------
    UsageError
        The side is not whole blocks although coefficients are wanted; steps of another length.
    """

    def __init__(
        self,
        read: Selection,
        steps: np.ndarray,
        grid: tuple[int, int],
        side: int,
        used: Selection | None,
    ) -> None:
        if used is not None and side % BLOCK:
            raise UsageError(
                f"a side of {side} pixels is not whole blocks", f"use a multiple of {BLOCK}"
            )
        if len(steps) != len(read):
            raise UsageError(
                f"{len(steps)} steps for {len(read)} channels",
                "give one step for each channel read",
            )
        self.read, self.used, self.grid, self.side = read, used, grid, side
        self.steps = np.asarray(steps, np.float32)
        self._tiling = Tiling.of(side)
        self._components: dict[torch.device, list[_Component]] = {}

    @torch.no_grad()
    def __call__(self, codes: Tensor, windows: Windows, flip: np.ndarray | None = None) -> Tensor:
        """Resample a batch.

        Parameters
        ----------
        codes : Tensor of int8 or int16, shape (n, C, rows, columns)
            Stored codes of the channels read, on any device.
        windows : Windows
            One for each image, inside its valid pixels.
        flip : ndarray of bool, shape (n,), optional
            Mirror the output left to right.

        Returns
        -------
        Tensor of float32
            On the codes' device. Coefficients, shape (n, U, side / 8, side / 8); or pixels, shape
            (n, 3, side, side): Y - 128, Cb - 128, Cr - 128, not clipped.
        """
        n = len(codes)
        expected = (n, len(self.read), *self.grid)
        if tuple(codes.shape) != expected or len(windows) != n:
            raise UsageError(
                f"codes of shape {tuple(codes.shape)} and {len(windows)} windows, expected"
                f" {expected}"
            )
        flip = np.zeros(n, bool) if flip is None else np.asarray(flip, bool)
        blocks = self.side // BLOCK
        shape = (len(COMPONENTS), self.side, self.side)
        if self.used is not None:
            shape = (len(self.used), blocks, blocks)
        out = torch.zeros((n, *shape), device=codes.device)
        codes = codes.contiguous()
        by_size = np.argsort(windows.length.prod(axis=1), kind="stable")
        for first in range(0, n, _IMAGES_AT_ONCE):
            images = by_size[first : first + _IMAGES_AT_ONCE]
            self._resample(codes, windows.take(images), flip[images], images, out)
        return out

    def _resample(
        self, codes: Tensor, windows: Windows, flip: np.ndarray, images: np.ndarray, out: Tensor
    ) -> None:
        device, (rows, columns) = codes.device, self.grid
        axes = []
        for axis, flips in enumerate((np.zeros_like(flip), flip)):
            parts = (windows.start, windows.length, windows.resized, windows.offset)
            parts = [part[:, axis] for part in parts]
            axes.append(Axis.of(*parts, flips, self._tiling, self.grid[axis]))
        weights = [axis.weights(device) for axis in axes]
        where = torch.from_numpy(images).to(device, non_blocking=True)
        firsts = [torch.from_numpy(axis.first).to(device, non_blocking=True) for axis in axes]
        flat = codes.view(-1).unfold(0, axes[1].run, 1)
        # Place in memory of the first block of each run: image, vertical tile, block row, ...
        row = firsts[0][:, :, None] + torch.arange(axes[0].run, device=device)
        base = where[:, None, None] * (len(self.read) * rows * columns) + row * columns
        for component in self._on(device):
            left = component.left or (None, None)
            down, across = (axis_matrices(weights[k], left[k], component.right[k]) for k in (0, 1))
            self._component(component, flat, base, firsts[1], down, across, where, out)

    def _component(
        self,
        component: _Component,
        flat: Tensor,
        base: Tensor,
        first: Tensor,
        down: Tensor,
        across: Tensor,
        where: Tensor,
        out: Tensor,
    ) -> None:
        n, tiles = first.shape
        run = flat.shape[1]
        plane = self.grid[0] * self.grid[1]
        width = component.channel.shape[1]
        index = base[..., None, None] + component.channel * plane  # n, tile, block, v, h
        # Columns as (h, block), as the gathered codes have them.
        across = (
            across.view(n, tiles, -1, run, width).transpose(3, 4).reshape(n, tiles, -1, width * run)
        )
        down = down.view(n * tiles, *down.shape[2:])
        parts = []
        for tile in range(tiles):
            codes = flat[index + first[:, tile, None, None, None, None]]
            values = codes * component.step
            part = down @ values.view(n * tiles, -1, width * run)
            part = part.view(n, -1, width * run) @ across[:, tile].transpose(1, 2)
            parts.append(part)
        self._place(component, torch.stack(parts, dim=1), where, out)

    def _place(self, component: _Component, parts: Tensor, where: Tensor, out: Tensor) -> None:
        """Write (n, horizontal tile, rows, columns of a tile) to where it belongs."""
        n = len(parts)
        side, tiling = self.side, self._tiling
        if component.left is None:
            parts = parts.view(n, tiling.tiles, -1, tiling.blocks * BLOCK).transpose(1, 2)
            plane = parts.reshape(n, parts.shape[1], -1)[:, :side, :side]
            out[where, component.outputs] = plane
            return
        ups = len(component.left[0])
        parts = parts.view(n, tiling.tiles, tiling.tiles * tiling.blocks, ups, tiling.blocks, -1)
        # n, v, h, block row, horizontal tile, block column
        parts = parts.permute(0, 3, 5, 2, 1, 4)
        parts = parts.reshape(*parts.shape[:4], -1)[..., : side // BLOCK, : side // BLOCK]
        out[where[:, None], component.outputs] = parts[:, component.picked[0], component.picked[1]]

    def _on(self, device: torch.device) -> list[_Component]:
        if device not in self._components:
            self._components[device] = [
                component
                for number in range(len(COMPONENTS))
                if (component := self._component_of(number, device)) is not None
            ]
        return self._components[device]

    def _component_of(self, number: int, device: torch.device) -> _Component | None:
        """What is read and used of a component; None if nothing of it comes out."""
        read = _frequencies(self.read, number)
        used = {} if self.used is None else _frequencies(self.used, number)
        if not read or (self.used is not None and not used):
            return None
        matrix = dct_matrix_1d()
        rows, columns = (sorted({k[axis] for k in read}) for axis in (0, 1))
        channel = np.zeros((len(rows), len(columns)), np.int64)
        step = np.zeros(channel.shape, np.float32)
        for (v, h), place in read.items():
            at = rows.index(v), columns.index(h)
            channel[at], step[at] = place, self.steps[place]

        def to(array: np.ndarray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(array)).to(device)

        def floats(array: np.ndarray) -> Tensor:
            return to(array.astype(np.float32))

        left = None
        picked = (to(np.zeros(0, np.int64)),) * 2
        outputs = to(np.array(number))
        if self.used is not None:
            ups, acrosses = (sorted({k[axis] for k in used}) for axis in (0, 1))
            left = floats(matrix[ups]), floats(matrix[acrosses])
            picked = (
                to(np.array([ups.index(v) for v, _ in used])),
                to(np.array([acrosses.index(h) for _, h in used])),
            )
            outputs = to(np.array(list(used.values())))
        return _Component(
            to(channel),
            floats(step[:, :, None]),
            (floats(matrix[rows].T), floats(matrix[columns].T)),
            left,
            picked,
            outputs,
        )


def _frequencies(selection: Selection, component: int) -> dict[tuple[int, int], int]:
    """(v, h) -> place in the selection, of the channels of one component."""
    return {
        divmod(index % FREQUENCIES, BLOCK): place
        for place, index in enumerate(selection.indices)
        if index // FREQUENCIES == component
    }
