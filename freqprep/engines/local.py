"""The engine of local worker processes."""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import cache, partial
from itertools import islice
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from threadpoolctl import ThreadpoolController

from freqprep.engines.process_wide import warnings_ignored
from freqprep.engines.trackers import ensure_trackers, joblib_with_pool
from freqprep.errors import WorkerDiedError
from freqprep.storage.temporary import note_segments, remove_abandoned

if TYPE_CHECKING:
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


def default_jobs() -> int:
    """Return the number of processor cores that this process may use."""
    return int(joblib_with_pool().cpu_count())


def _loky() -> Any:
    return joblib_with_pool().externals.loky.process_executor


def run(function: Callable[[Task], Result], tasks: Iterable[Task], jobs: int) -> Iterator[Result]:
    """Apply a function to tasks in parallel, yielding results as they are ready.

    Several threads may call this at the same time; each has its own workers.

    Parameters
    ----------
    function : callable
        Picklable function of a task. NumPy runs on one core during the call.
    tasks : iterable
        Picklable tasks, consumed as workers become free, at most two per worker ahead.
    jobs : int
        Number of worker processes. With 1, or in a daemonic process (as in
        ``multiprocessing.Pool``), which may not start any, the calling thread does the work.

    Yields
    ------
    Result
        Result of each task, in any order.

    Raises
    ------
    WorkerDiedError
        A worker process was killed. Errors of ``function`` are raised unchanged.
    """
    remove_abandoned()
    if jobs > 1 and not multiprocessing.current_process().daemon:
        yield from _in_processes(function, tasks, jobs)
        return
    for task in tasks:
        yield on_one_core(function, task)


def on_one_core(function: Callable[[Task], Result], task: Task) -> Result:
    """Work in the calling thread, with BLAS limited to one thread.

    The limit is that of the process: two threads that each set it and restore the previous value
    could leave the other's limit. So only one sets it; results are bit-identical either way.
    """
    if not _limiting.acquire(blocking=False):
        return function(task)
    try:
        with _blas().limit(limits=1):
            return function(task)
    finally:
        _limiting.release()


@cache
def _blas() -> ThreadpoolController:
    """Find the libraries of BLAS, in a thread of its own.

    They are found in a callback from C. A Ctrl-C that comes to the main thread in there is lost.
    """
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(ThreadpoolController).result()


def _in_processes(
    function: Callable[[Task], Result], tasks: Iterable[Task], jobs: int
) -> Iterator[Result]:
    pool = _spare.take(jobs)
    environment = dict(os.environ)  # joblib may have added to it
    call = partial(_in_folder, os.getcwd(), function)
    waiting = iter(tasks)
    running: set[Future[Result]] = set()
    try:
        running.update(_submit(pool, call, islice(waiting, _TASKS_A_WORKER * jobs)))
        _note_semaphores()  # some are made with the pool, some now
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                result = future.result()
                running.update(_submit(pool, call, islice(waiting, 1)))
                yield result
    except BaseException as error:
        _kill(pool)  # an interrupt must not wait for the tasks under way
        if isinstance(error, _loky().TerminatedWorkerError):
            raise WorkerDiedError(
                "a worker process was killed, most likely because memory ran out",
                "run again with --resume and fewer --jobs",
            ) from None
        raise
    _spare.give_back(jobs, environment, pool)


def _note_semaphores() -> None:
    note_segments(f"sem.loky-{os.getpid()}-*")


def _submit(
    pool: ProcessPoolExecutor, call: Callable[[Task], Result], tasks: Iterable[Task]
) -> list[Future[Result]]:
    submitted = []
    for task in tasks:
        with signals_held(), _loky_errors():  # this may start workers
            submitted.append(pool.submit(call, task))
    return submitted


@contextlib.contextmanager
def _loky_errors() -> Iterator[None]:
    """Let the system's error pass that loky hides: it cleans up what it has not made yet."""
    try:
        yield
    except UnboundLocalError as error:
        raise (error.__context__ or error) from None


def _kill(pool: ProcessPoolExecutor) -> None:
    """Kill workers at once, in the middle of their tasks.

    Not by ``shutdown(kill_workers=True)``: right after a task was submitted, loky's own thread
    then fails with a traceback.
    """
    ensure_trackers()
    for pid in list(pool._processes):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


class _Kept(NamedTuple):
    process: int  # that started them
    jobs: int
    environment: dict[str, str]  # theirs; it may have credentials
    pool: ProcessPoolExecutor


class _Spare:
    """Workers of the last run, kept for the next one: they take a second to start."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: _Kept | None = None

    def take(self, jobs: int) -> ProcessPoolExecutor:
        """Return a pool of ``jobs`` workers: that kept, if it fits and is alive, or a new one."""
        kept = self._exchange(None)
        asked = os.getpid(), jobs, dict(os.environ)
        if kept is not None and kept[:3] == asked and not kept.pool._flags.broken:
            return kept.pool
        _end(kept)
        ensure_trackers()
        made: ProcessPoolExecutor = _loky().ProcessPoolExecutor(
            jobs,
            timeout=_SECONDS_IDLE,
            initializer=_init_worker,
            initargs=(os.getpid(),),
            env=_ONE_THREAD,
        )
        _note_semaphores()
        return made

    def give_back(self, jobs: int, environment: dict[str, str], pool: ProcessPoolExecutor) -> None:
        """Keep idle workers instead of those kept so far."""
        ensure_trackers()  # while there is time: as the interpreter ends, joblib is first
        _end(self._exchange(_Kept(os.getpid(), jobs, environment, pool)))

    def end(self) -> None:
        """Let the workers go before the modules that loky needs for it are torn down."""
        if self._kept is not None and self._kept.process == os.getpid():
            _end(self._exchange(None))

    def _exchange(self, new: _Kept | None) -> _Kept | None:
        with self._lock:
            before, self._kept = self._kept, new
        return before


_spare = _Spare()
atexit.register(_spare.end)


def _end(kept: _Kept | None) -> None:
    """Shut workers down, unless they belong to the process that this one was forked from."""
    if kept is not None and kept.process == os.getpid():
        ensure_trackers()
        kept.pool.shutdown(wait=False)


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """Block SIGINT and SIGTERM, here during a block and for good in processes started in it.

    Ctrl-C reaches the whole process group, but only the main process should handle it. The process
    that tracks shared resources is started first: its start lets signals through in Python 3.11.
    """
    with warnings_ignored:  # that it was killed
        resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _init_worker(main: int) -> None:
    """Set up a worker process of the process with the id ``main``."""
    threading.Thread(target=_end_with, args=(main,), daemon=True).start()


def _end_with(main: int) -> None:
    """End this process soon after the main process has ended; loky would wait 5 minutes."""
    while os.getppid() == main:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    os._exit(1)


def _in_folder(folder: str, function: Callable[[Task], Result], task: Task) -> Result:
    """Work in a worker; it outlives a run, and the main process may have changed its folder."""
    os.chdir(folder)
    return function(task)
