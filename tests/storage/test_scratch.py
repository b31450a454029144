"""Arrays that were appended to are read, whether it lies in memory or in a file."""

import os
import tempfile

import numpy as np
import pytest

from freqprep.errors import DiskFullError
from freqprep.ragged import Ragged
from freqprep.storage import scratch
from freqprep.storage.scratch import Scratch, ScratchRagged, each, joined


@pytest.fixture(params=[1, 2**24])
def limit(request, monkeypatch, tmp_path):
    monkeypatch.setattr(scratch, "IN_MEMORY", request.param)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield request.param
    assert not list(tmp_path.iterdir())  # no file has a name


def test_arrays_are_joined(limit):
    parts = [np.arange(5), np.empty(0, int), np.arange(7, 2000)]
    whole = joined(iter(parts), np.int64)
    assert np.array_equal(whole, np.concatenate(parts))
    assert not whole.flags.writeable
    assert len(joined([], np.int64)) == 0
    again = each(iter(parts), np.int64)
    assert [part.tolist() for part in again] == [part.tolist() for part in parts]
    assert list(each([], np.int64)) == []


def test_ragged_rows_are_joined(limit):
    rows = [b"a", b"", b"ccc", b"dd"]
    written = ScratchRagged()
    for part in (rows[:2], [], rows[2:]):
        written.append(Ragged.of_bytes(part))
    found = written.finished()
    assert [row.tobytes() for row in found] == rows
    assert len(ScratchRagged().finished()) == 0


def test_a_large_one_is_a_file_that_is_gone_with_it(monkeypatch):
    monkeypatch.setattr(scratch, "IN_MEMORY", 10)
    before = os.listdir("/proc/self/fd")
    kept = joined([np.arange(100)], np.int64)
    assert len(os.listdir("/proc/self/fd")) == len(before) + 1
    del kept
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_a_full_disk_is_named(monkeypatch):
    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(scratch.tempfile.SpooledTemporaryFile, "write", full)
    with pytest.raises(DiskFullError, match="No space left"):
        Scratch().write(b"abc")
