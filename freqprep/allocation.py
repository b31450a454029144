"""Memory: keep what was freed for the next array; make pages of new memory cheaply."""

from __future__ import annotations

import ctypes
import math
import mmap
import sys

import numpy as np

_LARGEST = 31 * 2**20  # glibc's threshold rises to at most 32 MB
_POPULATE_WRITE = 23  # Linux: MADV_POPULATE_WRITE

# Large arrays of others begin at a page or 16 bytes behind it. Copying between addresses that
# differ by so little modulo a page is four times as slow: loads are taken for earlier stores.
_HALF_A_PAGE = 2048


def keep_freed_memory() -> None:
    """Make glibc keep freed blocks of up to 31 MB instead of handing them back at once.

    Each use of fresh memory costs a page fault every 4 KB: a third of the time of encoding an
    image, a quarter of the time of reading. The threshold above which glibc returns a block
    rises to the size of the largest one freed so far (mallopt(3), M_MMAP_THRESHOLD), so one
    block is made and dropped. On other systems that changes nothing.
    """
    np.empty(_LARGEST, np.uint8)


class FreshArray:
    """A large array in new memory, whose pages are made part by part by whoever fills it.

    NumPy asks for huge pages, and each of these is cleared at the first byte written to it. That
    is fast where the system has them at hand; on a virtual machine that returns free memory to its
    host it took six times as long as small pages. Here the system's own choice counts, and on Linux
    `populate` makes many pages in one call: a quarter less time than one fault a page.

    Parameters
    ----------
    shape : tuple of int
    dtype : numpy.dtype

    Attributes
    ----------
    array : ndarray
        Zeros.
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype) -> None:
        count = math.prod(shape)
        memory = _new_memory(count * dtype.itemsize + _HALF_A_PAGE)
        self.array = np.frombuffer(memory, dtype, count, _HALF_A_PAGE).reshape(shape)

    def populate(self, first: int, stop: int) -> None:
        """Make the pages of some rows now, in one call; does nothing where that is unknown.

        Parameters
        ----------
        first, stop : int
            Range on the array's first axis.
        """
        rows = self.array[first:stop]
        begin = rows.ctypes.data // mmap.PAGESIZE * mmap.PAGESIZE
        length = rows.ctypes.data + rows.nbytes - begin
        if sys.platform == "linux" and rows.size:
            # By ctypes, which lets other threads run; a kernel before 5.14 says no, and the pages
            # are then made one by one.
            madvise = ctypes.CDLL(None).madvise
            madvise(ctypes.c_void_p(begin), ctypes.c_size_t(length), _POPULATE_WRITE)


def _new_memory(length: int) -> mmap.mmap:
    """Map memory of this process alone."""
    if sys.platform == "win32":
        return mmap.mmap(-1, length)
    return mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
