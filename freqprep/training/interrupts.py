"""Ctrl-C and SIGTERM at a moment when the state of a run is whole."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from freqprep.progress import say

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def held_interrupts() -> Iterator[Callable[[], bool]]:
    """Hold the first interrupt back; a second one is raised at once.

    Yields
    ------
    callable
        Whether an interrupt is waiting: to be asked between two steps.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    waiting = threading.Event()

    def hold(_signal: int, _frame: FrameType | None) -> None:
        if waiting.is_set():
            raise KeyboardInterrupt
        waiting.set()
        say("interrupted: stopping after this step (again: at once)")

    before = {number: signal.signal(number, hold) for number in _SIGNALS}
    try:
        yield waiting.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
