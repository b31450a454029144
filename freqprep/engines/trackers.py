"""Processes that track shared resources, joblib's and Python's: without a way to the terminal.

joblib's is told of each semaphore by name. One that takes the place of a killed one does not know
the names, and answers each with a traceback; one whose main process was killed lists them all.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing import resource_tracker
from typing import Any

from freqprep.engines.process_wide import warnings_ignored

_STDERR = 2

_importing = threading.Lock()


def joblib_with_pool() -> Any:
    """Import joblib with its process pool, when it is needed: it takes a tenth of a second.

    One thread at a time: its modules import each other, and two threads would meet half of one.
    Whatever starts joblib's tracker, it has the null device as stderr: joblib itself starts it
    anew if it was killed and a semaphore is made or goes.
    """
    with _importing:
        import joblib.externals.loky.process_executor
        from joblib.externals.loky.backend import resource_tracker as of_joblib

        if not isinstance(of_joblib.spawnv_passfds, partial):
            of_joblib.spawnv_passfds = partial(_start_aside, of_joblib.spawnv_passfds)
    return joblib


def _start_aside(start: Callable[..., Any], *arguments: Any) -> Any:
    with _stderr_aside():
        return start(*arguments)


def ensure_trackers() -> None:
    """Start the processes that track shared resources, or again if they were killed."""
    joblib_with_pool()
    from joblib.externals.loky.backend import resource_tracker as of_joblib

    with warnings_ignored:  # that one was killed
        with _stderr_aside():
            resource_tracker.ensure_running()
        of_joblib.ensure_running()


@contextlib.contextmanager
def _stderr_aside() -> Iterator[None]:
    """Let processes that are started in the block have the null device as stderr."""
    try:
        before = os.dup(_STDERR)
    except OSError:  # it is closed
        yield
        return
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, _STDERR)
    try:
        yield
    finally:
        os.dup2(before, _STDERR)
        os.close(before)
        os.close(null)
