"""Waiting for requests so that Ctrl-C is answered meanwhile.

A request blocks its thread in foreign code, for minutes where a server stalls. Python handles
signals in the main thread only, so that one waits for another thread. These threads are daemons:
the end of the program does not wait for a request that nobody waits for any more.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias, TypeVar

ResultT = TypeVar("ResultT")
_Outcome: TypeAlias = tuple[ResultT, None] | tuple[None, BaseException]


def interruptible(call: Callable[[], ResultT]) -> ResultT:
    """Return what a call returns; the main thread leaves it to another one, and waits."""
    if threading.current_thread() is not threading.main_thread():
        return call()
    return next(in_threads([call], 1))


def in_threads(calls: Sequence[Callable[[], ResultT]], most: int) -> Iterator[ResultT]:
    """Make calls in threads.

    Parameters
    ----------
    calls : sequence of callable
    most : int
        Largest number of threads.

    Yields
    ------
    Any
        What they return, in their order. The first error is raised when those that have begun have
        ended; no other one is begun.
    """
    answers: list[queue.SimpleQueue[_Outcome[ResultT]]] = [queue.SimpleQueue() for _ in calls]
    todo, alone = iter(zip(calls, answers, strict=True)), threading.Lock()
    wanted = True

    def work() -> None:
        while wanted:
            with alone:
                one = next(todo, None)
            if one is None:
                return
            call, answer = one
            try:
                answer.put((call(), None))
            except BaseException as error:  # raised again where it is waited for
                answer.put((None, error))

    threads = [
        threading.Thread(target=work, name="freqprep-request", daemon=True)
        for _ in range(min(most, len(calls)))
    ]
    for thread in threads:
        thread.start()
    try:
        for answer in answers:
            result, error = answer.get()
            if error is not None:
                raise error
            yield result  # type: ignore[misc]  # it is one where there is no error
    except Exception:  # not Ctrl-C
        wanted = False
        for thread in threads:
            thread.join()
        raise
    finally:
        wanted = False
