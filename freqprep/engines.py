"""Where the work of a conversion runs. Local processes today; clusters plug in here."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import TypeVar

import joblib
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.process_executor import TerminatedWorkerError
from threadpoolctl import threadpool_limits

from freqprep.errors import WorkerDiedError

_SECONDS_BETWEEN_LOOKS = 1.0

Task = TypeVar("Task")
Result = TypeVar("Result")


def default_jobs() -> int:
    """Processor cores that this process may use."""
    return int(joblib.cpu_count())


def run(function: Callable[[Task], Result], tasks: Iterable[Task], jobs: int) -> Iterator[Result]:
    """Apply a function to each task, in parallel; results come as they are ready.

    Parameters
    ----------
    function : callable
        Picklable. Each call runs on one core.
    tasks : iterable
        Consumed as workers become free, at most two tasks a worker ahead.
    jobs : int
        Worker processes; with 1 the calling process does the work.

    Yields
    ------
    Result
        In any order.

    Raises
    ------
    WorkerDiedError
        A worker process was killed. Errors of ``function`` are raised as they are.
    """
    pool = joblib.Parallel(
        n_jobs=jobs, backend="loky", batch_size=1, return_as="generator_unordered", max_nbytes=None
    )
    results = None
    try:
        with _signals_held():  # this starts the workers
            folder = os.getcwd()
            results = pool(joblib.delayed(_on_one_core)(function, task, folder) for task in tasks)
        for result in results:  # noqa: UP028 - it is closed below, in its own way
            yield result
    except TerminatedWorkerError:
        raise WorkerDiedError(
            "a worker process was killed, most likely for want of memory",
            "run again with --resume and fewer --jobs",
        ) from None
    except BaseException:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that tasks under way are lost
            if results is not None:
                results.close()
        if jobs > 1:  # an interrupt must not wait for the tasks under way
            get_reusable_executor().shutdown(wait=False, kill_workers=True)
        raise


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


@cache
def _be_a_worker(head: int | None) -> None:
    """Set up a worker process, once."""
    threading.Thread(target=_end_with, args=(head,), daemon=True).start()


def _end_with(head: int | None) -> None:
    """End this process soon after the main process is gone; loky's would wait 5 minutes."""
    while os.getppid() == head:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    os._exit(1)


def _on_one_core(function: Callable[[Task], Result], task: Task, folder: str) -> Result:
    if (head := multiprocessing.parent_process()) is not None:
        _be_a_worker(head.pid)
        os.chdir(folder)  # workers live on while the main process may go elsewhere
    with threadpool_limits(limits=1):
        return function(task)
