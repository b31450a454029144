"""CSV files: what was given is what the csv module reads back."""

import csv
import math
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from freqprep.errors import UsageError
from freqprep.training.csv_file import check_csv, write_csv

HOSTILE = [
    "=1+1", "+cmd|' /C calc'!A0", "-1", "@SUM(A1)", "a,b", 'say "x"', "two\nlines", "\r", "\r\n",
    "\ttab", "", " ", "\udcff.jpg", "\u754c", "\0", "'", "\ufeff", ",", '"', "\u2028",
]  # fmt: skip


def read(path):
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.reader(file))


def test_hostile_text_round_trips(tmp_path):
    path = tmp_path / "a.csv"
    write_csv(path, HOSTILE, [[text, 1, None] for text in HOSTILE])
    assert read(path) == [HOSTILE, *([text, "1", ""] for text in HOSTILE)]
    assert os.listdir(tmp_path) == ["a.csv"]


def test_half_of_a_pair_from_json_is_kept(tmp_path):
    write_csv(tmp_path / "a.csv", ["a"], [["\ud800x"]])
    with open(tmp_path / "a.csv", newline="", encoding="utf-8", errors="surrogatepass") as file:
        assert list(csv.reader(file)) == [["a"], ["\ud800x"]]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.lists(st.tuples(st.binary(max_size=9), st.text(max_size=9), st.floats(), st.integers())))
def test_anything_round_trips(tmp_path, rows):
    path = tmp_path / "a.csv"
    given_rows = [(os.fsdecode(raw), text, number, whole) for raw, text, number, whole in rows]
    write_csv(path, ["raw", "text", "number", "whole"], given_rows)
    for (raw, text, number, whole), found in zip(given_rows, read(path)[1:], strict=True):
        assert found[:2] == [raw, text] and int(found[3]) == whole
        assert float(found[2]) == number or math.isnan(number)


@pytest.mark.parametrize("name", ["a", "a.txt", "a.csv.gz", ".csv"])
def test_another_ending_is_refused(tmp_path, name):
    with pytest.raises(UsageError, match=r"end it in \.csv"):
        check_csv(tmp_path / name)
    check_csv(tmp_path / "a.CSV")
    check_csv(None)
