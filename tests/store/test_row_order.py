"""Orders of rows: every image once, by NumPy's frozen generator; runs mixed in windows."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freqprep.errors import UsageError
from freqprep.store.row_order import (
    LARGEST_SEED,
    WINDOW_ROWS,
    PermutedRows,
    PermutedRuns,
    order_problem,
    permutation,
)
from freqprep.store.schema import ROWS_PER_SHARD


def permuted_runs(runs: np.ndarray, seed: int) -> np.ndarray:
    order = PermutedRuns(runs, seed)
    return order.take(range(len(order)))


def by_hand(runs: list[int], seed: int) -> list[int]:
    """The rule ``runs``, in plain words."""
    starts = np.concatenate([[0], np.cumsum(runs)])
    images: list[int] = []
    for run in np.random.RandomState(seed).permutation(len(runs)):
        images.extend(range(starts[run], starts[run + 1]))
    rows = []
    for window in range(-(-len(images) // WINDOW_ROWS)):
        mine = images[window * WINDOW_ROWS : (window + 1) * WINDOW_ROWS]
        order = np.random.RandomState([seed, window]).permutation(len(mine))
        rows.extend(mine[index] for index in order)
    return rows


def test_the_permutation_is_numpys_frozen_generator():
    assert permutation(10, 0).tolist() == [2, 8, 4, 9, 1, 6, 7, 3, 0, 5]
    assert permutation(10, 1).tolist() == [2, 9, 6, 4, 0, 3, 1, 7, 8, 5]
    assert sorted(permutation(1000, LARGEST_SEED)) == list(range(1000))


def test_the_rule_of_runs_is_frozen():
    """These numbers must never change: stores made so long ago follow them."""
    few = permuted_runs(np.array([4, 1, 0, 5, 3]), 0)
    assert few.tolist() == [10, 7, 2, 6, 4, 0, 3, 12, 1, 8, 11, 5, 9]
    many = permuted_runs(np.full(500, 100), 7)
    assert many[:5].tolist() == [9053, 24562, 32699, 8474, 29565]
    assert many[2 * WINDOW_ROWS :][:5].tolist() == [12188, 32383, 44801, 39646, 7217]
    assert (
        hashlib.sha256(many.astype("<i8").tobytes()).hexdigest()
        == "50e69512ed4feb14f166aac5d7d69a5f35efacf50753c669b3c610864ba18fb1"
    )


@settings(max_examples=20, derandomize=True)
@given(st.lists(st.integers(0, 9000), min_size=1, max_size=8), st.integers(0, LARGEST_SEED))
def test_runs_are_mixed_as_the_words_say(runs, seed):
    rows = permuted_runs(np.array(runs), seed)
    assert rows.tolist() == by_hand(runs, seed)
    assert rows.dtype == np.int64
    assert order_problem([rows], len(rows), seed, WINDOW_ROWS) == ""


@settings(max_examples=30, derandomize=True)
@given(st.lists(st.integers(0, 9000), min_size=1, max_size=8), st.data())
def test_any_rows_are_taken_as_from_all(runs, data):
    for order in (PermutedRuns(np.array(runs), 3), PermutedRows(sum(runs), 3)):
        every = order.take(np.arange(len(order)))
        assert sorted(every.tolist()) == list(range(sum(runs)))
        if len(order):
            numbers = st.integers(0, len(order) - 1)
            some = np.array(data.draw(st.lists(numbers, max_size=40)), np.int64)
            assert np.array_equal(order.take(some), every[some])
            first, last = sorted(data.draw(st.tuples(numbers, numbers)))
            assert np.array_equal(order.take(range(first, last)), every[first:last])


def test_a_window_is_whole_shards_and_the_rows_of_few_runs():
    assert WINDOW_ROWS % ROWS_PER_SHARD == 0
    rows = permuted_runs(np.full(1000, 100), 0)
    for begin in range(0, len(rows), WINDOW_ROWS):
        window = rows[begin : begin + WINDOW_ROWS]
        assert len(np.unique(window // 100)) <= len(window) // 100 + 2


@pytest.mark.parametrize("seed", [-1, LARGEST_SEED + 1])
def test_other_seeds_are_refused(seed):
    for order in (lambda: permutation(10, seed), lambda: permuted_runs(np.array([10]), seed)):
        with pytest.raises(UsageError, match=str(seed)):
            order()


def problem(rows: np.ndarray, seed: int, window: int | None) -> str:
    return order_problem([rows[:9], rows[9:]], 300, seed, window)


def test_rows_that_cannot_be_of_the_rule_are_found():
    rows = permutation(300, 5)
    assert problem(rows, 5, None) == problem(rows, 5, WINDOW_ROWS) == ""
    assert "permutation of the seed" in problem(rows, 6, None)
    rows[0] = rows[1]
    assert "once" in problem(rows, 5, WINDOW_ROWS)
    rows[0] = 300
    assert "once" in problem(rows, 5, WINDOW_ROWS)
