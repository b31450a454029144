"""Ctrl-C and SIGTERM, delivered only when the state of a run is complete."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SAID = b"interrupted: the run is saved, then ends\n"


@contextlib.contextmanager
def held_interrupts(alone: bool) -> Iterator[Callable[[], bool]]:
    """Hold interrupts back until the run can be saved.

    Parameters
    ----------
    alone : bool
        A second Ctrl-C is raised at once. One of several processes is sent every Ctrl-C twice, by
        the terminal and by ``torchrun``, and so holds them all.

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
            if alone and number == signal.SIGINT:
                raise KeyboardInterrupt
            return
        waiting.set()
        # print may be what was interrupted; on a terminal a bar's line may be under way
        os.write(2, b"\n" * os.isatty(2) + _SAID)

    before = {number: signal.signal(number, hold) for number in _SIGNALS}
    try:
        yield waiting.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
