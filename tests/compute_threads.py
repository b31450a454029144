"""The number of torch's compute threads, on which results depend in the last bit."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_compute_thread() -> Iterator[None]:
    """Compute with one thread in the block, as processes with ``OMP_NUM_THREADS=1`` do."""
    import torch  # here: tests that skip without it import this module first

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
