"""Whatever ends a conversion early, --resume comes to the store that was never interrupted."""

import itertools
import json
import os
import random
import shutil
import signal
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path

import psutil
import pytest
import synthetic
from interruptions import (
    journal_lines,
    leave_no_room,
    under_way,
    wait_for_a_shard,
    wait_for_changes,
    wait_until,
)

import freqprep
from freqprep.convert.run import Request, convert
from freqprep.errors import DiskFullError, StoreLockedError
from freqprep.store.lock import store_lock

pytestmark = pytest.mark.long

KILLS = 4
# Most often the whole group, once its head alone: the workers are orphans.
WAYS = [(1, os.killpg), (2, os.killpg), (1, os.killpg), (2, os.kill)]


def conversion(
    many: Path, store: Path, jobs: int, *options: str
) -> AbstractContextManager[subprocess.Popen]:
    """A conversion under way."""
    words = ["convert", "imagefolder", many, store, "--size", "32", "--jobs", str(jobs)]
    return under_way(*words, *options)


def resume(many: Path, store: Path) -> None:
    synthetic.make(many, store, resume=True)


def test_killed_many_times_at_random_moments(many, expected, tmp_path):
    dice, ways = random.Random(0), itertools.cycle(WAYS)
    kills = number = 0
    while kills < KILLS:
        store = tmp_path / f"{number}.zarr"
        number += 1
        options: list[str] = []
        whole = False
        while not whole:
            jobs, kill = next(ways)
            with conversion(many, store, jobs, *options) as process:
                if wait_for_changes(process, store / ".partial-train", dice.randrange(1, 30)):
                    kill(process.pid, signal.SIGKILL)
                    kills += 1
                _, errors = process.communicate()
            whole = process.returncode != -signal.SIGKILL
            if whole:
                # Exit code 3: finished, with rejected images.
                assert process.returncode == 3, errors
            elif (store / "zarr.json").is_file():
                assert all(len(split) == 520 for split in freqprep.open_store(store).values())
            options = ["--resume"]
        assert synthetic.contents(store) == expected
        assert not list(store.glob(".*"))
        shutil.rmtree(store)


@pytest.mark.parametrize(
    ("jobs", "deliver", "send"),
    [
        (1, os.killpg, signal.SIGINT),
        (2, os.killpg, signal.SIGINT),
        (1, os.kill, signal.SIGTERM),
        (2, os.kill, signal.SIGTERM),
        (2, os.killpg, signal.SIGTERM),
    ],
)
def test_an_interrupt_is_exit_130_and_resumable(many, expected, tmp_path, jobs, deliver, send):
    store = tmp_path / "out.zarr"
    with conversion(many, store, jobs) as process:
        wait_until(process, (store / ".partial-train/plan.json").exists)
        if send == signal.SIGTERM:  # else already while the workers start
            wait_for_a_shard(process, store)
        # A terminal's Ctrl-C reaches the whole group, a batch system's SIGTERM often does.
        deliver(process.pid, send)
        output, errors = process.communicate()
    assert process.returncode == 130, errors
    assert "--resume" in errors and "Traceback" not in errors
    assert output == ""
    assert not list(freqprep.open_store(store))
    assert not list((store / ".partial-train").glob("tmp-*"))
    assert [line for line in errors.splitlines() if line.startswith("  ")] == []
    assert not store.with_name("out.zarr.lock").exists()
    resume(many, store)
    assert synthetic.contents(store) == expected


def test_a_killed_worker_is_an_error_at_once(many, expected, tmp_path):
    store = tmp_path / "out.zarr"
    with conversion(many, store, 2) as process:
        wait_for_a_shard(process, store)
        workers = [
            child
            for child in psutil.Process(process.pid).children(recursive=True)
            if "loky" in " ".join(child.cmdline()) and "tracker" not in " ".join(child.cmdline())
        ]
        assert workers
        workers[0].kill()
        _, errors = process.communicate(timeout=300)
    assert process.returncode == 1, errors
    assert "a worker process was killed" in errors and "--resume" in errors
    assert "Traceback" not in errors
    resume(many, store)
    assert synthetic.contents(store) == expected


def test_workers_do_not_outlive_a_killed_head(many, tmp_path):
    store = tmp_path / "out.zarr"
    with conversion(many, store, 2) as process:
        wait_for_a_shard(process, store)
        workers = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    _, alive = psutil.wait_procs(workers, timeout=300)
    assert not alive


def test_a_second_writer_is_refused(source, tmp_path):
    store = tmp_path / "out.zarr"
    request = Request("imagefolder", source, store, size=32, jobs=1)
    with store_lock(store), pytest.raises(StoreLockedError, match=str(os.getpid())):
        convert(request)
    assert not store.exists()
    assert set(convert(request)) == {"train", "val"}
    assert not (tmp_path / "out.zarr.lock").exists()


def test_the_lock_file_of_a_dead_writer_does_not_block(source, tmp_path):
    store = tmp_path / "out.zarr"
    (tmp_path / "out.zarr.lock").write_text("process 1 on another machine\n")
    assert set(convert(Request("imagefolder", source, store, size=32, jobs=1))) == {"train", "val"}


def test_a_file_that_only_has_the_locks_name_is_left_alone(source, tmp_path):
    lock = tmp_path / "uv.lock"
    lock.write_text("version = 1\n")
    with pytest.raises(ValueError, match="not a lock"):
        convert(Request("imagefolder", source, tmp_path / "uv", size=32, jobs=1))
    assert lock.read_text() == "version = 1\n"
    assert os.listdir(tmp_path) == ["uv.lock"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_no_room_for_a_shard_is_named_and_resumable(many, expected, tmp_path, jobs):
    store = tmp_path / "out.zarr"
    with conversion(many, store, jobs) as process:
        wait_for_a_shard(process, store)
        leave_no_room(process)
        _, errors = process.communicate()
    assert process.returncode == 1, errors
    assert "MB free" in errors and "--resume" in errors and "Traceback" not in errors
    assert not list(freqprep.open_store(store))
    resume(many, store)
    assert synthetic.contents(store) == expected


@pytest.mark.parametrize("stage", ["root", "plan", "journal", "arrays"])
def test_no_room_at_any_stage_is_named_and_resumable(many, expected, tmp_path, monkeypatch, stage):
    store = tmp_path / "out.zarr"
    full = OSError(28, "No space left on device")
    names = {
        "root": "freqprep.store.root.sync_file",
        "plan": "freqprep.convert.run.save_plan",
        "journal": "freqprep.store.journal.Journal.append",
        "arrays": "freqprep.store.array_writer.SplitWriter.finish",
    }

    def fail(*_: object) -> None:
        raise full

    with monkeypatch.context() as patch:
        patch.setattr(names[stage], fail)
        with pytest.raises(DiskFullError, match="--resume"):
            synthetic.make(many, store)
    resume(many, store)
    assert synthetic.contents(store) == expected


DISK = """
set -e
mount -t tmpfs -o size=400k none "$1/disk"
shift_to="$1"; shift
code=0; "$@" || code=$?
echo "first $code"
mount -o remount,size=64m "$shift_to/disk"
code=0; "$@" --resume || code=$?
echo "second $code"
cp -r "$shift_to/disk/out.zarr" "$shift_to/copy.zarr"
"""


def test_a_full_disk_is_named_and_resumable(many, expected, tmp_path):
    (tmp_path / "disk").mkdir()
    words = ["convert", "imagefolder", many, tmp_path / "disk/out.zarr", "--size", "32"]
    words = synthetic.command(*words, "--jobs", "1")
    isolated = ["unshare", "--user", "--map-root-user", "--mount"]
    try:
        probe = subprocess.run([*isolated, "mount", "-t", "tmpfs", "none", tmp_path / "disk"])
    except FileNotFoundError:
        pytest.skip("no unshare command")
    if probe.returncode:
        pytest.skip("mounting a small disk is not permitted here")
    script = [*isolated, "sh", "-c", DISK, "sh", tmp_path, *words]
    done = subprocess.run(script, capture_output=True, text=True)
    codes = [line for line in done.stdout.splitlines() if line.startswith(("first", "second"))]
    assert codes == ["first 1", "second 3"], done.stderr
    assert "MB free" in done.stderr and "Traceback" not in done.stderr
    assert synthetic.contents(tmp_path / "copy.zarr") == expected


def test_a_torn_journal_and_half_written_files_are_done_again(many, expected, tmp_path):
    store = tmp_path / "out.zarr"
    with conversion(many, store, 1) as process:
        wait_until(process, lambda: journal_lines(store) > 1)
        process.kill()
    partial = store / ".partial-train"
    journal = partial / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-7])
    (partial / "tmp-left").mkdir(exist_ok=True)
    (partial / "tmp-left/half").write_bytes(b"half a shard")
    (partial / "split/coefficients/stray").write_bytes(b"?")
    resume(many, store)
    assert synthetic.contents(store) == expected


def test_a_run_killed_between_the_two_renames_of_publishing(many, expected, tmp_path):
    store = synthetic.make(many, tmp_path / "out.zarr")
    other = synthetic.make(many, tmp_path / "other.zarr", size=16)
    # As after a kill in PartialSplit.publish: the old split is aside, the new one not yet in place.
    (store / "train").rename(store / ".replaced-train")
    with conversion(many, other, 1, "--overwrite") as process:
        wait_until(process, lambda: journal_lines(other) > 1)
        process.kill()
    (other / ".partial-train").rename(store / ".partial-train")
    resume(many, store)
    assert synthetic.contents(store) == expected
    assert json.loads(store.with_name("out.zarr.log").read_text().splitlines()[-1])["images"] > 0
