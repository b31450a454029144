"""Waiting for requests so that Ctrl-C is answered meanwhile.

A request blocks its thread in foreign code, for minutes where a server stalls. Python handles
signals in the main thread only, so that one waits for another thread. These threads are daemons:
the end of the program does not wait for a request that nobody waits for any more.

After an error a command still tidies up. `deadline` limits what all requests of that take.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import TypeAlias, TypeVar

ResultT = TypeVar("ResultT")
_Outcome: TypeAlias = tuple[ResultT, None] | tuple[None, BaseException]
_Answers: TypeAlias = queue.SimpleQueue[_Outcome[ResultT]]

_until: ContextVar[float | None] = ContextVar("freqprep_deadline", default=None)


@contextlib.contextmanager
def deadline(moment: float) -> Iterator[None]:
    """Let no request of this thread, over a block, wait beyond a moment of the monotonic clock."""
    before = _until.set(moment)
    try:
        yield
    finally:
        _until.reset(before)


def seconds_left() -> float | None:
    """Return the seconds until the deadline, at least 0; None where there is none."""
    moment = _until.get()
    return None if moment is None else max(0.0, moment - time.monotonic())


def interruptible(call: Callable[[], ResultT]) -> ResultT:
    """Return what a call returns; the main thread leaves it to another one, and waits.

    Raises
    ------
    TimeoutError
        The call has not returned at the `deadline`.
    """
    left = seconds_left()
    if left is None and threading.current_thread() is not threading.main_thread():
        return call()
    answer: _Answers[ResultT] = queue.SimpleQueue()
    _thread(lambda: _make(call, answer))
    try:
        return _result(answer.get(timeout=left))
    except queue.Empty:
        raise TimeoutError("no answer in time") from None


def _thread(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, name="freqprep-request", daemon=True)
    thread.start()
    return thread


def _make(call: Callable[[], ResultT], answer: _Answers[ResultT]) -> None:
    try:
        answer.put((call(), None))
    except BaseException as error:  # raised again where it is waited for
        answer.put((None, error))


def _result(outcome: _Outcome[ResultT]) -> ResultT:
    result, error = outcome
    if error is not None:
        raise error
    return result  # type: ignore[return-value]  # it is one where there is no error


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
    answers: list[_Answers[ResultT]] = [queue.SimpleQueue() for _ in calls]
    todo, alone = iter(zip(calls, answers, strict=True)), threading.Lock()
    wanted = True

    def work() -> None:
        while wanted:
            with alone:
                one = next(todo, None)
            if one is None:
                return
            _make(*one)

    threads = [_thread(work) for _ in range(min(most, len(calls)))]
    try:
        for answer in answers:
            yield _result(answer.get())
    except Exception:  # not Ctrl-C
        wanted = False
        for thread in threads:
            thread.join()
        raise
    finally:
        wanted = False
