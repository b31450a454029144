"""A command ends soon after an error or Ctrl-C, though its bucket's server has gone silent."""

import hashlib
import signal
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace

import pytest
import synthetic
from interruptions import under_way, wait_until
from slow_server import Fault

from freqprep.storage.paths import as_path
from freqprep.store import cleanup, lease
from freqprep.store.lease import Timing
from freqprep.store.lock import store_lock

KEY = "silent/out.zarr"
LONG = 60
"""Seconds in which a command ends that, left alone, would wait for minutes."""

PROGRAM = """
from freqprep.store import cleanup
cleanup.SECONDS = {seconds}
"""


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> Path:
    """As many images as fill 3 shards."""
    return synthetic.image_folder(tmp_path_factory.mktemp("many"), {"train": 300}, corrupt=5)


@pytest.fixture
def place(slow_server):
    path = as_path(f"s3://slow/{KEY}")
    yield path
    slow_server.behave()
    path.parent.delete_below()


def stored(slow_server) -> dict[str, str]:
    found = slow_server.objects().items()
    prefix = f"{KEY}/"
    return {key.removeprefix(prefix): md5 for key, md5 in found if key.startswith(prefix)}


def conversion(many: Path, place, seconds: float) -> AbstractContextManager[subprocess.Popen]:
    words = ["convert", "imagefolder", many, str(place), "--size", "32", "--jobs", "1"]
    return under_way(*words, program=PROGRAM.format(seconds=seconds) + synthetic.MAIN)


def wait_for_a_put(process: subprocess.Popen, server) -> None:
    server.counts()
    wait_until(process, lambda: server.counts().requests.get("PUT", 0) > 0)


def fall_silent_while_a_shard_is_put(process: subprocess.Popen, server) -> None:
    server.behave(Fault("stall", key="coefficients/c/1"))
    wait_until(process, lambda: any("coefficients/c/0" in key for key in stored(server)))
    wait_until(process, lambda: any("coefficients/c/1" in key for key in stored(server)))
    server.behave(Fault("stall"))


def test_ctrl_c_says_what_is_left_and_resume_goes_on(many, place, slow_server, monkeypatch):
    with conversion(many, place, seconds=0.5) as process:
        fall_silent_while_a_shard_is_put(process, slow_server)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=LONG)
    assert process.returncode == 130 and output == "", errors
    (line,) = (line for line in errors.splitlines() if "does not answer" in line)
    assert "not recorded, to be made again: 1 shard; --resume" in line
    assert "the lease has ended by itself" in line and "Traceback" not in errors
    slow_server.behave()
    monkeypatch.setattr(lease, "TIMING", Timing(life=0.5, look=0.05))
    synthetic.make(many, place, resume=True)
    local = synthetic.contents(synthetic.make(many, many / "local.zarr"))
    assert stored(slow_server) == {
        name: hashlib.md5(data).hexdigest() for name, data in local.items()
    }


def test_a_second_ctrl_c_ends_at_once(many, place, slow_server):
    with conversion(many, place, seconds=1000) as process:
        fall_silent_while_a_shard_is_put(process, slow_server)
        process.send_signal(signal.SIGINT)
        wait_for_a_put(process, slow_server)  # of the lease, before the journal
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=LONG)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors and "does not answer" not in errors


def test_an_error_passes_and_what_is_left_is_said_once(place, slow_server, monkeypatch):
    said: list[str] = []
    monkeypatch.setattr(cleanup, "say", said.append)
    monkeypatch.setattr(cleanup, "SECONDS", 0.2)
    with pytest.raises(KeyError, match="our own"), store_lock(place):
        slow_server.behave(Fault("stall"))
        raise KeyError("our own")
    assert len(said) == 1 and f"{place}.lock stays; --resume" in said[0]


def test_the_requests_after_one_error_share_its_time(monkeypatch):
    clock = iter([100.0, 107.9, 108.0])
    monkeypatch.setattr(cleanup, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    made: list[int] = []
    error = KeyError()
    for number in range(3):
        cleanup.clean_up(error, lambda number=number: made.append(number), "nothing")
    assert made == [0, 1]
