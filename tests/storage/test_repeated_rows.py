"""Rows that are there twice are found, however they are told apart."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freqprep.ragged import Ragged
from freqprep.storage import repeated_rows
from freqprep.storage.repeated_rows import first_repeated


def in_blocks(rows: list[bytes], length: int):
    return lambda: (Ragged.of_bytes(rows[n : n + length]) for n in range(0, len(rows), length))


def by_hand(rows: list[bytes]) -> bytes | None:
    return next((row for n, row in enumerate(rows) if row in rows[:n]), None)


@settings(max_examples=150, derandomize=True)
@given(st.lists(st.binary(max_size=20), max_size=60), st.integers(1, 9))
def test_the_first_repeated_row_is_found(rows, length):
    assert first_repeated(in_blocks(rows, length), len(rows)) == by_hand(rows)


@pytest.mark.parametrize("limit", [10, 10**6])
@pytest.mark.parametrize("twice", [None, 0, 1500, 2998])
def test_many_are_spread_over_files(monkeypatch, limit, twice):
    monkeypatch.setattr(repeated_rows, "_IN_MEMORY", limit)
    rows = [b"class/%d" % number for number in range(3000)]
    if twice is not None:
        rows[-1] = rows[twice]
    found = first_repeated(in_blocks(rows, 1000), len(rows))
    assert found == (None if twice is None else rows[twice])


@pytest.mark.parametrize("limit", [10, 10**6])
def test_rows_whose_hashes_meet_are_compared(monkeypatch, limit):
    monkeypatch.setattr(repeated_rows, "_IN_MEMORY", limit)
    monkeypatch.setattr(repeated_rows, "_MEETING", 2)
    monkeypatch.setattr(
        repeated_rows, "_hashes", lambda rows, _: np.diff(rows.offsets).astype(np.uint64)
    )
    rows = [b"a" * (n // 2) + b"%d" % (n % 2) for n in range(100)]
    assert first_repeated(in_blocks(rows, 7), len(rows)) is None
    assert first_repeated(in_blocks([*rows, rows[40]], 7), 101) == rows[40]


def test_long_rows_are_told_apart():
    rows = [b"x" * 5000 + b"%d" % n for n in range(50)]
    assert first_repeated(in_blocks(rows, 8), 50) is None
    assert first_repeated(in_blocks([*rows, rows[3]], 8), 51) == rows[3]


def test_hashes_of_similar_rows_differ():
    rows = Ragged.of_bytes(b"n01440764/n01440764_%08d.JPEG" % n for n in range(200_000))
    hashes = repeated_rows._hashes(rows, np.uint64(0x9E3779B97F4A7C15))
    assert len(np.unique(hashes)) == len(rows)
    assert np.unique(hashes >> np.uint64(56), return_counts=True)[1].min() > 600  # of 781
