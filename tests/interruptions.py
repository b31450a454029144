"""Commands under way, watched by the files that they write, to be interrupted."""

import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import psutil
import pytest
import synthetic

BETWEEN_LOOKS = 0.001
"""Seconds: looking without a pause would take a core from what is looked at."""


@contextmanager
def under_way(*words: str | Path, program: str = synthetic.MAIN) -> Iterator[subprocess.Popen]:
    """A command under way, in a process group of its own."""
    process = subprocess.Popen(
        synthetic.command(*words, program=program),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def state(folder: Path) -> frozenset[tuple[str, int]]:
    """Names and lengths of all files in an unfinished split."""
    found = set()
    for parent, folders, names in os.walk(folder):
        found |= {(os.path.join(parent, name), -1) for name in folders}
        for name in names:
            path = os.path.join(parent, name)
            try:
                found.add((path, os.stat(path).st_size))
            except FileNotFoundError:  # renamed meanwhile
                continue
    return frozenset(found)


def wait_for_changes(process: subprocess.Popen, folder: Path, changes: int) -> bool:
    """Watch a folder until it has changed so many times; False where the process ends first."""
    last = state(folder)
    while changes:
        if process.poll() is not None:
            return False
        began = time.monotonic()
        if (now := state(folder)) != last:
            last = now
            changes -= 1
        time.sleep(max(BETWEEN_LOOKS, 4 * (time.monotonic() - began)))
    return True


def journal_lines(store: Path) -> int:
    try:
        return (store / ".partial-train/journal.jsonl").read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def wait_until(process: subprocess.Popen, condition: Callable[[], bool]) -> None:
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(BETWEEN_LOOKS)


def wait_for_a_shard(process: subprocess.Popen, store: Path) -> None:
    wait_until(process, lambda: journal_lines(store) > 0)


def leave_no_room(process: subprocess.Popen) -> None:
    """Limit the files that a command and its workers can write, as a full disk would."""
    head = psutil.Process(process.pid)
    for writer in [head, *head.children(recursive=True)]:
        resource.prlimit(writer.pid, resource.RLIMIT_FSIZE, (1000, 1000))


class Stop(Exception):
    pass


@contextmanager
def stopped_after(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, task: str, shards: int
) -> Iterator[None]:
    """Run what makes shards by a function of a module, and stop it after so many."""
    original, left = getattr(module, task), [shards]

    def stopping(*given: object) -> object:
        if not left[0]:
            raise Stop
        left[0] -= 1
        return original(*given)

    with monkeypatch.context() as patch:
        patch.setattr(module, task, stopping)
        with pytest.raises(Stop):
            yield
