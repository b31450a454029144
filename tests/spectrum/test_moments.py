"""Moments: integer sums, exact for the most adversarial codes, and mergeable to the bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from freqprep.spectrum.moments import Moments

repeatable = settings(derandomize=True, deadline=None, max_examples=60)

LARGEST = {"int8": 128, "int16": 32768}


def codes_arrays(channels: int) -> st.SearchStrategy[tuple[str, np.ndarray]]:
    """A precision, and codes of some shape (channels, rows, columns)."""
    sides = st.integers(1, 12)
    return st.tuples(st.sampled_from(["int8", "int16"]), sides, sides).flatmap(
        lambda drawn: st.tuples(st.just(drawn[0]), arrays(drawn[0], (channels, *drawn[1:])))
    )


def of(codes: np.ndarray, precision: str) -> Moments:
    return Moments.of(codes, LARGEST[precision])


def brute_force(codes: np.ndarray) -> tuple[int, list[int], list[int]]:
    flat = codes.reshape(len(codes), -1).astype(np.int64)
    return flat.shape[1], flat.sum(axis=1).tolist(), (flat**2).sum(axis=1).tolist()


def plain(moments: Moments) -> tuple[int, list[int], list[int]]:
    assert moments.total.dtype == moments.total_squares.dtype == np.int64
    return moments.count, moments.total.tolist(), moments.total_squares.tolist()


@repeatable
@given(codes_arrays(3))
def test_sums_are_exact_for_any_codes(drawn):
    precision, codes = drawn
    assert plain(of(codes, precision)) == brute_force(codes)
    assert plain(of(codes.astype(np.float32), precision)) == brute_force(codes)


@pytest.mark.parametrize("precision", ["int8", "int16"])
@pytest.mark.parametrize("blocks", [1, 63, 64, 511, 512, 513, 1023, 1024, 1025, 4096, 300_001])
def test_sums_are_exact_at_the_extremes(precision, blocks):
    limits = np.iinfo(precision)
    rng = np.random.default_rng(blocks)
    codes = np.empty((5, 1, blocks), precision)
    codes[0], codes[1] = limits.min, limits.max
    codes[2] = np.where(np.arange(blocks) % 2, limits.min, limits.max)
    codes[3] = limits.min
    codes[3, 0, -1] = 1  # one odd term among large ones: the first to be lost by rounding
    codes[4] = rng.integers(limits.min, limits.max, blocks, precision, endpoint=True)
    assert plain(of(codes, precision)) == brute_force(codes)


@repeatable
@given(st.data(), st.sampled_from(["int8", "int16"]))
def test_merging_is_the_moments_of_all(data, precision):
    channels, blocks = 2, data.draw(st.lists(st.integers(1, 40), min_size=2, max_size=4))
    parts = [data.draw(arrays(precision, (channels, 1, n))) for n in blocks]
    whole = plain(of(np.concatenate(parts, axis=2), precision))
    moments = [of(part, precision) for part in parts]
    for order in (moments, moments[::-1]):
        assert plain(sum(order, Moments.zero(channels))) == whole


@repeatable
@given(codes_arrays(2), st.data())
def test_taking_away_undoes_adding(drawn, data):
    precision, codes = drawn
    other = of(data.draw(arrays(precision, (2, 3, 4))), precision)
    mine = of(codes, precision)
    assert plain((mine + other) - other) == plain(mine)
    assert plain(mine - mine) == plain(Moments.zero(2))


@repeatable
@given(codes_arrays(3))
def test_mean_and_deviation_are_numpys(drawn):
    precision, codes = drawn
    steps = np.array([8.0, 4.0, 1.0], np.float32)
    coefficients = codes.reshape(3, -1) * steps[:, None].astype(np.float64)
    moments = of(codes, precision)
    np.testing.assert_allclose(moments.mean(steps), coefficients.mean(axis=1), atol=1e-9)
    # The variance is a difference of two numbers of the size of the mean square.
    atol = np.sqrt(1e-14 * (coefficients**2).mean(axis=1).max())
    np.testing.assert_allclose(moments.std(steps), coefficients.std(axis=1), rtol=0, atol=atol)


def test_the_moments_of_nothing():
    nothing = Moments.zero(4)
    steps = np.full(4, 8.0)
    assert plain(nothing) == (0, [0] * 4, [0] * 4)
    assert nothing.mean(steps).tolist() == nothing.std(steps).tolist() == [0.0] * 4


def test_equal_codes_have_no_deviation():
    moments = of(np.full((2, 30, 30), -77, np.int8), "int8")
    assert moments.std(np.array([8.0, 4.0])).tolist() == [0.0, 0.0]
    assert moments.mean(np.array([8.0, 4.0])).tolist() == [-616.0, -308.0]
