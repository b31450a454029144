"""Settings of the whole process, held for as long as some thread needs them.

Warnings filters and Pillow's switches exist once a process. A thread that sets one, works, and
puts back what was there would take it from another thread at work, and the last to leave would
put back a value of the work instead of the caller's.
"""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack


class Held:
    """A context manager for any number of threads: the first sets, the last puts back.

    Parameters
    ----------
    setting : callable
        Gives a context manager that sets the process's state and restores it.
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
"""No warning is shown, and none is an error, whatever the caller's filters say."""
