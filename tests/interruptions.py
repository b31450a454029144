"""Commands under way, watched by the files that they write, to be interrupted."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import synthetic

BETWEEN_LOOKS = 0.001
"""Seconds: looking without a pause would take a core from what is looked at."""


@contextmanager
def under_way(*words: str | Path) -> Iterator[subprocess.Popen]:
    """A command under way, in a process group of its own."""
    # Where a background shell started the tests, SIGINT is ignored, and children would inherit it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        synthetic.command(*words),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    signal.signal(signal.SIGINT, before)
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
        if (now := state(folder)) != last:
            last = now
            changes -= 1
        time.sleep(BETWEEN_LOOKS)
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
