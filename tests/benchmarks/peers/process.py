"""A peer's process: asked for epochs through its pipes, and watched from outside."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import select
import subprocess
import sys
import threading
from pathlib import Path

import psutil

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[2]
_SECONDS_BETWEEN_LOOKS = 0.1
_PATIENCE_SECONDS = 90


class PeerError(Exception):
    """A peer is not there, or failed; the message says where to look."""


class Peer:
    """An adapter in its interpreter; a context manager, whose process starts when first needed.

    Parameters
    ----------
    name : str
        Name of the adapter's file.
    environments : Path or None
        Folder with an environment of the same name; ours needs none.
    source : Path
        Class folders of images.
    stored : Path
        Folder of what the peers have written, a folder for each form.

    Raises
    ------
    PeerError
        It has no environment.
    """

    def __init__(self, name: str, environments: Path | None, source: Path, stored: Path) -> None:
        self.name, self._source, self._stored = name, source, stored
        text = (_HERE / "adapters" / f"{name}.py").read_text()
        self._writes = "\ndef write(" in text
        self.reads_buckets = "\ndef bucket_epochs(" in text
        self.ways: dict[str, str] = constant(text, "WAYS")
        self._python = _interpreter(name, environments, constant(text, "REQUIREMENTS"))
        self.images = sum(1 for path in source.rglob("*") if path.is_file())
        self.peak_bytes = 0
        self._process: subprocess.Popen[str] | None = None
        self._log = stored / f"{name}.log"
        stored.mkdir(exist_ok=True)

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._end()

    def _end(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        for one in [*_tree(self._process.pid), self._process]:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        self._process.wait()
        self._process.stdout.close()
        self._process = None

    def forms(self) -> list[str]:
        """Return the stored forms that it writes."""
        return sorted(set(filter(None, self.ways.values()))) if self._writes else []

    def ways_of(self, stored: str) -> list[str]:
        """Return the ways that read a stored form."""
        return [way for way, form in self.ways.items() if form == stored]

    def write(self, stored: str) -> dict[str, float]:
        """Write a stored form; return the answer of the process, and ``bytes`` on the disk."""
        answer = self._ask({"write": stored})
        return {**answer, "bytes": _disk_bytes(self._stored / stored)}

    def epoch(self, way: str, number: int) -> dict[str, float]:
        """Run an epoch; return the answer of the process."""
        return self._ask({"epoch": number, "way": way})

    def bucket_epoch(self, way: str, server: str, cache: Path) -> dict[str, float]:
        """Open in a bucket what a way reads and run an epoch; return the answer of the process."""
        return self._ask({"bucket": server, "cache": str(cache), "way": way})

    def stored_bytes(self, way: str) -> int:
        """Return the bytes on the disk of what a way reads."""
        return _disk_bytes(self._place(way))

    def forget_pages(self, way: str) -> None:
        """Drop what a way reads from the page cache; needs no privilege."""
        os.sync()
        for path in self._place(way).rglob("*"):
            if path.is_file():
                with open(path, "rb") as file:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def _place(self, way: str) -> Path:
        return self._stored / self.ways[way] if self.ways[way] else self._source

    def _ask(self, task: dict[str, object]) -> dict[str, float]:
        if self._process is None:
            self._process = self._start()
        over = threading.Event()
        watch = threading.Thread(target=self._watch, args=(self._process.pid, over))
        watch.start()
        try:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(json.dumps(task) + "\n")
                self._process.stdin.flush()
            answered, _, _ = select.select([self._process.stdout], [], [], _PATIENCE_SECONDS)
            line = self._process.stdout.readline() if answered else ""
        finally:
            over.set()
            watch.join()
        if not line:
            why = "its process ended" if answered else f"no answer in {_PATIENCE_SECONDS} s"
            self._end()
            raise PeerError(f"{why}; see {self._log}")
        return json.loads(line)

    def _start(self) -> subprocess.Popen[str]:
        words = [self._python, _HERE / "worker.py", self.name, self._source, self._stored]
        ours = os.pathsep.join((str(_ROOT), str(_ROOT / "cli")))
        with self._log.open("a") as log:
            return subprocess.Popen(
                [*map(str, words), str(len(os.sched_getaffinity(0)))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "PYTHONPATH": ours},
            )

    def _watch(self, pid: int, over: threading.Event) -> None:
        """Note the largest memory of a process and of those that it started, shared pages once."""
        while not over.wait(_SECONDS_BETWEEN_LOOKS):
            with contextlib.suppress(psutil.Error):
                every = [psutil.Process(pid), *_tree(pid)]
                self.peak_bytes = max(self.peak_bytes, sum(_memory(one) for one in every))


def constant(text: str, name: str) -> object:
    """Return a constant of an adapter's source, which may need packages that are not here."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return ast.literal_eval(node.value)
    raise AssertionError(f"the adapter has no {name}")


def _interpreter(name: str, environments: Path | None, requirements: tuple[str, ...]) -> str:
    if not requirements:
        return sys.executable
    python = None if environments is None else environments / name / "bin/python"
    if python is None or not python.exists():
        raise PeerError("it has no environment; python -m tests.benchmarks.peers.environments")
    return str(python)


def _tree(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def _memory(process: psutil.Process) -> int:
    try:
        return process.memory_full_info().pss
    except psutil.Error:
        return 0


def _disk_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
