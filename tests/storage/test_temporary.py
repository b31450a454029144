"""What killed processes have left in TMPDIR and shared memory is removed by the next, no more."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from freqprep.storage import temporary

HOLD = """
import sys
from freqprep.storage import temporary
temporary._SHARED_MEMORY = __import__("pathlib").Path(sys.argv[1])
if len(sys.argv) > 2:
    temporary.note_segments("sem.loky-1-*")
    print("held", flush=True)
    sys.stdin.read()
with temporary.temporary_folder() as folder:
    (folder / "large").write_bytes(bytes(1000))
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def tmp(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(temporary.tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def memory(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "shm"
    folder.mkdir()
    monkeypatch.setattr(temporary, "_SHARED_MEMORY", folder)
    return folder


def held(memory: Path, *words: str) -> subprocess.Popen[bytes]:
    line = [sys.executable, "-c", HOLD, str(memory), *words]
    process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    return process


def sweep() -> None:
    temporary.remove_abandoned.__wrapped__()


def test_a_folder_is_there_during_the_block_and_empty_at_its_start(tmp):
    with temporary.temporary_folder() as folder:
        assert folder.is_relative_to(tmp) and os.listdir(folder) == []
        (folder / "file").write_bytes(b"1")
        sweep()
        assert (folder / "file").is_file()
    assert os.listdir(tmp) == []


def test_what_a_killed_process_has_left_is_removed_what_a_live_one_has_is_not(tmp, memory):
    with held(memory) as live, held(memory) as dead:
        dead.send_signal(signal.SIGKILL)
        dead.wait()
        assert len(os.listdir(tmp)) == 2
        sweep()
        (left,) = os.listdir(tmp)
        assert (tmp / left / "files/large").is_file()
        live.communicate()
    assert os.listdir(tmp) == []


@pytest.mark.parametrize("killed", [True, False])
def test_shared_memory_of_a_killed_process_is_removed_by_its_names(tmp, memory, killed):
    noted, others = ("sem.loky-1-aa", "sem.loky-1-bb"), ("sem.loky-2-aa", "mine")
    for name in (*noted, *others):
        (memory / name).touch()
    with held(memory, "note") as process:
        (memory / "sem.loky-1-later").touch()  # of the next process of that number
        if killed:
            process.send_signal(signal.SIGKILL)
            process.wait()
        sweep()
        left = {*others, "sem.loky-1-later", *(() if killed else noted)}
        assert set(os.listdir(memory)) == left
        process.communicate()
    sweep()
    assert os.listdir(tmp) == []


def test_only_folders_of_this_kind_are_removed(tmp, memory):
    (tmp / "freqprep-results").mkdir()
    (tmp / "freqprep-results/out.json").touch()
    elsewhere = tmp.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "in-use").touch()
    (tmp / "freqprep-link").symlink_to(elsewhere)
    left = tmp / "freqprep-left"
    left.mkdir()
    (left / "in-use").touch()
    (left / "segments").write_text("../elsewhere/in-use\nmine")
    (memory / "mine").touch()
    sweep()
    assert sorted(os.listdir(tmp)) == ["freqprep-link", "freqprep-results"]
    assert os.listdir(elsewhere) == ["in-use"] and os.listdir(memory) == ["mine"]


@pytest.mark.parametrize("stage", ["a folder", "and its lock", "and what uses it"])
def test_what_a_kill_left_before_the_lock_is_removed_a_day_later(tmp, monkeypatch, stage):
    class Killed(BaseException):
        pass

    def kill(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        module, name = (temporary.os, "open") if stage == "a folder" else (temporary.fcntl, "flock")
        patch.setattr(module, name, kill)
        with pytest.raises(Killed):
            temporary._make()
    (folder,) = tmp.iterdir()
    if stage == "and what uses it":  # as where a file system has no locks
        (folder / "files").mkdir()
    sweep()
    assert folder.exists()
    os.utime(folder, (0, 0))
    sweep()
    assert folder.exists() == (stage == "and what uses it")


def test_an_empty_folder_of_another_name_is_left_alone(tmp):
    others = [tmp / name for name in ("freqprep-output", "freqprep-a-folder")]
    for folder in others:
        folder.mkdir()
        os.utime(folder, (0, 0))
    sweep()
    assert all(folder.exists() for folder in others)
