"""Settings of the process, held for as long as a thread needs them.

Warnings filters and Pillow's switches exist once per process. A thread that set one, worked and
restored it would take it from another thread at work, and the last one to finish would restore a
thread's value instead of the caller's.
"""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack


class Held:
    """Context manager for any number of threads: the first one sets, the last one restores.

    Parameters
    ----------
    setting : callable
        Returns a context manager that sets the state of the process and restores it.
    """

    def __init__(self, setting: Callable[[], AbstractContextManager[object]]) -> None:
        self._setting = setting
        self._lock = threading.Lock()
        self._users = 0
        self._restore = ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if not self._users:
                self._restore.enter_context(self._setting())
            self._users += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                self._restore.close()


@contextlib.contextmanager
def _ignoring_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


warnings_ignored = Held(_ignoring_warnings)
"""Context in which no warning is shown or raised, whatever the caller's filters are."""
