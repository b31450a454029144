"""`Ragged`: a list of arrays, stored as two flat arrays."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freqprep.ragged import Ragged

repeatable = settings(derandomize=True, deadline=None, max_examples=100)

byte_rows = st.lists(st.binary(max_size=12), max_size=12)
number_rows = st.lists(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=6), max_size=10)
dtypes = st.sampled_from([np.int32, np.int64, np.float64])


def packed(rows: list[list[int]], dtype: type) -> Ragged:
    flat = np.array([value for row in rows for value in row], dtype)
    return Ragged.of_lengths(flat, [len(row) for row in rows])


@repeatable
@given(byte_rows)
def test_bytes_go_there_and_back(rows):
    ragged = Ragged.of_bytes(rows)
    assert ragged.values.dtype == np.uint8 and ragged.offsets.dtype == np.int64
    assert ragged.offsets[0] == 0 and ragged.offsets[-1] == len(ragged.values)
    assert len(ragged) == len(rows)
    assert [ragged.bytes_at(row) for row in range(len(rows))] == rows
    assert [row.tobytes() for row in ragged] == rows


def test_an_iterator_can_be_packed():
    assert [r.tobytes() for r in Ragged.of_bytes(row for row in (b"a", b"", b"bc"))] == [
        *(b"a", b"", b"bc")
    ]


@repeatable
@given(number_rows, dtypes)
def test_lengths_cut_the_values_into_rows(rows, dtype):
    ragged = packed(rows, dtype)
    assert [row.tolist() for row in ragged] == rows
    for row in range(-len(rows), len(rows)):
        assert ragged[row].tolist() == rows[row]
        assert ragged[row].dtype == dtype


def test_lengths_may_be_an_array():
    ragged = Ragged.of_lengths(np.arange(5), np.array([2, 0, 3]))
    assert [row.tolist() for row in ragged] == [[0, 1], [], [2, 3, 4]]


@pytest.mark.parametrize("lengths", [[], [4], [6], [2, 2], [5, 1]])
def test_lengths_that_do_not_add_up_are_refused(lengths):
    with pytest.raises(ValueError, match="5 values"):
        Ragged.of_lengths(np.arange(5), lengths)


@pytest.mark.parametrize("row", [2, -3, 1000])
def test_a_row_that_does_not_exist_is_refused(row):
    with pytest.raises(IndexError, match=str(row)):
        Ragged.of_bytes([b"a", b"b"])[row]
    with pytest.raises(IndexError):
        Ragged.of_bytes([])[0]


@repeatable
@given(number_rows.filter(bool), dtypes, st.data())
def test_taking_rows_is_choosing_from_the_list(rows, dtype, data):
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=15))
    taken = packed(rows, dtype).take(np.array(chosen, np.int64))
    assert [row.tolist() for row in taken] == [rows[row] for row in chosen]
    assert taken.values.dtype == dtype


@repeatable
@given(byte_rows, st.randoms(use_true_random=False))
def test_a_permutation_and_its_inverse_change_nothing(rows, random):
    order = list(range(len(rows)))
    random.shuffle(order)
    there = Ragged.of_bytes(rows).take(np.array(order, np.int64))
    back = there.take(np.argsort(np.array(order, np.int64)))
    assert [row.tobytes() for row in back] == rows


def test_values_of_any_stride_can_be_taken_from():
    values = np.arange(10, dtype=np.int32)[::2]
    ragged = Ragged.of_lengths(values, [2, 3])
    assert [row.tolist() for row in ragged.take(np.array([1, 0]))] == [[4, 6, 8], [0, 2]]


@repeatable
@given(byte_rows.filter(bool), st.data())
def test_rows_counted_from_the_end_can_be_taken(rows, data):
    places = st.integers(-len(rows), len(rows) - 1)
    chosen = data.draw(st.lists(places, max_size=15))
    taken = Ragged.of_bytes(rows).take(np.array(chosen, np.int64))
    assert [row.tobytes() for row in taken] == [rows[row] for row in chosen]
    assert taken.offsets.dtype == np.int64 and taken.offsets[-1] == len(taken.values)


@pytest.mark.parametrize("row", [3, -4])
def test_a_row_that_does_not_exist_cannot_be_taken(row):
    with pytest.raises(IndexError):
        Ragged.of_bytes([b"a", b"", b"b"]).take(np.array([0, row]))


def test_taking_some_rows_touches_no_others():
    rows = 1_000_000
    ragged = Ragged(np.zeros(3 * rows, np.uint8), np.arange(rows + 1) * 3)
    chosen = np.arange(0, rows, rows // 128)
    tracemalloc.start()
    try:
        taken = ragged.take(chosen)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(taken) == len(chosen) and len(taken.values) == 3 * len(chosen)
    assert most < 1000 * len(chosen)  # an array over all rows takes at least a byte per row


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_taking_many_rows_is_choosing_from_the_list(dtype):
    random = np.random.default_rng(0)
    lengths = random.integers(0, 40, 10_000)
    ragged = Ragged.of_lengths(np.arange(lengths.sum()).astype(dtype), lengths)
    rows = random.integers(-len(lengths), len(lengths), 50_000)
    tracemalloc.start()
    try:
        taken = ragged.take(rows)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(taken) == len(rows) and taken.values.dtype == dtype
    assert np.array_equal(np.diff(taken.offsets), lengths[rows])
    assert np.array_equal(taken.values, np.concatenate([ragged[row] for row in rows]))
    # The copy itself, a handful of numbers a row, and the slices of a few thousand rows.
    assert most < taken.values.nbytes + 6 * 8 * len(rows) + 3_000_000
