"""Each form of an operation that has several."""

from collections.abc import Iterator
from unittest import mock

import pytest

from freqprep.compilation import can_compile


@pytest.fixture(scope="module", params=["compiled", "torch"])
def form(request: pytest.FixtureRequest) -> Iterator[str]:
    """Form in which a `Resampler` works on a CPU, for all tests of a module."""
    pytest.importorskip("torch")
    if request.param == "compiled" and not can_compile():
        pytest.skip("Numba is not installed")
    with mock.patch("freqprep.augment.resample.can_compile", lambda: request.param == "compiled"):
        yield request.param
