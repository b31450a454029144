"""Resampling on a CUDA device by a fused Triton kernel, which comes with torch's CUDA builds.

One kernel for each component (one in all for RGB) reads codes and writes the network's input.
Products are in TF32 where torch's may be (`torch.set_float32_matmul_precision`), else in float32.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from freqprep.augment.components import Component
from freqprep.augment.normalisation import Normalisation
from freqprep.augment.transfer import Constants
from freqprep.progress import say
from freqprep.spectrum import BLOCK, COMPONENTS
from freqprep.spectrum.color import TO_RGB
from freqprep.spectrum.dct import dct_matrix_1d

_BLOCKS = 8  # of a tile, along each axis
_SIDE = BLOCK * _BLOCKS  # in pixels
_SMALLEST = 16  # side of a product


@functools.cache
def can_launch(device: torch.device) -> bool:
    """Whether Triton is there and can start kernels on a device.

    It builds what starts them with a C compiler and Python's headers, which a machine may lack;
    a note says so once.
    """
    if importlib.util.find_spec("triton") is None:
        return False
    try:
        from freqprep.augment.resample_kernel import probe

        kernel: Any = probe
        with _selected(device):
            kernel[(1,)](torch.empty(1, dtype=torch.int32, device=device))
    except Exception as error:  # of any kind: a driver, a compiler, a version
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        say(
            f"warning: augmentation on {device} without Triton, which is slower: {reason} (it"
            " needs a C compiler and Python's headers)"
        )
        return False
    return True


def _selected(device: torch.device) -> AbstractContextManager[Any]:
    return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()


class TritonResampler:
    """Resampling of a batch in one pass.

    Parameters
    ----------
    components : sequence of Component
        At least one; for coefficients they give all planes of the output.
    planes : int
        Number of planes of the output.
    pixels : bool
        Whether the output is pixels.
    normalisation : Normalisation or None
    """

    def __init__(
        self,
        components: Sequence[Component],
        planes: int,
        pixels: bool,
        normalisation: Normalisation | None,
    ) -> None:
        self._planes, self._pixels, self._normalisation = planes, pixels, normalisation
        groups = [list(components)] if pixels else [[component] for component in components]
        self._launches = [_Launch(group, pixels) for group in groups]
        normal = normalisation or Normalisation((0.0,) * planes, (1.0,) * planes, False)
        self._constants = Constants(
            mean=np.array(normal.mean, np.float32),
            std=np.array(normal.std, np.float32),
            zero=np.zeros(planes, np.float32),
            one=np.ones(planes, np.float32),
            to_rgb=TO_RGB.astype(np.float32),
        )

    def __call__(
        self, codes: Tensor, table: Tensor, size: tuple[int, int], *, plain: bool, filled: bool
    ) -> Tensor:
        """Resample a batch.

        Parameters
        ----------
        codes : Tensor of int8 or int16, shape (n, C, rows, columns)
            Contiguous, n at least 1.
        table : Tensor of int32, shape (11, 2, n)
            See `freqprep.augment.window_table.window_table`; on the codes' device.
        size : tuple of int
            Height and width of the output in pixels.
        plain : bool
            Whether to leave out the normalisation.
        filled : bool
            Whether all images fill the output.

        Returns
        -------
        Tensor, shape (n, planes, height, width), or a position per block
            In channels_last memory: normalised, zero beyond images; or float32 as it is.
        """
        from freqprep.augment.resample_kernel import resample

        normal = None if plain else self._normalisation
        here = self._constants.on(codes.device)
        mean, std = (here["zero"], here["one"]) if normal is None else (here["mean"], here["std"])
        height, width = (side if self._pixels else side // BLOCK for side in size)
        out = torch.empty(
            (len(codes), self._planes, height, width),
            dtype=torch.float32 if normal is None else normal.dtype,
            device=codes.device,
            memory_format=torch.channels_last,
        )
        tall, wide = (-(-side // (BLOCK * _BLOCKS)) for side in size)
        precision = "ieee" if torch.get_float32_matmul_precision() == "highest" else "tf32"
        kernel: Any = resample
        with _selected(codes.device):
            for launch in self._launches:
                kernel[(tall * wide, len(codes))](
                    codes,
                    table,
                    *launch.constants.on(codes.device).values(),
                    mean,
                    std,
                    here["to_rgb"],
                    out,
                    *(len(codes), *codes.shape[1:], wide, height, width, self._planes),
                    **launch.sizes,
                    RGB=normal is not None and normal.rgb,
                    ZERO_BEYOND=normal is not None and not filled,
                    PRECISION=precision,
                    **launch.options,
                )
        return out


class _Launch:
    """One launch of the kernel: a component of coefficients, or all three of pixels.

    Parameters
    ----------
    components : sequence of Component
    pixels : bool

    Attributes
    ----------
    constants : Constants
        Arguments of the kernel, in its order.
    sizes : dict
        Its constant sizes.
    options : dict
        Of the compiler: warps of a program (with fewer its tiles do not fit the registers), and
        products and sums in one rounding.
    """

    def __init__(self, components: Sequence[Component], pixels: bool) -> None:
        v, h = (list(range(BLOCK)) if pixels else components[0].read[axis] for axis in (0, 1))
        u, w = (components[0].left[axis].shape[0] for axis in (0, 1))
        count = len(COMPONENTS) if pixels else 1
        channel = np.zeros((count, len(v), len(h)), np.int32)
        step = np.zeros((count, len(v), len(h)), np.float32)
        plane = np.full((count, u * w), -1, np.int32)
        plane[:, 0] = np.arange(count)
        for component in components:
            number = int(component.outputs[0]) if pixels else 0
            rows, columns = component.read
            at = np.ix_([number], [v.index(row) for row in rows], [h.index(c) for c in columns])
            channel[at], step[at] = component.channel.numpy(), component.step[..., 0].numpy()
            if not pixels:
                plane[:] = -1
                plane[0, component.picked.numpy()] = component.outputs.numpy()
        matrix = dct_matrix_1d()
        ins, outs = (
            [_padded(_BLOCKS * len(f)) for f in (v, h)],
            [_padded(_BLOCKS * f) for f in (u, w)],
        )
        self.constants = Constants(
            channel=channel,
            step=step,
            left_down=_block_diagonal(components[0].left[0].numpy(), (outs[0], _SIDE)),
            left_across=_block_diagonal(components[0].left[1].numpy(), (outs[1], _SIDE)),
            right_down=_block_diagonal(matrix[v].T, (_SIDE, ins[0])),
            right_across=_block_diagonal(matrix[h].T, (_SIDE, ins[1])),
            plane=plane,
        )
        self.options = {"num_warps": 8, "enable_fp_fusion": True}
        self.sizes: dict[str, int | bool] = {
            **{"V": len(v), "H": len(h), "U": u, "W": w},
            **{"IN_DOWN": ins[0], "IN_ACROSS": ins[1], "OUT_DOWN": outs[0], "OUT_ACROSS": outs[1]},
            "COMPONENTS": count,
            "COPIED": pixels,
        }


def _padded(count: int) -> int:
    """Round up to a side that products can have."""
    return max(_SMALLEST, 1 << (count - 1).bit_length())


def _block_diagonal(matrix: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Repeat a matrix for each block of a tile, and pad with zeros."""
    blocks = np.kron(np.eye(_BLOCKS), matrix)
    padded = np.zeros(shape, np.float32)
    padded[: blocks.shape[0], : blocks.shape[1]] = blocks
    return padded
