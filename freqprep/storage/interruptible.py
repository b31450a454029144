"""Waiting for requests so that Ctrl-C is answered meanwhile.

A request blocks its thread in foreign code, for minutes where a server stalls. Python handles
signals in the main thread only, so that one waits for another thread. These threads are daemons:
the end of the program does not wait for a request that nobody waits for any more.
"""

from __future__ import annotations

import itertools
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeAlias, TypeVar

ResultT = TypeVar("ResultT")
_Outcome: TypeAlias = tuple[ResultT, None] | tuple[None, BaseException]
_Answer: TypeAlias = "queue.SimpleQueue[_Outcome[ResultT]]"

_MOST_BYTES = 256 * 2**20


def interruptible(call: Callable[[], ResultT]) -> ResultT:
    """Return what a call returns; the main thread leaves it to another one, and waits."""
    if threading.current_thread() is not threading.main_thread():
        return call()
    return next(in_threads([call], 1))


def in_threads(
    calls: Iterable[Callable[[], ResultT]], most: int, sizes: Iterable[int] = itertools.repeat(0)
) -> Iterator[ResultT]:
    """Make calls in threads, a little ahead of what takes their results.

    Parameters
    ----------
    calls : iterable of callable
        Drawn as they are begun.
    most : int
        Largest number of threads; at most twice as many calls are begun ahead.
    sizes : iterable of int, optional
        Bytes of each result. Those begun ahead have 256 MB at most, or are one.

    Yields
    ------
    Any
        What they return, in their order. The first error is raised when those that have begun have
        ended; no other one is begun.
    """
    workers: _Workers[ResultT] = _Workers(most)
    coming = zip(calls, sizes, strict=False)
    ahead: deque[tuple[_Answer[ResultT], int]] = deque()
    held, one = 0, next(coming, None)
    try:
        while one is not None or ahead:
            while one is not None and len(ahead) < 2 * most:
                call, size = one
                if ahead and held + size > _MOST_BYTES:
                    break
                ahead.append((workers.begin(call), size))
                held += size
                one = next(coming, None)
            answer, size = ahead.popleft()
            result, error = answer.get()
            held -= size
            if error is not None:
                raise error
            yield result  # type: ignore[misc]  # it is one where there is no error
    except Exception:  # not Ctrl-C
        workers.stop()
        workers.join()
        raise
    finally:
        workers.stop()


class _Workers(Generic[ResultT]):
    """Threads that make calls in the order in which they are begun."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._threads: list[threading.Thread] = []
        self._todo: queue.SimpleQueue[tuple[Callable[[], ResultT], _Answer[ResultT]] | None]
        self._todo = queue.SimpleQueue()
        self._wanted = True

    def begin(self, call: Callable[[], ResultT]) -> _Answer[ResultT]:
        """Have a call made, and return where its outcome will be."""
        answer: _Answer[ResultT] = queue.SimpleQueue()
        self._todo.put((call, answer))
        if len(self._threads) < self._most:
            thread = threading.Thread(target=self._work, name="freqprep-request", daemon=True)
            self._threads.append(thread)
            thread.start()
        return answer

    def _work(self) -> None:
        while (one := self._todo.get()) is not None:
            if not self._wanted:
                continue
            call, answer = one
            try:
                answer.put((call(), None))
            except BaseException as error:  # raised again where it is waited for
                answer.put((None, error))

    def stop(self) -> None:
        """Let no further call begin."""
        self._wanted = False
        for _ in self._threads:
            self._todo.put(None)

    def join(self) -> None:
        """Wait for the calls that have begun."""
        for thread in self._threads:
            thread.join()
