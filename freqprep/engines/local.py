"""Where the work of a conversion runs. Local processes today; clusters plug in here."""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from threadpoolctl import threadpool_limits

from freqprep.errors import WorkerDiedError

if TYPE_CHECKING:  # imported where workers are started: it takes a tenth of a second
    from joblib.externals.loky.process_executor import ProcessPoolExecutor

_TASKS_A_WORKER = 2
_SECONDS_BETWEEN_LOOKS = 1.0
_SECONDS_IDLE = 300
_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"), "1"
)

Task = TypeVar("Task")
Result = TypeVar("Result")

_limiting = threading.Lock()
_importing = threading.Lock()
"""Of joblib: its modules import each other, and two threads would meet half of one."""


def default_jobs() -> int:
    """Processor cores that this process may use."""
    with _importing:
        import joblib

    return int(joblib.cpu_count())


def run(function: Callable[[Task], Result], tasks: Iterable[Task], jobs: int) -> Iterator[Result]:
    """Apply a function to each task, in parallel; results come as they are ready.

    Threads may run at the same time; each has workers of its own.

    Parameters
    ----------
    function : callable
        Picklable. NumPy runs on one core meanwhile.
    tasks : iterable
        Consumed as workers become free, at most two tasks a worker ahead.
    jobs : int
        Worker processes; with 1, or where the system allows this process none (it is a daemonic
        one, as in ``multiprocessing.Pool``), the calling thread does the work.

    Yields
    ------
    Result
        In any order.

    Raises
    ------
    WorkerDiedError
        A worker process was killed. Errors of ``function`` are raised as they are.
    """
    if jobs > 1 and not multiprocessing.current_process().daemon:
        yield from _in_processes(function, tasks, jobs)
        return
    for task in tasks:
        yield _on_one_core(function, task)


def _on_one_core(function: Callable[[Task], Result], task: Task) -> Result:
    """Work in the calling thread, with BLAS held to one thread.

    How many it has is the whole process's: two threads that each set it and put back what they
    found would leave one the other's. So only one does; the results are the same bits.
    """
    if not _limiting.acquire(blocking=False):
        return function(task)
    try:
        with threadpool_limits(limits=1):
            return function(task)
    finally:
        _limiting.release()


def _in_processes(
    function: Callable[[Task], Result], tasks: Iterable[Task], jobs: int
) -> Iterator[Result]:
    with _importing:
        from joblib.externals.loky.process_executor import TerminatedWorkerError

    pool = _spare.take(jobs)
    call = partial(_in_folder, os.getcwd(), function)
    waiting = iter(tasks)
    running: set[Future[Result]] = set()
    try:
        running.update(_submit(pool, call, islice(waiting, _TASKS_A_WORKER * jobs)))
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                result = future.result()
                running.update(_submit(pool, call, islice(waiting, 1)))
                yield result
    except BaseException as error:
        _kill(pool)  # an interrupt must not wait for the tasks under way
        if isinstance(error, TerminatedWorkerError):
            raise WorkerDiedError(
                "a worker process was killed, most likely for want of memory",
                "run again with --resume and fewer --jobs",
            ) from None
        raise
    _spare.give_back(jobs, pool)


def _submit(
    pool: ProcessPoolExecutor, call: Callable[[Task], Result], tasks: Iterable[Task]
) -> list[Future[Result]]:
    submitted = []
    for task in tasks:
        with _signals_held():  # this may start workers
            submitted.append(pool.submit(call, task))
    return submitted


def _kill(pool: ProcessPoolExecutor) -> None:
    """End workers at once, with what they do.

    Not by ``shutdown(kill_workers=True)``: right after a task was submitted, loky's own thread
    then stumbles over it, with a traceback.
    """
    for pid in list(pool._processes):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


class _Spare:
    """The worker processes of the last run, for the next one: they take a second to start."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: tuple[int, int, ProcessPoolExecutor] | None = None

    def take(self, jobs: int) -> ProcessPoolExecutor:
        """So many workers: those kept, if they are as many, alive and of this process, or new."""
        with _importing:
            from joblib.externals.loky.process_executor import ProcessPoolExecutor

        with self._lock:
            kept, self._kept = self._kept, None
        if kept is not None and kept[:2] == (os.getpid(), jobs) and not kept[2]._flags.broken:
            return kept[2]
        _end(kept)
        return ProcessPoolExecutor(
            jobs,
            timeout=_SECONDS_IDLE,
            initializer=_be_a_worker,
            initargs=(os.getpid(),),
            env=_ONE_THREAD,
        )

    def give_back(self, jobs: int, pool: ProcessPoolExecutor) -> None:
        """Keep workers that have no more to do, in place of those kept so far."""
        with self._lock:
            kept, self._kept = self._kept, (os.getpid(), jobs, pool)
        _end(kept)

    def end(self) -> None:
        """Let the workers go before the modules that loky needs for it are torn down."""
        if self._kept is not None and self._kept[0] == os.getpid():
            with self._lock:
                kept, self._kept = self._kept, None
            _end(kept)


_spare = _Spare()
atexit.register(_spare.end)


def _end(kept: tuple[int, int, ProcessPoolExecutor] | None) -> None:
    """Let workers go, unless they are those of the process that this one was forked from."""
    if kept is not None and kept[0] == os.getpid():
        kept[2].shutdown(wait=False)


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Hold SIGINT and SIGTERM back, here for the block and in processes begun in it for ever.

    Ctrl-C reaches the whole process group, but only the main process shall answer it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _be_a_worker(head: int) -> None:
    """Set up a worker process of the process ``head``."""
    threading.Thread(target=_end_with, args=(head,), daemon=True).start()


def _end_with(head: int) -> None:
    """End this process soon after the main process is gone; loky's would wait 5 minutes."""
    while os.getppid() == head:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    os._exit(1)


def _in_folder(folder: str, function: Callable[[Task], Result], task: Task) -> Result:
    """Work in a worker, which lives on while the main process may go elsewhere."""
    os.chdir(folder)
    return function(task)
