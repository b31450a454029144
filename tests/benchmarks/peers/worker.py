"""A peer in its own interpreter: ``PYTHON worker.py ADAPTER SOURCE FOLDER WORKERS``.

FOLDER has a folder for each stored form. Lines of JSON on stdin say what to do: ``{"write": NAME}``
writes a stored form, ``{"epoch": N, "way": NAME}`` runs an epoch, ``{"bucket": URL, "cache": PATH,
"way": NAME}`` opens a stored form in a bucket and runs one. Each is answered by a line of JSON:
images, seconds, processor seconds of this process and all that it has started, and bytes that came
from the disk.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import crops

if importlib.util.find_spec("torchvision"):
    crops.import_torchvision()  # here, because worker processes run this file first

_DISK_BLOCK = 512


def main(adapter: str, source: Path, folder: Path, workers: int) -> None:
    answers = os.fdopen(os.dup(1), "w")
    measure = _Measure()
    os.dup2(2, 1)  # what the peer prints is not an answer
    # Of a package, for its name may be that of what it adapts; worker processes import it too.
    peer, ways = importlib.import_module(f"adapters.{adapter}"), {}
    for line in sys.stdin:
        task = json.loads(line)
        if "write" in task:
            target = folder / task["write"]
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir(parents=True)
            work = lambda to=target, name=task["write"]: _written(peer, source, to, name)  # noqa: E731
        elif "bucket" in task:
            way = task["way"]
            bucket = crops.Bucket(task["bucket"], peer.WAYS[way], Path(task["cache"]))
            work = lambda b=bucket, way=way: sum(  # noqa: E731
                peer.bucket_epochs(b, folder / b.prefix, way, workers)(0)
            )
        else:
            way, number = task["way"], task["epoch"]
            if way not in ways:
                ways[way] = peer.epochs(source, folder / peer.WAYS[way], way, workers)
            work = lambda epoch=ways[way], number=number: sum(epoch(number))  # noqa: E731
        answers.write(json.dumps(measure(work)) + "\n")
        answers.flush()


def _written(peer: ModuleType, source: Path, target: Path, name: str) -> int:
    peer.write(source, target, name)
    return sum(1 for path in source.rglob("*") if path.is_file())


class _Measure:
    """Measures epochs. Processor seconds count from the end of the one before, because workers of
    some loaders prepare the next one's batches between them."""

    def __init__(self) -> None:
        self._cpu = _cpu_seconds()

    def __call__(self, work: Callable[[], int]) -> dict[str, float]:
        wall, read, before = time.perf_counter(), _bytes_from_disk(), self._cpu
        images = work()
        seconds, self._cpu = time.perf_counter() - wall, _cpu_seconds()
        return {
            "images": images,
            "seconds": seconds,
            "cpu_seconds": self._cpu - before,
            "bytes_from_disk": _bytes_from_disk() - read,
        }


def _cpu_seconds() -> float:
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    ended = sum(usage.ru_utime + usage.ru_stime for usage in usages)  # children that have ended
    return ended + sum(map(_cpu_of, _descendants(os.getpid())))


def _bytes_from_disk() -> int:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN).ru_inblock
    return _DISK_BLOCK * ended + sum(map(_read_by, ("self", *_descendants(os.getpid()))))


def _read_by(pid: int | str) -> int:
    """Return the bytes that came from the disk for a process that runs."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["read_bytes"])


def _descendants(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended
            for child in map(int, (task / "children").read_text().split()):
                yield child
                yield from _descendants(child)


def _cpu_of(pid: int) -> float:
    """Return the processor seconds of a process and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
