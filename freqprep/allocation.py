"""Memory allocator settings: keep freed memory for the next array."""

from __future__ import annotations

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
