"""Large arrays without a page fault every 4 KB."""

from __future__ import annotations

import contextlib
import math
import mmap

import numpy as np

_LARGEST = 31 * 2**20  # glibc's threshold rises to at most 32 MB


def keep_freed_memory() -> None:
    """Make glibc keep freed blocks of up to 31 MB instead of handing them back at once.

    Each use of fresh memory costs a page fault every 4 KB: a third of the time of encoding an
    image, a quarter of the time of reading. The threshold above which glibc returns a block
    rises to the size of the largest one freed so far (mallopt(3), M_MMAP_THRESHOLD), so one
    block is made and dropped. On other systems that changes nothing.
    """
    np.empty(_LARGEST, np.uint8)


def large_array(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An array of its own memory, in pages of 2 MB where the system has them.

    Touching fresh memory in pages of 4 KB takes longer than decoding into it. The memory goes
    back to the system with the array.

    Parameters
    ----------
    shape : tuple of int
    dtype : dtype

    Returns
    -------
    ndarray
        Zeros, contiguous.
    """
    size = math.prod(shape) * dtype.itemsize
    memory = mmap.mmap(-1, max(size, 1))
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without them
            memory.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(memory, np.uint8, size).view(dtype).reshape(shape)
