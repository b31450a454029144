"""Steps and codes: half a step from the coefficient, and every clipped code counted."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from freqprep.errors import UsageError
from freqprep.spectrum.dct import dct_matrix, forward
from freqprep.spectrum.quantization import PRECISIONS, Precision, dequantize, round_codes

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
    assert PRECISIONS["int8"].step_table.tolist() == INT8_COMPONENT * 3


def test_int16_steps():
    assert PRECISIONS["int16"].step_table.tolist() == [1.0] * 192


@pytest.mark.parametrize("precision", ["int8", "int16"])
def test_steps_are_powers_of_two(precision):
    steps = PRECISIONS[precision].step_table
    assert steps.dtype == np.float32
    assert (np.exp2(np.rint(np.log2(steps))) == steps).all()


@pytest.mark.parametrize("codes", ["int4", "", "INT8", "float32"])
def test_an_unknown_type_of_codes_is_named(codes):
    with pytest.raises(UsageError, match="int8 or int16"):
        Precision("mine", codes, (8.0,) * 192)


@pytest.mark.parametrize("step", [3, 0, -8, 0.75, 2048, 2.0**-5, float("nan"), True, "8", None])
def test_a_step_that_is_no_power_of_two_is_named_with_its_channel(step):
    steps = [8.0] * 192
    steps[64 + 8 * 2 + 5] = step
    with pytest.raises(UsageError, match="the step of cb_2_5") as caught:
        Precision("mine", "int8", tuple(steps))
    assert "power of two" in caught.value.remedy


steps_of_all = st.lists(st.integers(-4, 10).map(lambda k: 2.0**k), min_size=192, max_size=192)


@repeatable
@given(steps_of_all, st.sampled_from(["int8", "int16"]))
def test_a_precision_is_what_its_json_data_say(steps, codes):
    precision = Precision("mine", codes, tuple(steps))
    again = Precision.from_dict(json.loads(json.dumps(precision.to_dict())))
    assert again == precision
    assert precision.to_dict()["steps"]["cr"][7][6] == steps[128 + 62]
    assert (1 << precision.largest_code.bit_length() - 1) == precision.largest_code


@pytest.mark.parametrize("name", ["int8", "int16"])
def test_the_name_of_a_known_precision_means_its_steps(name):
    assert Precision.from_dict({"precision": name}) == PRECISIONS[name]
    other = Precision("mine", "int8", (16.0,) * 192)
    with pytest.raises(UsageError, match="not the steps of"):
        Precision.from_dict({**other.to_dict(), "precision": name})


@repeatable
@given(scaled_arrays, precisions)
def test_codes_are_the_nearest_in_range_and_clipped_ones_are_counted(scaled, precision):
    before = scaled.copy()
    codes, saturated = round_codes(scaled, PRECISIONS[precision].dtype)
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
    steps = PRECISIONS[precision].step_table[:64]
    coefficients = forward(plane)
    codes, saturated = round_codes(coefficients / steps[:, None, None], PRECISIONS[precision].dtype)
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
    steps = PRECISIONS["int8"].step_table[:64, None, None]
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
    steps = PRECISIONS[precision].step_table
    values = dequantize(codes, steps)
    assert values.dtype == np.float32
    for channel in range(192):
        exact = codes[:, channel].astype(np.int64) * int(steps[channel])
        assert (values[:, channel] == exact).all()
    np.testing.assert_array_equal(dequantize(codes[0], steps), values[0])
