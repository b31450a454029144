"""Crop, antialiased resize and flip, exactly, on coefficients, in batches.

``out = A_h . X . A_w^T``: the two matrices are composed per image and axis, and limited to the
frequencies that are read and used. No pixels are computed in between. Here the request is checked
and a form chosen: tiles on a CPU (`resample_tiled`, the reference for the others); on a device one
fused kernel where Triton is (`resample_triton`), else few large operations (`resample_dense`).
Crops of whole blocks are copied.
"""

from __future__ import annotations

import contextlib
import functools

import numpy as np
import torch
from torch import Tensor

from freqprep.augment import window_table
from freqprep.augment.aligned_blocks import AlignedBlocks
from freqprep.augment.color_transforms import Basis, ColorChange
from freqprep.augment.components import Component
from freqprep.augment.crops import Windows
from freqprep.augment.normalisation import Normalisation
from freqprep.augment.resample_dense import DenseResampler
from freqprep.augment.resample_plan import Plan, plan_of
from freqprep.augment.resample_tiled import TiledResampler
from freqprep.augment.resample_triton import TritonResampler, can_launch
from freqprep.augment.transfer import send
from freqprep.compilation import can_compile
from freqprep.errors import UsageError
from freqprep.progress import noted_if_long
from freqprep.spectrum import BLOCK, COMPONENTS
from freqprep.spectrum.channels import Selection
from freqprep.text.quantities import plural

_NOTED = functools.partial(noted_if_long, "compiling the augmentation, once on this machine")
_compiled: set[object] = set()  # types of codes and outputs that were compiled or loaded


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
    normalisation : Normalisation or None
        How to make a network's input of the output; None: leave it as it is.

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
        normalisation: Normalisation | None = None,
    ) -> None:
        if len(steps) != len(read):
            raise UsageError(
                f"{len(steps)} steps for {plural(len(read), 'channel')}",
                "give one step for each channel read",
            )
        self.read, self.used, self.grid = read, used, grid
        self.normalisation = normalisation
        self._steps = np.asarray(steps, np.float32)
        self._basis = Basis(used)
        self._planes = len(COMPONENTS) if used is None else len(used)

    @torch.no_grad()
    def __call__(
        self,
        codes: Tensor,
        windows: Windows,
        flip: np.ndarray | None = None,
        canvas: tuple[int, int] | None = None,
        colors: ColorChange | None = None,
    ) -> Tensor:
        """Resample a batch.

        An image's result does not depend on the others of the batch, float32 rounding aside. On a
        device nothing waits for it: all that it needs from the host is one small copy.

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
            the largest part kept of an image.
        colors : ColorChange, optional
            Change of each image's colours, after it was resampled.

        Returns
        -------
        Tensor
            On the codes' device. Coefficients, shape (n, U, height / 8, width / 8); or pixels,
            shape (n, 3, height, width). Without normalisation float32, contiguous: pixels are
            Y - 128, Cb - 128, Cr - 128, not clipped, and an image smaller than the canvas is padded
            by repeating its last row and column of pixels. With it of its dtype, in channels_last
            memory: pixels are RGB, and beyond an image are zeros. On the same machine, the same
            batch gives the same bits for the same number of threads.

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
        size = self._canvas(windows, canvas)
        flip = np.zeros(n, bool) if flip is None else np.asarray(flip, bool)
        # A caller's autocast would round the products to half precision.
        with torch.autocast(codes.device.type, enabled=False):
            return self._resample(codes.contiguous(), windows, flip, size, colors)

    def _resample(
        self,
        codes: Tensor,
        windows: Windows,
        flip: np.ndarray,
        size: tuple[int, int],
        colors: ColorChange | None,
    ) -> Tensor:
        device, filled = codes.device, (windows.kept == size).all()
        on_host = self._on_host(codes)
        compiled = on_host and can_compile()
        if compiled and colors is None:
            return self._compiled(codes, windows, flip, size, self.normalisation)
        table = send(window_table.window_table(windows, flip, colors), device)
        if not self._components or not len(codes):
            block = 1 if self.used is None else BLOCK
            shape = (len(codes), self._planes, size[0] // block, size[1] // block)
            data = torch.zeros(shape, device=device)
        elif compiled:
            data = self._compiled(codes, windows, flip, size, None)
        elif self._aligned is not None and filled and windows.on_blocks:
            data = self._aligned(codes, table, size)
        elif on_host:
            data = self._tiled(codes, windows, flip, size)
        elif self._on_cuda(codes) and can_launch(device) and self._fused is not None:
            plain = colors is not None or self.normalisation is None
            data = self._fused(codes, table, size, plain=plain, filled=bool(filled))
            if not plain:
                return data
        else:
            data = self._dense(codes, table, size)
        if colors is not None:
            gains, constants = table[window_table.GAIN :].view(torch.float32)
            data = self._basis.apply(data, gains, constants)
        if self.normalisation is None:
            return data.contiguous()
        data = self.normalisation(data)
        return data if filled else self._zero_beyond(data, table)

    def _compiled(
        self,
        codes: Tensor,
        windows: Windows,
        flip: np.ndarray,
        size: tuple[int, int],
        normalisation: Normalisation | None,
    ) -> Tensor:
        from freqprep.augment.resample_compiled import is_compiling, resample

        moments, bfloat16 = None, False
        if normalisation is not None:
            moments = np.array(normalisation.mean), np.array(normalisation.std)
            bfloat16 = normalisation.dtype == torch.bfloat16
        kind = codes.dtype, moments is None, bfloat16
        known = contextlib.nullcontext() if kind in _compiled else _NOTED(is_compiling)
        with known:
            threads = torch.get_num_threads()
            arguments = windows, flip, self._plan, size, moments, bfloat16, threads
            data = torch.from_numpy(resample(codes.numpy(), *arguments))
        _compiled.add(kind)
        if normalisation is None:
            return data
        return (data.view(torch.bfloat16) if bfloat16 else data).permute(0, 3, 1, 2)

    def _check_windows(self, windows: Windows) -> None:
        limits = BLOCK * np.array(self.grid)
        inside = (windows.start >= 0) & (windows.start + windows.length <= limits)
        kept = (windows.offset >= 0) & (windows.offset + windows.kept <= windows.resized)
        if not (inside & kept & (windows.length > 0) & (windows.kept > 0)).all():
            raise UsageError(
                f"a window that reaches beyond {limits[0]}x{limits[1]} stored pixels, or keeps more"
                " than there is after resizing"
            )
        if (windows.resized >= window_table.LARGEST).any():
            raise UsageError(
                f"an image resized to {windows.resized.max()} pixels",
                f"resize to less than {window_table.LARGEST}",
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

    @staticmethod
    def _on_host(codes: Tensor) -> bool:
        return codes.device.type == "cpu"

    @staticmethod
    def _on_cuda(codes: Tensor) -> bool:
        return codes.is_cuda

    def _zero_beyond(self, data: Tensor, table: Tensor) -> Tensor:
        """Set what lies beyond each image to zero."""
        block = 1 if self.used is None else BLOCK
        last = table[window_table.LAST, :, :, None] // block
        inside = [
            torch.arange(side, device=data.device) <= last[axis]
            for axis, side in enumerate(data.shape[2:])
        ]
        return data.mul_((inside[0][:, :, None] & inside[1][:, None])[:, None])

    @functools.cached_property
    def _components(self) -> list[Component]:
        parts = (
            Component.of(number, self.read, self._steps, self.used)
            for number in range(len(COMPONENTS))
        )
        return [part for part in parts if part is not None]

    @functools.cached_property
    def _plan(self) -> Plan:
        return plan_of(self.read, self._steps, self.used)

    @functools.cached_property
    def _tiled(self) -> TiledResampler:
        return TiledResampler(self._components, self._planes, self.used is None)

    @functools.cached_property
    def _dense(self) -> DenseResampler:
        return DenseResampler(self._components, self._planes, self.used is None)

    @functools.cached_property
    def _fused(self) -> TritonResampler | None:
        pixels = self.used is None
        known = sum(len(component.outputs) for component in self._components)
        if known < self._planes and not pixels:
            return None
        return TritonResampler(self._components, self._planes, pixels, self.normalisation)

    @functools.cached_property
    def _aligned(self) -> AlignedBlocks | None:
        return None if self.used is None else AlignedBlocks(self.read, self._steps, self.used)
