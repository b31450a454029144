"""Ctrl-C and SIGTERM, delivered only when the state of a run is complete."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

import torch

from freqprep.training.distributed import World

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SAID = b"interrupted: the run is saved, then ends\n"

_SECONDS, _MOST_STEPS = 5, 50


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


class Interrupts:
    """Interrupts of all processes of a run, which all hear of after the same step.

    One process looks after each step. Several ask one another: a step that waits for the answer
    costs time, and schedulers give half a minute. So they ask about every five seconds, by the
    leading process's clock, and at least every 50 steps.

    Parameters
    ----------
    world : World
    waiting : callable
        Whether an interrupt of this process is waiting: see `held_interrupts`.
    """

    def __init__(self, world: World, waiting: Callable[[], bool]) -> None:
        self._world, self._waiting = world, waiting
        self.begin()

    def begin(self) -> None:
        """Begin to count steps: those of another epoch may take another time."""
        self._every = 1
        self._start()

    def _start(self) -> None:
        self._steps, self._began = 0, time.monotonic()

    def after_step(self) -> bool:
        """Whether to stop after this step: the same in all processes, which all must call this."""
        if self._world.size == 1:
            return self._waiting()
        self._steps += 1
        if self._steps < self._every:
            return False
        seconds = time.monotonic() - self._began if self._world.is_leader else 0.0
        mine = torch.tensor([float(self._waiting()), seconds], dtype=torch.float64)
        flags, seconds = self._world.sum(mine).tolist()
        within = int(self._steps * _SECONDS / max(seconds, 1e-9))
        # twice as many at most: the first step may have been a quick one
        self._every = max(1, min(within, 2 * self._steps, _MOST_STEPS))
        self._start()
        return bool(flags > 0)

    def here(self) -> bool:
        """Whether an interrupt is waiting, where this process is the only one."""
        return self._world.size == 1 and self._waiting()

    def now(self) -> bool:
        """Whether one is waiting in any process; all of them must call this."""
        return self._world.any(self._waiting())
