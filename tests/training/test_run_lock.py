"""One training at a time writes to a run's folder."""

import dataclasses
import errno
import fcntl
import os

import pytest

from freqprep.errors import RunError, UsageError
from freqprep.training import planning, run_lock
from freqprep.training.loop import train
from freqprep.training.run_lock import LOCK


def test_a_second_training_is_refused_and_touches_nothing(tiny):
    request = dataclasses.replace(tiny(), resume=True)
    with run_lock.run_lock(request.run):
        aside = request.run / ".writing-checkpoint.pt-abc"  # of the first, which it is renaming
        aside.write_bytes(b"half")
        holder = f"process {os.getpid()} on "
        with pytest.raises(RunError, match=f"is writing to .*/run .{holder}.*wait for it, or stop"):
            train(request)
        assert {path.name for path in request.run.iterdir()} == {LOCK, aside.name}
    assert {path.name for path in request.run.iterdir()} == {aside.name}


def test_the_lock_that_a_killed_training_left_locks_nothing(tmp_path):
    (tmp_path / LOCK).write_text("process 1 on elsewhere\n")
    with run_lock.run_lock(tmp_path):
        assert (tmp_path / LOCK).read_text().startswith(f"process {os.getpid()} on ")
    assert not (tmp_path / LOCK).exists()


def test_a_file_that_is_no_lock_is_kept(tmp_path):
    (tmp_path / LOCK).write_text("mine")
    with pytest.raises(UsageError, match="is not a lock of freqprep"), run_lock.run_lock(tmp_path):
        pass
    assert (tmp_path / LOCK).read_text() == "mine"


def test_without_locks_a_note_says_so(tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO", "freqprep")

    def flock(*_: int) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", flock)
    with run_lock.run_lock(tmp_path / "run"):
        assert "without locks: begin no second training" in caplog.text
    assert not (tmp_path / "run").exists()  # it was made for the lock alone


def test_what_another_training_ended_before_the_lock_is_not_begun_again(tiny):
    request = tiny()
    planned = planning.plan(request)
    request.run.mkdir()
    planning.check_unchanged(request, planned)
    (request.run / "checkpoint.pt").write_bytes(b"of another command")
    with pytest.raises(RunError, match=r"has just trained in .*--resume"):
        planning.check_unchanged(request, planned)
