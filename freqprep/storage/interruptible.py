"""Waiting for requests so that Ctrl-C is answered meanwhile.

A request blocks its thread in foreign code, for minutes where a server stalls. Python handles
signals in the main thread only, so that one waits for another thread. These threads are daemons:
the end of the program does not wait for a request that nobody waits for any more.

After an error a command still tidies up. `deadline` limits what all requests of that take.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextvars import ContextVar
from typing import Generic, TypeAlias, TypeVar

ResultT = TypeVar("ResultT")
_Outcome: TypeAlias = tuple[ResultT, None] | tuple[None, BaseException]
_Answer: TypeAlias = queue.SimpleQueue[_Outcome[ResultT]]

_MOST_BYTES = 256 * 2**20
_PATIENCE_SECONDS = 3.0

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
    answer: _Answer[ResultT] = queue.SimpleQueue()
    _thread(lambda: answer.put(_outcome_of(call)))
    try:
        return _result(answer.get(timeout=left))
    except queue.Empty:
        raise TimeoutError("no answer in time") from None


def in_background(call: Callable[[], ResultT]) -> Future[ResultT]:
    """Make a call in a thread of its own, which the end of the program does not wait for."""
    future: Future[ResultT] = Future()

    def work() -> None:
        result, error = _outcome_of(call)
        if error is None:
            future.set_result(result)  # type: ignore[arg-type]  # it is one where there is no error
        else:
            future.set_exception(error)

    _thread(work)
    return future


def _thread(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, name="freqprep-request", daemon=True)
    thread.start()
    return thread


def _outcome_of(call: Callable[[], ResultT]) -> _Outcome[ResultT]:
    try:
        return call(), None
    except BaseException as error:  # raised again where it is waited for
        return None, error


def _result(outcome: _Outcome[ResultT]) -> ResultT:
    result, error = outcome
    if error is not None:
        raise error
    return result  # type: ignore[return-value]  # it is one where there is no error


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
        What they return, in their order. After the first error no other call is begun, and it is
        raised when those that have begun have ended, or after a few seconds: a server that is
        silent to one request must not hide what it has said to another.
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
            outcome = workers.outcome(answer)
            held -= size
            yield _result(outcome)
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
        self._failed: queue.SimpleQueue[_Outcome[ResultT]] = queue.SimpleQueue()

    def begin(self, call: Callable[[], ResultT]) -> _Answer[ResultT]:
        """Have a call made, and return where its outcome will be."""
        answer: _Answer[ResultT] = queue.SimpleQueue()
        self._todo.put((call, answer))
        if len(self._threads) < self._most:
            self._threads.append(_thread(self._work))
        return answer

    def outcome(self, answer: _Answer[ResultT]) -> _Outcome[ResultT]:
        """Wait for an outcome, or for another call's error if this one takes long."""
        while True:
            with contextlib.suppress(queue.Empty):
                return answer.get(timeout=_PATIENCE_SECONDS)
            with contextlib.suppress(queue.Empty):
                return self._failed.get_nowait()

    def _work(self) -> None:
        while (one := self._todo.get()) is not None:
            if not self._wanted:
                continue
            call, answer = one
            outcome = _outcome_of(call)
            if outcome[1] is not None:
                self._failed.put(outcome)
            answer.put(outcome)

    def stop(self) -> None:
        """Let no further call begin."""
        self._wanted = False
        for _ in self._threads:
            self._todo.put(None)

    def join(self) -> None:
        """Wait for the calls that have begun, but not long."""
        end = time.monotonic() + _PATIENCE_SECONDS
        for thread in self._threads:
            thread.join(max(end - time.monotonic(), 0))
