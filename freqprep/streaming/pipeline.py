"""Tasks of threads that fill a ring of batches ahead of its consumer.

Batches get buffers of the ring in order, as earlier batches are released. Tasks are started in
order too. A task that fills rows of batches up to b waits until b has its buffer. A batch is ready
when all tasks up to its last one are done.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from freqprep.errors import UsageError

THREAD_NAME = "freqprep-loader"
_PATIENCE_SECONDS = 1.0


@dataclass(frozen=True)
class FillTask:
    """Work for one thread: filling some rows of the ring, or memory that it is filled from.

    Attributes
    ----------
    run : callable
        Called with a function that returns whether the pipeline was stopped; may end early then.
    last : int
        Last batch that it writes to; -1 if it writes to none.
    after : int
        Number of tasks, from the first on, that must be done before it starts.
    """

    run: Callable[[Callable[[], bool]], None]
    last: int = -1
    after: int = 0


class Pipeline:
    """Threads of one iterator; they end with the tasks, with an error or by `stop`.

    Parameters
    ----------
    tasks : sequence of FillTask
    wanted : sequence of int
        Number of tasks, from the first on, that each batch needs.
    room : int
        Number of batches, from the first on, that have their buffers. It must always reach the
        last batch that a task writes to which the batch waited for needs; otherwise nothing goes
        on.
    threads : int
    """

    def __init__(
        self, tasks: Sequence[FillTask], wanted: Sequence[int], room: int, threads: int
    ) -> None:
        self._tasks, self._wanted, self._room = tasks, wanted, room
        self._begun = 0
        self._finished: set[int] = set()  # done, but not yet all before them
        self._done = 0  # tasks, from the first on
        self._error: BaseException | None = None
        self._stopped = False
        # The consumer enters the lock itself and waits at a queue: an interrupt inside a condition
        # would leave it held, or release what is not held. An item of the queue means: look again.
        self._lock = threading.RLock()
        self._change = threading.Condition(self._lock)  # the threads wait for it
        self._news: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._process = os.getpid()
        self._count = min(threads, len(tasks))
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start the threads; the caller must call `stop`, also after an exception."""
        for _ in range(self._count):
            thread = threading.Thread(target=self._work, name=THREAD_NAME, daemon=True)
            self._threads.append(thread)
            thread.start()

    def missing(self, batch: int) -> int:
        """Return the number of tasks that a batch still waits for."""
        return max(self._wanted[batch] - self._done, 0)

    def ready(self, batch: int) -> bool:
        """Return whether all tasks that a batch needs are done."""
        return not self.missing(batch)

    def wait(self, batch: int, seconds: float | None = None) -> bool:
        """Wait until a batch is ready.

        Parameters
        ----------
        batch : int
        seconds : float, optional
            Longest time to wait.

        Returns
        -------
        bool
            Whether the batch is ready.

        Raises
        ------
        Exception
            The error that ended a thread, unchanged.
        UsageError
            The pipeline was stopped, or this is a fork.
        """
        self._check_process()
        end = None if seconds is None else time.monotonic() + seconds
        with suppress(queue.Empty):
            while not (self._stopped or self.ready(batch)):
                self._news.get(timeout=None if end is None else max(end - time.monotonic(), 0))
        self.check()
        return self.ready(batch)

    def check(self) -> None:
        """Raise the error that ended a thread, or UsageError if stopped or forked."""
        self._check_process()
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        if self._stopped:
            raise UsageError(
                "this iterator was ended: its loader was closed, loaded a state, or started another"
                " iterator",
                "iterate over the loader again; for two iterators at a time make two loaders",
            )

    def _check_process(self) -> None:
        if os.getpid() != self._process:
            raise UsageError(
                "this iterator was started in another process; its threads do not survive a fork",
                "iterate over the loader again in this process",
            )

    def make_room(self, room: int) -> None:
        """Set the number of batches, from the first on, that have their buffers."""
        with self._lock:
            self._room = room
            self._change.notify_all()

    @property
    def busy(self) -> bool:
        """Whether a thread is still in a task: after `stop`, it may write once more."""
        with self._lock:
            return self._begun > self._done + len(self._finished)

    def stop(self) -> None:
        """End the threads and wait for them; may be called any number of times.

        One that waits for a distant server is not waited for: it copies nothing once it goes on.
        """
        if os.getpid() != self._process:
            return  # a fork: the threads are not here, and the lock may be held forever
        with self._lock:
            self._stopped = True
            self._tell()
        if threading.current_thread() in self._threads:
            return  # an iterator was collected as garbage in one of them, at any point of its work
        end = time.monotonic() + _PATIENCE_SECONDS
        for thread in self._threads:
            if thread.is_alive():  # one that has yet to start finds that all has stopped
                thread.join(max(end - time.monotonic(), 0))

    def _work(self) -> None:
        try:
            while (number := self._next()) is not None:
                self._tasks[number].run(lambda: self._stopped)
                self._finish(number)
        except BaseException as error:  # raised again where the consumer waits
            with self._lock:
                if not self._stopped:
                    self._error, self._stopped = error, True
                    self._tell()

    def _next(self) -> int | None:
        """Wait for the next task that may start; None if there are no more."""

        def may_start() -> bool:
            if self._stopped or self._begun == len(self._tasks):
                return True
            task = self._tasks[self._begun]
            return task.last < self._room and task.after <= self._done

        with self._lock:
            self._change.wait_for(may_start)
            if self._stopped or self._begun == len(self._tasks):
                return None
            self._begun += 1
            return self._begun - 1

    def _finish(self, number: int) -> None:
        with self._lock:
            self._finished.add(number)
            while self._done in self._finished:
                self._finished.remove(self._done)
                self._done += 1
            self._tell()

    def _tell(self) -> None:
        """Wake all waiting threads; the lock must be held."""
        self._change.notify_all()
        self._news.put(None)
