"""Turns of threads: few work at once, those whose result is wanted first."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """Lets few threads work at once: of those that wait, the one with the lowest number.

    More threads than cores fetch from a bucket, so that some always wait for it. If all that have
    their bytes decoded at once, they would share the cores, and the shards of the first batch would
    be ready when all the others are.

    Parameters
    ----------
    places : int
        Threads at work at once.
    """

    def __init__(self, places: int) -> None:
        self._free = places
        self._lock = threading.Lock()
        self._waiting: list[tuple[int, threading.Event]] = []

    @contextmanager
    def turn(self, number: int) -> Iterator[None]:
        """Work during a block, once no thread with a lower number waits.

        Parameters
        ----------
        number : int
            Different for each thread that waits.
        """
        self._begin(number)
        try:
            yield
        finally:
            self._end()

    def _begin(self, number: int) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            mine = threading.Event()
            heapq.heappush(self._waiting, (number, mine))
        mine.wait()

    def _end(self) -> None:
        """Pass the place on: a thread that waits is woken once, when it may work."""
        with self._lock:
            if not self._waiting:
                self._free += 1
                return
            _, its = heapq.heappop(self._waiting)
        its.set()
