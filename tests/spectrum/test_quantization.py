"""Steps and codes: half a step from the coefficient, and every clipped code counted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from freqprep.errors import UsageError
from freqprep.spectrum.dct import dct_matrix, forward
from freqprep.spectrum.quantization import PRECISIONS, dequantize, round_codes, step_table

repeatable = settings(derandomize=True, deadline=None, max_examples=80)

INT8_COMPONENT = [
    *(8, 8, 8, 4, 4, 4, 4, 4),
    *(8, 8, 4, 4, 4, 4, 4, 4),
    *(8, 4, 4, 4, 4, 4, 4, 4),
    *([4] * 40),
]
"""Steps of one component: 8 where v + h <= 2, else 4."""

precisions = st.sampled_from(["int8", "int16"])
scaled_values = st.floats(-40_000, 40_000, width=32)
scaled_arrays = arrays(np.float32, array_shapes(min_dims=3, max_dims=3), elements=scaled_values)


def extreme_planes() -> np.ndarray:
    """Blocks in which each coefficient is as large, and as small, as pixels allow."""
    patterns = np.where(dct_matrix() > 0, 255, 0).astype(np.uint8).reshape(64, 8, 8)
    return np.concatenate([*patterns, *(255 - patterns)], axis=1)


def test_int8_steps():
    assert step_table("int8").tolist() == INT8_COMPONENT * 3


def test_int16_steps():
    assert step_table("int16").tolist() == [1.0] * 192


@pytest.mark.parametrize("precision", ["int8", "int16"])
def test_steps_are_powers_of_two(precision):
    steps = step_table(precision)
    assert steps.dtype == np.float32
    assert (np.exp2(np.rint(np.log2(steps))) == steps).all()


@pytest.mark.parametrize("precision", ["int4", "", "INT8", "float32"])
def test_an_unknown_precision_is_named(precision):
    with pytest.raises(UsageError, match="int8 or int16"):
        step_table(precision)


@repeatable
@given(scaled_arrays, precisions)
def test_codes_are_the_nearest_in_range_and_clipped_ones_are_counted(scaled, precision):
    before = scaled.copy()
    codes, saturated = round_codes(scaled, PRECISIONS[precision])
    low, high = np.iinfo(precision).min, np.iinfo(precision).max
    expected, clipped = [], 0
    for value in scaled.ravel().tolist():
        code = round(value)  # Python rounds halves to even, too
        clipped += not low <= code <= high
        expected.append(min(max(code, low), high))
    assert codes.ravel().tolist() == expected
    assert saturated == clipped
    np.testing.assert_array_equal(scaled, before)


@pytest.mark.parametrize(
    ("scaled", "code", "saturated"),
    [(127.5, 127, 1), (127.4, 127, 0), (-128.5, -128, 0), (-128.6, -128, 1), (0.5, 0, 0)],
)
def test_the_ends_of_int8(scaled, code, saturated):
    codes, clipped = round_codes(np.full((1, 1, 1), scaled, np.float32), np.dtype("int8"))
    assert (codes.item(), clipped) == (code, saturated)


@repeatable
@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=24)), precisions)
def test_a_code_is_within_half_a_step_unless_saturated(plane, precision):
    steps = step_table(precision)[:64]
    coefficients = forward(plane)
    codes, saturated = round_codes(coefficients / steps[:, None, None], PRECISIONS[precision])
    stored = codes.astype(precision)
    off = np.abs(dequantize(stored, steps).astype(np.float64) - coefficients)
    beyond = off > steps[:, None, None] / 2
    limits = np.iinfo(precision)
    assert not (beyond & (stored != limits.min) & (stored != limits.max)).any()
    assert np.count_nonzero(beyond) <= saturated


def test_int16_cannot_saturate():
    largest = 128 * np.abs(dct_matrix()).sum(axis=1).max()
    assert largest < np.iinfo(np.int16).max
    codes, saturated = round_codes(forward(extreme_planes()), np.dtype("int16"))
    assert saturated == 0
    assert np.abs(codes).max() > 1000


def test_int8_saturates_at_the_extremes():
    steps = step_table("int8")[:64, None, None]
    _, saturated = round_codes(forward(extreme_planes()) / steps, np.dtype("int8"))
    assert saturated > 0


def test_int8_dc_saturates_at_no_grey():
    for grey in range(256):
        dc = forward(np.full((8, 8), grey, np.uint8))[:1] / 8
        assert round_codes(dc, np.dtype("int8"))[1] == 0


@pytest.mark.parametrize("precision", ["int8", "int16"])
def test_dequantized_codes_are_code_times_step(precision):
    rng = np.random.default_rng(1)
    limits = np.iinfo(precision)
    codes = rng.integers(limits.min, limits.max, (3, 192, 2, 5), precision, endpoint=True)
    steps = step_table(precision)
    values = dequantize(codes, steps)
    assert values.dtype == np.float32
    for channel in range(192):
        exact = codes[:, channel].astype(np.int64) * int(steps[channel])
        assert (values[:, channel] == exact).all()
    np.testing.assert_array_equal(dequantize(codes[0], steps), values[0])
