"""A peer in its own interpreter: ``PYTHON worker.py ADAPTER SOURCE FOLDER WORKERS``.

FOLDER has a folder for each stored form. Lines of JSON on stdin say what to do: ``{"write": NAME}``
writes a stored form, ``{"epoch": N, "way": NAME}`` runs an epoch. Each is answered by a line of
JSON: images, seconds, processor seconds of this process and all that it has started, and bytes that
came from the disk.
"""

from __future__ import annotations

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
        else:
            way, number = task["way"], task["epoch"]
            if way not in ways:
                ways[way] = peer.epochs(source, folder / peer.WAYS[way], way, workers)
            work = lambda epoch=ways[way], number=number: sum(epoch(number))  # noqa: E731
        answers.write(json.dumps(_measured(work)) + "\n")
        answers.flush()


def _written(peer: ModuleType, source: Path, target: Path, name: str) -> int:
    peer.write(source, target, name)
    return sum(1 for path in source.rglob("*") if path.is_file())


def _measured(work: Callable[[], int]) -> dict[str, float]:
    wall, cpu, read = time.perf_counter(), _cpu_seconds(), _bytes_from_disk()
    images = work()
    return {
        "images": images,
        "seconds": time.perf_counter() - wall,
        "cpu_seconds": _cpu_seconds() - cpu,
        "bytes_from_disk": _bytes_from_disk() - read,
    }


def _usages() -> Iterator[resource.struct_rusage]:
    yield resource.getrusage(resource.RUSAGE_SELF)
    yield resource.getrusage(resource.RUSAGE_CHILDREN)  # that have ended


def _cpu_seconds() -> float:
    ended = sum(usage.ru_utime + usage.ru_stime for usage in _usages())
    return ended + sum(map(_cpu_of, _descendants(os.getpid())))


def _bytes_from_disk() -> int:
    return _DISK_BLOCK * sum(usage.ru_inblock for usage in _usages())


def _descendants(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            yield child
            yield from _descendants(child)


def _cpu_of(pid: int) -> float:
    """Return the processor seconds of a process and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
