"""Rounding codes to coarser steps: the nearest code, and ties without a side."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from freqprep.spectrum.quantization import requantize

RATIOS = st.integers(1, 7).map(lambda power: 2**power)
CODES = arrays(np.int16, st.integers(1, 200), elements=st.integers(-2048, 2047))


@given(CODES, RATIOS, st.integers(0, 9))
def test_codes_become_the_nearest_and_ties_one_of_both(codes, ratio, seed):
    coarse = requantize(codes, ratio, np.random.default_rng(seed))
    assert (coarse.shape, coarse.dtype) == (codes.shape, codes.dtype)
    exact = codes / ratio
    error = np.abs(coarse - exact)
    assert (error <= 0.5).all()
    clear = error < 0.5
    assert np.array_equal(coarse[clear], np.rint(exact[clear]))
    assert np.isin(coarse[~clear] - exact[~clear], (-0.5, 0.5)).all()
    assert not coarse[codes == 0].any()


@given(CODES, st.integers(0, 9))
def test_the_same_step_changes_nothing(codes, seed):
    assert np.array_equal(requantize(codes, 1, np.random.default_rng(seed)), codes)


@pytest.mark.parametrize("ratio", [2, 4, 8, 32])
@pytest.mark.parametrize("width", [2.0, 6.0, 60.0])
def test_numbers_of_codes_are_near_those_of_coefficients_rounded_once(ratio, width):
    """A double exponential, from narrow to wide; nearer than with ties that are tossed."""
    random = np.random.default_rng(0)
    coefficients = random.laplace(scale=width, size=200_000)
    coarse = requantize(np.rint(coefficients).astype(np.int16), ratio, random)
    once = np.rint(coefficients / ratio)
    for code in range(-2, 3):
        expected = (once == code).sum()
        assert abs((coarse == code).sum() - expected) <= 0.07 * expected + 6 * np.sqrt(expected)


def test_ties_in_a_flat_neighbourhood_go_up_as_often_as_down():
    codes = np.random.default_rng(0).integers(-1000, 1001, 100_000).astype(np.int16)
    coarse = requantize(codes, 4, np.random.default_rng(1))
    tie = np.abs(codes % 4) == 2
    up = (coarse[tie] * 4 > codes[tie]).mean()
    assert abs(up - 0.5) < 5 * 0.5 / np.sqrt(tie.sum())


def test_the_range_of_a_dtype_is_not_left():
    codes = np.array([-128, -127, 126, 127], np.int8)
    for seed in range(20):
        coarse = requantize(codes, 2, np.random.default_rng(seed))
        assert coarse[0] == -64 and coarse[2] == 63
        assert coarse[1] in (-64, -63) and coarse[3] in (63, 64)
