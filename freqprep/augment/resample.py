"""Crop, antialiased resize and flip, exactly, on coefficients, in batches.

``out = A_h . X . A_w^T``: the two matrices are composed per image and axis (`axis`), and limited
to the frequencies that are read and used. No pixels are computed in between.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from freqprep.augment.axis import Axis, Tiling, axis_matrices
from freqprep.augment.components import Component
from freqprep.augment.crops import Windows
from freqprep.augment.resample_plan import plan_of
from freqprep.compilation import can_compile
from freqprep.errors import UsageError
from freqprep.spectrum import BLOCK, COMPONENTS
from freqprep.spectrum.channels import Selection

# On a CPU a slice's data should stay in its caches; on a GPU, kernels should be few and large.
_AT_ONCE = {"cpu": 8, "cuda": 64}


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
    used : Selection or None
        Channels of the output; None: YCbCr pixels.

    Raises
    ------
    UsageError
        The number of steps is not the number of channels.
    """

    def __init__(
        self,
        read: Selection,
        steps: np.ndarray,
        grid: tuple[int, int],
        used: Selection | None,
    ) -> None:
        if len(steps) != len(read):
            raise UsageError(
                f"{len(steps)} steps for {len(read)} channels",
                "give one step for each channel read",
            )
        self.read, self.used, self.grid = read, used, grid
        self._steps = np.asarray(steps, np.float32)
        parts = (Component.of(number, read, self._steps, used) for number in range(len(COMPONENTS)))
        self._plan = plan_of(read, self._steps, used)
        self._components = {torch.device("cpu"): [part for part in parts if part is not None]}

    @torch.no_grad()
    def __call__(
        self,
        codes: Tensor,
        windows: Windows,
        flip: np.ndarray | None = None,
        canvas: tuple[int, int] | None = None,
    ) -> Tensor:
        """Resample a batch.

        An image's result does not depend on the others of the batch, float32 rounding aside.

        Parameters
        ----------
        codes : Tensor of int8 or int16, shape (n, C, rows, columns)
            Stored codes of the channels read, on any device.
        windows : Windows
            A window for each image, inside its valid pixels.
        flip : ndarray of bool, shape (n,), optional
            Whether to mirror the output left to right.
        canvas : tuple of int, optional
            Height and width of the output in pixels, for coefficients multiples of 8; by default
            the largest part kept of an image. Smaller ones are padded by repeating their last row
            and column of pixels.

        Returns
        -------
        Tensor of float32
            On the codes' device. Coefficients, shape (n, U, height / 8, width / 8); or pixels,
            shape (n, 3, height, width): Y - 128, Cb - 128, Cr - 128, not clipped. On the same
            machine, the same batch gives the same bits for the same number of threads.

        Raises
        ------
        UsageError
            Codes of another shape, a window beyond them, or a canvas that is too small or not
            whole blocks.
        """
        n = len(codes)
        expected = (n, len(self.read), *self.grid)
        if tuple(codes.shape) != expected or len(windows) != n:
            raise UsageError(
                f"codes of shape {tuple(codes.shape)} and {len(windows)} windows, expected"
                f" {expected}"
            )
        self._check_windows(windows)
        height, width = self._canvas(windows, canvas)
        flip = np.zeros(n, bool) if flip is None else np.asarray(flip, bool)
        codes = codes.contiguous()
        # A caller's autocast would round the products to half precision.
        with torch.autocast(codes.device.type, enabled=False):
            if codes.device.type == "cpu" and can_compile():
                return self._compiled(codes, windows, flip, (height, width))
            filled = n and (windows.kept == (height, width)).all()
            if self.used is not None and filled and windows.on_blocks:
                return self._gather(codes, self.used, windows, flip)
            return self._resample(codes, windows, flip, (Tiling.of(height), Tiling.of(width)))

    def _compiled(
        self, codes: Tensor, windows: Windows, flip: np.ndarray, canvas: tuple[int, int]
    ) -> Tensor:
        from freqprep.augment.resample_compiled import resample

        threads = torch.get_num_threads()
        out = resample(codes.numpy(), windows, flip, self._plan, canvas, None, False, threads)
        return torch.from_numpy(out)

    def _check_windows(self, windows: Windows) -> None:
        limits = BLOCK * np.array(self.grid)
        inside = (windows.start >= 0) & (windows.start + windows.length <= limits)
        kept = (windows.offset >= 0) & (windows.offset + windows.kept <= windows.resized)
        if not (inside & kept & (windows.length > 0) & (windows.kept > 0)).all():
            raise UsageError(
                f"a window that reaches beyond {limits[0]}x{limits[1]} stored pixels, or keeps more"
                " than there is after resizing"
            )

    def _canvas(self, windows: Windows, canvas: tuple[int, int] | None) -> tuple[int, int]:
        block = 1 if self.used is None else BLOCK
        least = -(-windows.kept.max(axis=0, initial=1) // block) * block
        height, width = (int(side) for side in (least if canvas is None else canvas))
        if height < least[0] or width < least[1] or height % block or width % block:
            raise UsageError(
                f"an output of {height}x{width} pixels does not hold {least[0]}x{least[1]} in whole"
                " blocks"
            )
        return height, width

    def _resample(
        self, codes: Tensor, windows: Windows, flip: np.ndarray, tilings: tuple[Tiling, Tiling]
    ) -> Tensor:
        block = 1 if self.used is None else BLOCK
        planes = len(COMPONENTS) if self.used is None else len(self.used)
        sides = (tiling.pixels // block for tiling in tilings)
        out = torch.zeros((len(codes), planes, *sides), device=codes.device)
        # Images of similar size together: the runs of blocks of a slice are padded to its longest.
        by_size = np.argsort(windows.length.prod(axis=1), kind="stable")
        at_once = _AT_ONCE.get(codes.device.type, _AT_ONCE["cuda"])
        for first in range(0, len(codes), at_once):
            images = by_size[first : first + at_once]
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
        device, (rows, columns) = codes.device, self.grid
        down = Axis.of(windows, 0, np.zeros_like(flip), tilings[0], rows)
        across = Axis.of(windows, 1, flip, tilings[1], columns)
        weights = down.weights(device), across.weights(device)
        # The block columns under any of an image's tiles: what is taken of each block row.
        left = across.first.min(axis=1)
        width = int((across.first.max(axis=1) - left).max()) + across.run
        left = np.minimum(left, columns - width)
        shift = _on(across.first - left[:, None], device)
        row = _on(down.first, device)[:, :, None] + torch.arange(down.run, device=device)
        start = _on(images * (len(self.read) * rows * columns) + left, device)
        start = start[:, None, None] + row * columns
        stretches = codes.view(-1).unfold(0, width, 1)  # all runs of this length in memory
        where = _on(images, device)
        for part in self._on(device):
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
        if self.used is None:
            pixels = done.permute(0, 2, 5, 6, 1, 3, 4).reshape(n, tall * tilings[0].blocks * u, -1)
            out[where, part.outputs] = pixels[:, :height, :width]
        else:
            planes = done.permute(0, 6, 4, 2, 5, 1, 3)
            planes = planes.reshape(n, u * w, tall * tilings[0].blocks, -1)
            out[where[:, None], part.outputs] = planes[:, part.picked, :height, :width]

    def _gather(self, codes: Tensor, used: Selection, windows: Windows, flip: np.ndarray) -> Tensor:
        """Copy whole blocks without products; a mirrored block has its odd h negated."""
        device, (rows, columns) = codes.device, self.grid
        height, width = (windows.kept[0] // BLOCK).tolist()
        order = {index: number for number, index in enumerate(self.read.indices)}
        channel = _on(np.array([order.get(index, 0) for index in used.indices]), device)
        steps = np.array([self._steps[order[i]] if i in order else 0 for i in used.indices])
        first = _on((windows.start + windows.offset) // BLOCK, device)
        image = torch.arange(len(codes), device=device)[:, None] * len(self.read)
        row = first[:, :1] + torch.arange(height, device=device)
        start = (image + channel)[:, :, None] * rows + row[:, None]
        start = start * columns + first[:, 1, None, None]
        blocks = codes.view(-1).unfold(0, width, 1)[start]
        out = blocks * _on(steps.astype(np.float32), device)[:, None, None]
        sign = np.where(np.array(used.indices) % BLOCK % 2, -1, 1).astype(np.float32)
        mirrored = out.flip(-1) * _on(sign, device)[:, None, None]
        return torch.where(_on(flip, device)[:, None, None, None], mirrored, out)

    def _on(self, device: torch.device) -> list[Component]:
        """Return the components on a device."""
        if device not in self._components:
            here = self._components[torch.device("cpu")]
            self._components[device] = [component.to(device) for component in here]
        return self._components[device]


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


def _on(array: np.ndarray, device: torch.device) -> Tensor:
    return torch.from_numpy(array).to(device, non_blocking=True)
