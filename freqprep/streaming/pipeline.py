"""Tasks of threads that fill a ring of batches ahead of its consumer.

Batches get places in the ring in order, as batches before them are given back. Tasks are started
in order too. One that fills rows of batches up to b waits until b has its place. A batch is ready
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


@dataclass(frozen=True)
class Task:
    """Work for one thread.

    Attributes
    ----------
    run : callable
        Does it; may end early when the function that it is given says that all has stopped.
    last : int
        Last batch of the ring that it writes to; -1 if it writes to none.
    after : int
        So many tasks, from the first on, must be done before it starts.
    """

    run: Callable[[Callable[[], bool]], None]
    last: int = -1
    after: int = 0


class Pipeline:
    """The threads of one iterator; they end with the tasks, with an error or by `stop`.

    Parameters
    ----------
    tasks : sequence of Task
    wanted : sequence of int
        For each batch, how many tasks from the first on it needs.
    room : int
        So many batches, from the first on, have their places. For the tasks to go on there must
        always be room for as many as from the batch that is waited for to the last one that a
        task it needs writes to.
    threads : int
    """

    def __init__(
        self, tasks: Sequence[Task], wanted: Sequence[int], room: int, threads: int
    ) -> None:
        self._tasks, self._wanted, self._room = tasks, wanted, room
        self._begun = 0
        self._finished: set[int] = set()  # done, but not yet all before them
        self._done = 0  # so many tasks, from the first on
        self._error: BaseException | None = None
        self._stopped = False
        # The consumer enters the lock itself and waits at a queue: an interrupt inside a condition
        # would leave it held, or let go of what is not held. A queue's item says: look again.
        self._lock = threading.RLock()
        self._change = threading.Condition(self._lock)  # the threads wait for it
        self._news: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._process = os.getpid()
        self._count = min(threads, len(tasks))
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start the threads; whoever calls this calls `stop`, however it ends."""
        for _ in range(self._count):
            thread = threading.Thread(target=self._work, name=THREAD_NAME, daemon=True)
            self._threads.append(thread)
            thread.start()

    def missing(self, batch: int) -> int:
        """How many tasks a batch still waits for."""
        return max(self._wanted[batch] - self._done, 0)

    def ready(self, batch: int) -> bool:
        """Whether all that a batch needs is done."""
        return not self.missing(batch)

    def wait(self, batch: int, seconds: float | None = None) -> bool:
        """Wait until a batch is ready; False where it is not in time.

        Raises
        ------
        Exception
            What ended a thread, unchanged.
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
        """Raise what ended a thread, or UsageError if it was stopped or this is a fork."""
        self._check_process()
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        if self._stopped:
            raise UsageError(
                "this iterator was ended: its loader was closed, loaded a state, or is iterated"
                " anew",
                "iterate over the loader again; for two uses at a time make two loaders",
            )

    def _check_process(self) -> None:
        if os.getpid() != self._process:
            raise UsageError(
                "this iterator is of another process, whose threads did not come along in the fork",
                "iterate over the loader anew",
            )

    def make_room(self, room: int) -> None:
        """So many batches, from the first on, have their places by now."""
        with self._lock:
            self._room = room
            self._change.notify_all()

    def stop(self) -> None:
        """End the threads and wait for them; any number of times."""
        if os.getpid() != self._process:
            return  # a fork: the threads are not here, and the lock may be held for ever
        with self._lock:
            self._stopped = True
            self._tell()
        if threading.current_thread() in self._threads:
            return  # an iterator was collected as garbage in one of them, at any point of its work
        for thread in self._threads:
            if thread.is_alive():  # one that has yet to start finds that all has stopped
                thread.join()

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
        """The next task, once it may start; None if there is no more to do."""

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
        """Wake all that wait; the lock is held."""
        self._change.notify_all()
        self._news.put(None)
