"""A split of either precision, its sums, and the same by brute force."""

import numpy as np
import pytest
from brute import whole

from freqprep.engines import Workers
from freqprep.importance.collect import collect
from freqprep.store.reader import open_store


@pytest.fixture(scope="module", params=["store", "crop_store", "fine_store"])
def split(request):
    """int8 with two shards and rejected rows; int16; steps that differ by component."""
    return open_store(request.getfixturevalue(request.param))["train"]


@pytest.fixture(scope="module")
def sums(split):
    return collect(split, Workers(1)).sums


@pytest.fixture(scope="module")
def reference(split):
    return whole(split)


@pytest.fixture(scope="module")
def steps(split):
    return split.steps.astype(np.float64)
