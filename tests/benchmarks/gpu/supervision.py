"""Cases one after the other in a process that is replaced when it fails, within a time limit."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

_FIRST_LINE_SECONDS = 120.0
"""Time for a process to import torch and to find the device."""


@dataclass
class Results:
    """What was measured so far.

    Attributes
    ----------
    machine : dict
    tables : dict of str to list of dict
        Rows of each table.
    problems : dict of str to str
        Case -> why it, or the rest of it, is missing.
    """

    machine: dict[str, Any] = field(default_factory=dict)
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


def measure_all(
    command: list[str],
    cases: Mapping[str, float],
    deadline: float,
    results: Results,
    measured: Callable[[], None],
) -> None:
    """Measure cases in a worker until a moment of the monotonic clock.

    Parameters
    ----------
    command : list of str
        Starts a worker.
    cases : dict of str to float
        Case -> about the seconds it takes.
    deadline : float
    results : Results
        Is added to.
    measured : callable
        Called after each case.
    """
    worker: _Worker | None = None
    try:
        for name, takes in cases.items():
            left = deadline - time.monotonic()
            if takes > left:
                results.problems[name] = f"left out: takes about {takes:.0f} s of {left:.0f} left"
                continue
            try:
                if worker is None:
                    worker = _Worker(command)
                    results.machine = worker.line(min(left, _FIRST_LINE_SECONDS))
                problem = worker.measure(name, deadline, results.tables)
            except (EOFError, TimeoutError) as error:
                problem = str(error)
            if problem is not None:
                results.problems[name] = problem
                if worker is not None:
                    worker.end()
                worker = None
            measured()
    finally:
        if worker is not None:
            worker.end()


class _Worker:
    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def line(self, timeout: float) -> dict[str, Any]:
        """Return the next line, or raise TimeoutError, or EOFError when the process has ended."""
        try:
            text = self._lines.get(timeout=max(timeout, 0))
        except queue.Empty:
            raise TimeoutError("stopped: out of time") from None
        if not text:
            raise EOFError(f"the process ended with {self._process.wait()}")
        return json.loads(text)

    def measure(
        self, case: str, deadline: float, tables: dict[str, list[dict[str, Any]]]
    ) -> str | None:
        """Measure a case; add its rows to the tables, and return what went wrong."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # its end of the lines says so too
            self._process.stdin.write(f"{case}\n")
            self._process.stdin.flush()
        while "error" not in (found := self.line(deadline - time.monotonic())):
            tables.setdefault(found["table"], []).append(found["row"])
        return found["error"]

    def end(self) -> None:
        """Kill the process and those that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()
