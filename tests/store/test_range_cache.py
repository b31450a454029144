"""The folder of cached runs: right bytes or none, its limit, damage, kills, and who may use it."""

import fcntl
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from freqprep.errors import UsageError
from freqprep.store.cached_shards import CachedFile
from freqprep.store.range_cache import RangeCache, disk_bytes

CONTENT = "5f" * 32
LIMIT = 4 * 2**20
LARGEST = 60_000

WORKER = """
import random, sys
from test_range_cache import *

cache, draw = RangeCache(Path(sys.argv[1]), LIMIT), random.Random(int(sys.argv[2]))
print("open", flush=True)
runs = all_runs()
while True:
    name, run = draw.choice(runs)
    data = cache.get(name, run)
    if data is None:
        cache.add(name, run, bytes_of(name, run))
    elif data != bytes_of(name, run):
        sys.exit("wrong bytes")
    print(flush=True)
"""


def all_runs(shards: int = 300) -> list[tuple[str, tuple[int, int]]]:
    """Runs of together about twice the limit."""
    return [(f"{CONTENT}/{s}", (s * 7, 1 + s * 7919 % LARGEST)) for s in range(shards)]


def bytes_of(name: str, run: tuple[int, int]) -> bytes:
    return random.Random(f"{name} {run}").randbytes(run[1])


def files(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*/*") if not path.name.startswith(".")]


def taken(folder: Path) -> int:
    """Bytes on the disk; files go while they are looked at."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_blocks * 512 * path.is_file()
        except FileNotFoundError:
            continue
    return total


def test_runs_are_kept(tmp_path):
    cache = RangeCache(tmp_path / "new" / "cache", LIMIT)
    for name, run in all_runs(20):
        assert cache.get(name, run) is None
        cache.add(name, run, bytes_of(name, run))
        assert cache.get(name, run) == bytes_of(name, run)
        assert cache.get(name, (run[0], run[1] + 1)) is None
    other = RangeCache(tmp_path / "new" / "cache", LIMIT)
    assert all(other.get(name, run) == bytes_of(name, run) for name, run in all_runs(20))


def test_three_processes_one_killed_and_files_damaged(tmp_path):
    folder = tmp_path / "cache"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
    }
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(folder), str(seed)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for seed in range(3)
    ]
    draw, most, killed = random.Random(0), 0, False
    try:
        for step in range(900):
            for worker in workers[killed:]:
                assert worker.stdout.readline(), worker.stderr.read()
            most = max(most, taken(folder)) if step % 20 == 0 else most
            if step == 300:
                workers[0].send_signal(signal.SIGKILL)
                killed = True
            if step == 500:
                damage(draw.sample(files(folder), 50), draw)
    finally:
        for worker in workers:
            worker.kill()
        errors = [worker.communicate()[1] for worker in workers]
    assert errors == [""] * 3
    assert LIMIT / 2 < most <= LIMIT + 8192  # the mark and the lock
    RangeCache(folder, LIMIT)
    assert not list(folder.rglob(".*"))


def damage(paths: list[Path], draw: random.Random) -> None:
    for number, path in enumerate(paths):
        data = bytearray(path.read_bytes())
        if number % 3 == 0:
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        elif number % 3 == 1:
            del data[draw.randrange(len(data)) :]
        else:
            data += b"more"
        path.write_bytes(data)


def test_a_damaged_file_is_no_file_and_is_replaced(tmp_path):
    cache, runs = RangeCache(tmp_path, LIMIT), all_runs(60)
    for name, run in runs:
        cache.add(name, run, bytes_of(name, run))
    damage(files(tmp_path), random.Random(1))
    for name, run in runs:
        assert cache.get(name, run) is None
        cache.add(name, run, bytes_of(name, run))
        assert cache.get(name, run) == bytes_of(name, run)


def test_a_damaged_file_of_a_full_cache_is_replaced(tmp_path):
    cache = RangeCache(tmp_path, LIMIT)
    for name, run in all_runs():
        cache.add(name, run, bytes_of(name, run))
    path = min(files(tmp_path))
    shard, offset, length = (int(number) for number in path.name.split("-"))
    name, run = f"{path.parent.name}/{shard}", (offset, length)
    path.write_bytes(bytes(path.stat().st_size))
    cache._full_until = 0.0  # the time in which a full cache is left alone is over
    assert cache.get(name, run) is None
    cache.add(name, run, bytes_of(name, run))
    assert cache.get(name, run) == bytes_of(name, run)
    assert taken(tmp_path) <= LIMIT


def test_the_file_of_another_run_is_not_used(tmp_path):
    cache = RangeCache(tmp_path, LIMIT)
    cache.add(f"{CONTENT}/0", (0, 9), b"of shard 0")
    os.rename(tmp_path / CONTENT / "0-0-9", tmp_path / CONTENT / "1-0-9")
    assert cache.get(f"{CONTENT}/1", (0, 9)) is None


def test_used_runs_stay_and_the_oldest_others_go(tmp_path):
    runs = [(f"{CONTENT}/{number}", (0, 8000)) for number in range(40)]
    room = 32 * disk_bytes(8000)
    before = RangeCache(tmp_path, room)
    for number, (name, run) in enumerate(runs[:32]):
        before.add(name, run, bytes_of(name, run))
        os.utime(tmp_path / f"{name}-0-8000", (number, number))
    cache = RangeCache(tmp_path, room)
    assert cache.get(*runs[0]) is not None  # the oldest, used now
    cache.add(*runs[32], bytes_of(*runs[32]))
    left = [number for number in range(33) if before.get(*runs[number]) is not None]
    assert left == [0, *range(4, 33)]  # room is made for some at once
    # All that is left was used: nothing is added, nothing goes.
    cache = RangeCache(tmp_path, room)
    for number in left:
        assert cache.get(*runs[number]) is not None
    for run in runs[33:]:
        cache.add(*run, bytes_of(*run))
    assert [number for number in left if cache.get(*runs[number]) is None] == []
    assert taken(tmp_path) <= room + 8192


def test_a_lower_limit_holds_from_the_start(tmp_path):
    cache = RangeCache(tmp_path, LIMIT)
    for name, run in all_runs(100):
        cache.add(name, run, bytes_of(name, run))
    assert taken(tmp_path) > 2**20
    RangeCache(tmp_path, 2**20)
    assert 2**19 < taken(tmp_path) <= 2**20 + 8192


@pytest.mark.parametrize("count", [b"", b"0", b"00000000000000000007 00000000\n", b"\xff" * 40])
def test_a_damaged_count_is_counted_again(tmp_path, count):
    cache = RangeCache(tmp_path, 2**20)
    for name, run in all_runs(15):
        cache.add(name, run, bytes_of(name, run))
    (tmp_path / "lock").write_bytes(count)
    for name, run in all_runs(100):
        cache.add(name, run, bytes_of(name, run))
    assert taken(tmp_path) <= 2**20 + 8192


def test_leftovers_of_killed_processes_go(tmp_path):
    cache = RangeCache(tmp_path, LIMIT)
    cache.add(*all_runs(1)[0], b"x")
    (tmp_path / CONTENT / ".writing-3-0-9").write_bytes(b"half")
    RangeCache(tmp_path, LIMIT)
    assert [path.name for path in (tmp_path / CONTENT).iterdir()] == ["0-0-1"]


def test_a_deleted_folder_is_made_again(tmp_path):
    cache = RangeCache(tmp_path / "cache", LIMIT)
    shutil.rmtree(tmp_path / "cache")
    assert cache.get(f"{CONTENT}/0", (0, 3)) is None
    for _ in range(2):
        cache.add(f"{CONTENT}/0", (0, 3), b"abc")
    assert cache.get(f"{CONTENT}/0", (0, 3)) == b"abc"
    RangeCache(tmp_path / "cache", LIMIT)


def test_a_lock_that_is_held_for_ever_does_not_stop_reading(tmp_path, monkeypatch):
    monkeypatch.setattr("freqprep.store.range_cache._PATIENCE_SECONDS", 0.01)
    cache = RangeCache(tmp_path, LIMIT)
    with open(tmp_path / "lock", "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        cache.add(f"{CONTENT}/0", (0, 3), b"abc")
        assert cache.get(f"{CONTENT}/0", (0, 3)) is None
        RangeCache(tmp_path, LIMIT)


def test_threads_share_it(tmp_path):
    cache, wrong = RangeCache(tmp_path, LIMIT), []

    def work(seed: int) -> None:
        for name, run in random.Random(seed).sample(all_runs(60), 60):
            data = cache.get(name, run)
            if data is None:
                cache.add(name, run, bytes_of(name, run))
            elif data != bytes_of(name, run):
                wrong.append(name)

    threads = [threading.Thread(target=work, args=[seed]) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and len(files(tmp_path)) == 60


def test_folders_with_something_else_are_refused(tmp_path, store):
    for folder in (store, store / "train", Path(__file__).parent):
        before = sorted(folder.rglob("*"))
        with pytest.raises(UsageError, match="not a cache: it has other files in it"):
            RangeCache(folder, LIMIT)
        assert sorted(folder.rglob("*")) == before
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written to: File exists"):
        RangeCache(tmp_path / "file", LIMIT)
    (tmp_path / "empty").mkdir()
    RangeCache(tmp_path / "empty", LIMIT)


class Counted:
    """Bytes of a file; counts the runs read from it."""

    def __init__(self, data: bytes) -> None:
        self.data, self.reads = data, 0

    def read_runs(self, runs):
        for offset, length in runs:
            self.reads += 1
            yield self.data[offset : offset + length]

    def close(self) -> None:
        self.data = b""


def test_only_missing_runs_are_read_from_the_file(tmp_path):
    data = np.random.default_rng(0).bytes(5000)
    behind = Counted(data)
    file = CachedFile(lambda: behind, f"{CONTENT}/3", RangeCache(tmp_path, LIMIT))
    runs = [(0, 10), (100, 4000), (4990, 10)]
    expected = [data[offset : offset + length] for offset, length in runs]
    assert list(file.read_runs(runs[1:2])) == expected[1:2] and behind.reads == 1
    assert list(file.read_runs(runs)) == expected and behind.reads == 3
    assert list(file.read_runs(runs)) == expected and behind.reads == 3
    file.close()
    assert behind.data == b""


def test_what_the_reader_refuses_is_not_kept(tmp_path):
    file = CachedFile(lambda: Counted(bytes(100)), f"{CONTENT}/3", RangeCache(tmp_path, LIMIT))
    reading = file.read_runs([(0, 10), (10, 10), (20, 10)])
    next(reading)
    next(reading)
    reading.close()  # the second one was wrong
    assert [path.name for path in files(tmp_path)] == ["3-0-10"]
