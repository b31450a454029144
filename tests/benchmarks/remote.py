"""Reading from a bucket at 20 ms a request, beside local reading; and the local cache.

The bucket is the tests' server, in a process of its own and on a core of its own for the speed.
Processor times are the reader's.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import freqprep
from freqprep.convert.request import Request
from freqprep.convert.run import convert
from tests.benchmarks.replicas import replicate
from tests.benchmarks.table import show
from tests.slow_server import SlowServer
from tests.streaming import cached_reader
from tests.streaming.cached_reader import bytes_in, cached_runs, checksums

_DELAY = 0.02
_ROUNDS = 5
_WINDOW = {"window_bytes": 2**28}  # less than the split: lanes, so that each epoch reads all
_LIMIT, _DAMAGED, _STEPS = 64 * 10**6, 100, 120


def run(data: Path, folder: Path) -> dict[str, object]:
    warnings.simplefilter("ignore", freqprep.streaming.misuse.DroppedRows)
    source = replicate(data / "imagenet", folder / "source")
    convert(Request("imagenet", source, folder / "s.zarr"))
    with SlowServer() as server:
        lead_to(server)
        url = server.load(folder / "s.zarr", "s.zarr")
        server.behave(delay=_DELAY)
        with cores_apart(server.pid):
            speed = _speed(folder, url, server)
        print()
        shared = _three_processes(folder, url)
    return {"speed": speed, "three_processes": shared}


def lead_to(server: SlowServer) -> None:
    """Let the environment lead to a server."""
    os.environ |= {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_REGION": "us-east-1",
    }


@contextlib.contextmanager
def cores_apart(server: int) -> Iterator[None]:
    """Give the server a core of its own, as another machine has, and the reader all others."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(server, cores[-1:])
        os.sched_setaffinity(0, cores[:-1])
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def _speed(folder: Path, url: str, server: SlowServer) -> dict[str, dict[str, float]]:
    """Compare epochs of several loaders, interleaved: best images a second, least CPU."""
    local, remote = (freqprep.open_store(store)["train"] for store in (folder / "s.zarr", url))
    cache = {"cache": folder / "cache", "cache_bytes": 10**9}
    epoch_bytes = _epoch_bytes(remote, folder / "all")
    half = {"cache": folder / "half", "cache_bytes": epoch_bytes // 2}
    loaders = {
        "local": freqprep.Loader(local, **_WINDOW),
        "bucket": freqprep.Loader(remote, **_WINDOW),
        "bucket, as many threads as locally": freqprep.Loader(remote, threads=2, **_WINDOW),
        "bucket, all in the cache": freqprep.Loader(remote, **_WINDOW, **cache),
        "bucket, cache of half the bytes": freqprep.Loader(remote, **_WINDOW, **half),
    }
    found: dict[str, dict[str, float]] = {}
    for number in range(_ROUNDS + 1):  # the first is untimed: connections, memory, caches
        for name, loader in loaders.items():
            server.counts()
            wall, cpu = time.perf_counter(), time.process_time()
            images = sum(len(batch.rows) for batch in loader)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            if number == 0:
                found[name] = {"threads": loader.threads, "rate": 0.0, "cpu": float("inf")}
                continue
            mine = found[name]
            mine["rate"] = max(mine["rate"], images / wall)
            mine["cpu"] = min(mine["cpu"], cpu / images)
            mine["requests"] = 1000 * server.counts().total / images
    base = found["local"]
    show(
        (
            "epochs at 20 ms a request",
            "threads",
            "images/s",
            "of local",
            "CPU an image",
            "requests for 1,000 images",
        ),
        [
            (
                name,
                one["threads"],
                one["rate"],
                one["rate"] / base["rate"],
                one["cpu"] / base["cpu"],
                one["requests"],
            )
            for name, one in found.items()
        ],
    )
    return found


def _epoch_bytes(split: freqprep.Split, folder: Path) -> int:
    """Measure the cached bytes of an epoch."""
    with freqprep.Loader(split, **_WINDOW, cache=folder, cache_bytes=10**9) as loader:
        for _ in loader:
            pass
    return bytes_in(folder)


def _three_processes(folder: Path, url: str) -> dict[str, float]:
    """Read by three processes through one small cache, of which one is killed and files damaged."""
    cache, draw = folder / "shared", random.Random(0)
    split = freqprep.open_store(folder / "s.zarr")["train"]
    options = [{"seed": seed, "threads": 4, **_WINDOW} for seed in range(3)]
    expected = [checksums(split, **mine) for mine in options]
    readers = [
        subprocess.Popen(
            [
                sys.executable,
                cached_reader.__file__,
                url,
                str(cache),
                str(_LIMIT),
                json.dumps(mine),
            ],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for mine in options
    ]
    living, wrong, checked, most, damaged = [0, 1, 2], 0, 0, 0, 0
    for step in range(_STEPS):
        for seed in living:
            wrong += int(readers[seed].stdout.readline()) != next(expected[seed])
            checked += 1
        most = max(most, bytes_in(cache))
        if step == _STEPS // 3:
            readers[0].send_signal(signal.SIGKILL)
            living.remove(0)
        if step == _STEPS // 2:
            files = cached_runs(cache)
            for path in draw.sample(files, min(_DAMAGED, len(files))):
                path.write_bytes(path.read_bytes()[:-1] + b"x")
                damaged += 1
    for reader in readers:
        reader.kill()
        reader.communicate()
    figures = {
        "batches": checked,
        "wrong": wrong,
        "damaged": damaged,
        "limit": _LIMIT,
        "most": most,
    }
    show(
        (
            "3 processes, 1 killed",
            "batches checked",
            "wrong",
            "files damaged",
            "limit, MB",
            "most, MB",
        ),
        [("one cache", checked, wrong, damaged, _LIMIT / 1e6, most / 1e6)],
    )
    return figures
