"""Whatever ends a conversion into a bucket early, --resume comes to the same objects."""

import itertools
import os
import random
import signal
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import synthetic
from interruptions import under_way, wait_until

import freqprep
from freqprep.errors import StoreError
from freqprep.storage.paths import as_path
from freqprep.store import lease
from freqprep.store.lease import Timing

KEY = "out.zarr"
KILLS = 4
# Most often the whole group, once its head alone: the workers are orphans.
WAYS = [("1", os.killpg), ("2", os.killpg), ("1", os.killpg), ("2", os.kill)]

# A short life of the lease, and a segment of the journal every second shard.
PROGRAM = """
from freqprep.store import lease, object_journal
lease.TIMING = lease.Timing(renewal=0.1, life={life}, look=0.05)
object_journal._MOST_SHARDS = 2
"""


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> Path:
    """As many images as fill 4 shards: fewer than other tests have, for they are made often."""
    return synthetic.image_folder(tmp_path_factory.mktemp("many"), {"train": 400}, corrupt=5)


@pytest.fixture(scope="module")
def expected(many, tmp_path_factory) -> dict[str, bytes]:
    return synthetic.contents(synthetic.make(many, tmp_path_factory.mktemp("whole") / "out.zarr"))


def conversion(
    many: Path, bucket, *options: str, life: float = 0.5
) -> AbstractContextManager[subprocess.Popen]:
    words = ["convert", "imagefolder", many, f"{bucket.url}/{KEY}", "--size", "32", *options]
    return under_way(*words, program=PROGRAM.format(life=life) + synthetic.MAIN)


def wait_for_requests(process: subprocess.Popen, bucket, count: int) -> bool:
    """Wait until the server has answered so many; False where the process ends first."""
    bucket.requests.clear()
    wait_for = len(bucket.requests) + count
    try:
        wait_until(process, lambda: len(bucket.requests) >= wait_for)
    except AssertionError:
        return False
    return True


def was_put(bucket, part: str) -> bool:
    """Whether the server has answered a PUT of such a key: asking it would take its time."""
    return any(line.startswith("PUT ") and part in line for line in list(bucket.requests))


@pytest.mark.long
def test_killed_at_many_moments(many, expected, bucket):
    dice, ways = random.Random(0), itertools.cycle(WAYS)
    kills = 0
    while kills < KILLS:
        options: list[str] = []
        killed = True
        while killed:
            jobs, kill = next(ways)
            with conversion(many, bucket, "--jobs", jobs, *options) as process:
                if wait_for_requests(process, bucket, dice.randrange(1, 120)):
                    kill(process.pid, signal.SIGKILL)
                    kills += 1
                _, errors = process.communicate()
            killed = process.returncode == -signal.SIGKILL
            # Exit code 3: finished, with rejected images.
            assert killed or process.returncode == 3, errors
            check_whole_or_absent(bucket, expected)
            options = ["--resume"]
        assert bucket.contents(KEY) == expected
        assert not [key for key in bucket.keys("") if ".lock" in key]
        for key in bucket.keys(""):
            bucket.delete(key)


def check_whole_or_absent(bucket, expected: dict[str, bytes]) -> None:
    try:
        splits = freqprep.open_store(as_path(f"{bucket.url}/{KEY}"))
    except StoreError:  # not even a root yet
        return
    if list(splits):
        found = bucket.contents(KEY)
        assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("jobs", "deliver", "send"), [("1", os.killpg, signal.SIGINT), ("2", os.kill, signal.SIGTERM)]
)
def test_an_interrupt_is_exit_130_and_loses_nothing(many, expected, bucket, jobs, deliver, send):
    bucket.requests.clear()
    with conversion(many, bucket, "--jobs", jobs) as process:
        wait_until(process, lambda: was_put(bucket, "/coefficients/c/"))
        # A terminal's Ctrl-C reaches the whole group.
        deliver(process.pid, send)
        output, errors = process.communicate()
    assert process.returncode == 130, errors
    assert "--resume" in errors and "Traceback" not in errors
    assert output == ""
    assert not [key for key in bucket.keys("") if ".lock" in key or "/run-" in key]
    synthetic.make(many, as_path(f"{bucket.url}/{KEY}"), resume=True)
    assert bucket.contents(KEY) == expected


def test_two_at_once_one_stops_and_names_the_other(many, expected, bucket):
    bucket.requests.clear()
    with conversion(many, bucket, "--jobs", "1", life=600) as first:
        wait_until(first, lambda: was_put(bucket, f"/{KEY}.lock"))
        first.send_signal(signal.SIGSTOP)  # it goes on only once the second looks
        with conversion(many, bucket, "--jobs", "1", life=600) as second:
            bucket.requests.clear()
            looks = f"GET /{bucket.name}/{KEY}.lock"
            wait_until(second, lambda: bucket.requests.count(looks) > 1)
            first.send_signal(signal.SIGCONT)
            _, errors = second.communicate()
        assert second.returncode == 1, errors
        assert f"another command is writing to {bucket.url}/{KEY} (process {first.pid} on" in errors
        _, errors = first.communicate()
    assert first.returncode == 3, errors
    assert bucket.contents(KEY) == expected


def test_one_that_slept_through_its_lease_writes_nothing_more(many, bucket, monkeypatch):
    with conversion(many, bucket, "--jobs", "1") as asleep:
        plan = f"PUT /{bucket.name}/{KEY}/.partial-train/plan.json"
        wait_until(asleep, lambda: plan in bucket.requests)
        asleep.send_signal(signal.SIGSTOP)
        monkeypatch.setattr(lease, "TIMING", Timing(life=1.0, look=0.05))
        synthetic.make(many, as_path(f"{bucket.url}/{KEY}"), size=24, overwrite=True)
        theirs = bucket.contents(KEY)
        asleep.send_signal(signal.SIGCONT)
        _, errors = asleep.communicate()
    assert asleep.returncode == 1, errors
    assert "was removed; run again with --resume" in errors and "Traceback" not in errors
    assert bucket.contents(KEY) == theirs
