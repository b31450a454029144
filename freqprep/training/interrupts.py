"""Ctrl-C and SIGTERM at a moment when the state of a run is whole."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SAID = b"interrupted: stopping after this step (Ctrl-C again: at once)\n"


@contextlib.contextmanager
def held_interrupts() -> Iterator[Callable[[], bool]]:
    """Hold the first interrupt back; a second Ctrl-C is raised at once.

    A second SIGTERM is not: ``torchrun`` sends one after every Ctrl-C.

    Yields
    ------
    callable
        Whether an interrupt is waiting: to be asked between two steps.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    waiting = threading.Event()

    def hold(number: int, _frame: FrameType | None) -> None:
        if waiting.is_set():
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            return
        waiting.set()
        os.write(2, _SAID)  # print may be what was interrupted

    before = {number: signal.signal(number, hold) for number in _SIGNALS}
    try:
        yield waiting.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
