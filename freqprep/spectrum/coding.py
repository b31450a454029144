"""Choice of what turns pixels into codes: NumPy, or the same in one compiled loop.

Sums of products are exact in both forms, so they agree to the bit.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from freqprep.compilation import can_compile
from freqprep.spectrum.channels import CHANNELS
from freqprep.spectrum.code_sums import CodeSums
from freqprep.spectrum.numpy_coding import NumpyCoder
from freqprep.spectrum.quantization import Precision

MANY_IMAGES = 2_000
"""Number of images of a process from which compiled code is used."""


class Coder(Protocol):
    """What turns the pixels of an image into codes."""

    def encode(self, pixels: np.ndarray, out: np.ndarray) -> CodeSums:
        """Transform, round and place the codes of an image; see `NumpyCoder.encode`."""


def worth_compiling(images: int) -> bool:
    """Return whether a process that encodes so many images should use compiled code, and can.

    Loading Numba and the code takes as long as 500 photographs gain by it; compiling, where no
    earlier process has done it, as long as 7,000. Codes and sums are the same either way.
    """
    return images >= MANY_IMAGES and can_compile()


def make_coder(precision: Precision, compiled: bool) -> Coder:
    """Return the compiled coder of a precision, or NumPy's."""
    if not compiled:
        return NumpyCoder(precision)
    from freqprep.spectrum.compiled_coding import CompiledCoder

    return CompiledCoder(precision)


def compile_coder(precision: Precision) -> None:
    """Compile what `make_coder` needs, or load it, before it is used or timed."""
    coder = make_coder(precision, compiled=True)
    coder.encode(np.zeros((1, 1, 3), np.uint8), np.zeros((CHANNELS, 1, 1), precision.dtype))


def is_compiling() -> bool:
    """Return whether `compile_coder` found no code on disk and compiles, or has compiled."""
    from freqprep.spectrum import compiled_coding

    return compiled_coding.is_compiling()
