"""Random numbers are a function of seed, epoch, row and purpose, and look like chance."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from freqprep.augment.randomness import uniforms
from freqprep.errors import UsageError

numbers = st.integers(0, 2**62)


@given(numbers, numbers, st.lists(numbers, min_size=1, max_size=20), st.integers(1, 30), numbers)
def test_a_row_has_its_numbers_in_any_batch(seed, epoch, rows, draws, stream):
    together = uniforms(seed, epoch, np.array(rows), draws, stream)
    alone = [uniforms(seed, epoch, np.array([row]), draws + 3, stream)[0, :draws] for row in rows]
    np.testing.assert_array_equal(together, alone)
    assert together.min() >= 0 and together.max() < 1


def test_the_numbers_are_these():
    # A run that is resumed after an update must not see other crops.
    found = uniforms(1, 2, np.array([3, 2**40]), 2, 4)
    expected = [
        [0.8814579514998392, 0.19729427138455824],
        [0.42285689069881227, 0.9625576843024588],
    ]
    np.testing.assert_array_equal(found, expected)


def test_they_are_uniform():
    draws = uniforms(0, 0, np.arange(20_000), 5)
    for column in draws.T:
        assert stats.kstest(column, "uniform").pvalue > 1e-3
    counts = np.histogram(draws, bins=1000, range=(0, 1))[0]
    assert stats.chisquare(counts).pvalue > 1e-3


def test_rows_draws_epochs_seeds_and_streams_are_independent():
    rows = np.arange(20_000)
    base = uniforms(7, 5, rows, 3)
    others = {
        "the next draw": base[:, 1],
        "the next row": np.roll(base[:, 0], 1),
        "the next epoch": uniforms(7, 6, rows, 1)[:, 0],
        "the next seed": uniforms(8, 5, rows, 1)[:, 0],
        "the next stream": uniforms(7, 5, rows, 1, 1)[:, 0],
        "seed and epoch swapped": uniforms(5, 7, rows, 1)[:, 0],
    }
    for what, other in others.items():
        cells, *_ = np.histogram2d(base[:, 0], other, bins=20, range=[(0, 1), (0, 1)])
        assert stats.chisquare(cells.ravel()).pvalue > 1e-3, what
        assert not np.isin(base[:, 0], other).any() or what == "the next row"


def test_one_bit_of_the_row_changes_half_the_bits():
    rows = np.arange(2000)
    bits = np.zeros(52)
    for bit in range(20):
        pair = (uniforms(0, 0, part, 1)[:, 0] * 2**52 for part in (rows, rows ^ (1 << bit)))
        one, other = (part.astype(np.uint64) for part in pair)
        flipped = np.unpackbits(
            (one ^ other).view(np.uint8).reshape(-1, 8), axis=1, bitorder="little"
        )
        bits += flipped[:, :52].mean(axis=0) / 20
    assert abs(bits - 0.5).max() < 0.02


@pytest.mark.parametrize(("seed", "epoch", "row"), [(-1, 0, 0), (0, -1, 0), (0, 0, -1)])
def test_negative_numbers_are_refused(seed, epoch, row):
    with pytest.raises(UsageError, match="must be at least 0, got -1"):
        uniforms(seed, epoch, np.array([row]), 1)
