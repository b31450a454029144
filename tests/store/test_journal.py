"""The journal: what goes in comes out exactly; a torn end is dropped, other damage refused."""

import dataclasses
import json
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import synthetic
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from freqprep.errors import CorruptStoreError
from freqprep.spectrum.channels import CHANNELS
from freqprep.spectrum.moments import Moments
from freqprep.store.journal import Journal, RowResults, ShardResult

COLUMNS = {
    name: (getattr(RowResults.empty(1), name).dtype, getattr(RowResults.empty(1), name).shape[1:])
    for name in (field.name for field in dataclasses.fields(RowResults))
}


@st.composite
def results(draw) -> ShardResult:
    rows = draw(st.integers(1, 4))
    finite = {"elements": st.floats(0, 1e300)}
    columns = {
        name: draw(arrays.arrays(dtype, (rows, *shape), **(finite if dtype == np.float64 else {})))
        for name, (dtype, shape) in COLUMNS.items()
    }
    sums = arrays.arrays(np.int64, CHANNELS)
    texts = st.dictionaries(st.integers(0, 10**6), st.text(max_size=20), max_size=3)
    return ShardResult(
        shard=draw(st.integers(0, 10_000)),
        sha256=draw(st.text("0123456789abcdef", min_size=64, max_size=64)),
        file_bytes=draw(st.integers(0, 2**62)),
        rows=RowResults(**columns),
        moments=Moments(draw(st.integers(0, 2**62)), draw(sums), draw(sums)),
        defects=draw(texts),
        notes=draw(texts),
    )


def same(one: ShardResult, other: ShardResult) -> bool:
    return one.to_json() == other.to_json() and all(
        np.array_equal(getattr(one.rows, name), getattr(other.rows, name))
        and getattr(other.rows, name).dtype == dtype
        for name, (dtype, _) in COLUMNS.items()
    )


def example(shard: int) -> ShardResult:
    return ShardResult(shard, "0" * 64, 10, RowResults.empty(3), Moments.zero(CHANNELS))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(results(), max_size=4, unique_by=lambda result: result.shard))
def test_what_is_appended_is_read_back_exactly(wanted):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "journal.jsonl")
        with Journal(path, ShardResult) as journal:
            assert not journal.finished
            for result in wanted:
                journal.append(result)
                with Journal(path, ShardResult) as again:  # each line is whole at once
                    assert result.shard in again.finished
        with Journal(path, ShardResult) as journal:
            assert list(journal.finished) == [result.shard for result in wanted]
            assert all(same(journal.finished[result.shard], result) for result in wanted)


@pytest.fixture
def written(tmp_path) -> Path:
    with Journal(tmp_path / "journal.jsonl", ShardResult) as journal:
        for shard in range(3):
            journal.append(example(shard))
    return tmp_path / "journal.jsonl"


def test_a_torn_last_line_is_dropped_and_written_over(written):
    whole = written.read_bytes()
    lines = whole.splitlines(keepends=True)
    last = len(lines[2])
    for kept in (0, 1, last // 2, last - 1):
        written.write_bytes(b"".join(lines[:2]) + lines[2][:kept])
        with Journal(written, ShardResult) as journal:
            assert list(journal.finished) == [0, 1]
            journal.append(example(2))
        assert written.read_bytes() == whole


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_a_flipped_bit_never_gives_another_entry(data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "journal.jsonl")
        with Journal(path, ShardResult) as journal:
            for shard in range(3):
                journal.append(example(shard))
        synthetic.flip(path, data.draw(st.integers(0, 8 * path.stat().st_size - 1)))
        try:
            with Journal(path, ShardResult) as journal:
                finished = journal.finished
        except CorruptStoreError:
            return
        assert list(finished) == [0, 1]  # the torn end is made again
        assert all(same(result, example(shard)) for shard, result in finished.items())


@pytest.mark.parametrize("line", [b"{}", b"", b"[]", b"null", b"\xff", b'{"shard": 1', b"1" * 5000])
@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("checked", [False, True])
def test_a_damaged_line_in_the_middle_is_refused(written, line, place, checked):
    lines = written.read_bytes().splitlines(keepends=True)
    lines[place] = with_checksum(line) if checked else line + b"\n"
    written.write_bytes(b"".join(lines))
    with pytest.raises(CorruptStoreError, match=f"line {place + 1} of the journal"):
        Journal(written, ShardResult)
    assert written.read_bytes() == b"".join(lines)


def with_checksum(data: bytes) -> bytes:
    return b"%08x %s\n" % (zlib.crc32(data), data)


def test_a_line_with_columns_of_another_shape_is_refused(written):
    lines = written.read_bytes().splitlines(keepends=True)
    data = json.loads(lines[0].partition(b" ")[2])
    assert lines[0] == with_checksum(lines[0].partition(b" ")[2].rstrip())
    data["moments"][1] = [1, 2, 3]
    lines[0] = with_checksum(json.dumps(data).encode())
    written.write_bytes(b"".join(lines))
    with pytest.raises(CorruptStoreError):
        Journal(written, ShardResult)


def test_runs_of_rows_put_together_are_the_whole():
    rng = np.random.default_rng(0)
    columns = {
        name: rng.integers(0, 2, (10, *shape)).astype(dtype)
        for name, (dtype, shape) in COLUMNS.items()
    }
    whole = RowResults(**columns)
    parts = [whole.rows(range(0, 4)), whole.rows(range(4, 9)), whole.rows(range(9, 10))]
    again = RowResults.concatenate(parts)
    assert all(np.array_equal(getattr(again, name), columns[name]) for name in COLUMNS)
