"""New memory: zeros, and no page fault where pages were made beforehand."""

import sys

import numpy as np
import pytest

from freqprep.allocation import FreshArray


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.float64])
def test_it_is_an_array_of_zeros(dtype):
    memory = FreshArray((7, 3, 5), np.dtype(dtype))
    assert memory.array.shape == (7, 3, 5) and memory.array.dtype == dtype
    assert memory.array.flags.c_contiguous and memory.array.flags.aligned
    assert not memory.array.any()
    values = np.arange(105).reshape(7, 3, 5).astype(dtype)
    memory.array[:] = values
    memory.populate(0, 7)
    memory.populate(3, 3)
    np.testing.assert_array_equal(memory.array, values)


def test_the_array_outlives_its_owner():
    array = FreshArray((1000, 1000), np.dtype(np.int16)).array
    array[:] = 3
    assert array.sum(dtype=np.int64) == 3 * 10**6


@pytest.mark.skipif(sys.platform != "linux", reason="pages are made beforehand on Linux only")
def test_populated_rows_cost_no_page_faults():
    rows, row_bytes = 64, 2**17
    memory = FreshArray((2 * rows, row_bytes), np.dtype(np.int8))
    memory.populate(0, rows)
    populated = faults(lambda: memory.array[:rows].fill(1))
    others = faults(lambda: memory.array[rows:].fill(1))
    if populated >= others:
        pytest.skip("this kernel does not populate memory on request, or uses huge pages")
    assert populated <= 8  # none of these pages
    assert memory.array.all()


def faults(work) -> int:
    """Page faults of this thread."""
    import resource

    before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
    work()
    return resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before
