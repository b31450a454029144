"""Work on a cluster of any kind: a check of its workers, then a window of tasks under way.

All tasks at once would fill the scheduler's memory before the first result, so twice as many as
there are threads are under way. Where there are many workers, a task of the cluster is several of
ours: its scheduler starts some 200 a second.
"""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from freqprep.engines.remote import CHECKED, DONE, FAILED, MISSING, Answer, Needs, versions
from freqprep.errors import ClusterError, WorkerDiedError, some
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import AnyPath

_TASKS_A_THREAD = 2
_TASKS_A_SECOND = 200
_SECONDS_BETWEEN_COUNTS = 5.0
_FIRST_GUESS = 1.0
_WEIGHT = 0.1

Task = TypeVar("Task")
Result = TypeVar("Result")

Tasks: TypeAlias = Iterable[Task] | Callable[[int], Iterable[Task]]
"""Tasks, or a function that divides work into tasks for so many workers."""


def of_workers(tasks: Tasks[Task], workers: int) -> Iterable[Task]:
    """Return the tasks for a number of workers."""
    return tasks(workers) if callable(tasks) else tasks


@dataclass(frozen=True)
class Places:
    """Files that workers must see; a cluster's may be on machines that do not.

    Attributes
    ----------
    reads : tuple of Path or ObjectPath
        Files and folders that are read, a sample of them.
    writes : Path, ObjectPath or None
        Folder that files are written in; it exists. Or a prefix of a bucket.
    """

    reads: tuple[AnyPath, ...] = ()
    writes: AnyPath | None = None


class TaskLostError(Exception):
    """A task of the cluster has no result: its workers, or the scheduler, have died."""


class Cluster(Protocol):
    """A cluster of some kind. A handle is what it knows a task by; it is hashable."""

    def threads(self) -> int:
        """Return the number of tasks that are worked on at the same time."""

    def ask_all(self, needs: Needs) -> Iterator[tuple[str, Answer]]:
        """Let every worker check itself; yield its name and answer."""

    def submit(self, needs: Needs, work: bytes) -> Any:
        """Begin a task; return its handle."""

    def wait(self) -> list[Any]:
        """Wait until some of the tasks submitted have ended; return their handles, each once."""

    def answer(self, handle: Any) -> Answer:
        """Return the answer of a task that has ended; raises `TaskLostError`."""


def shipped() -> Callable[[tuple[Any, ...], bytes], Answer]:
    """Return the function that is sent to workers: by value, as it is nobody's attribute.

    A worker without freqprep answers that it has none. A function that is looked up by its name
    would end the worker, or leave its task waiting for ever.
    """

    def perform(needs: tuple[Any, ...], work: bytes) -> Answer:
        import socket
        import sys

        try:
            from freqprep.engines.remote import perform
        except ImportError as error:
            text = f"{sys.executable} cannot import freqprep: {error}"
            return "missing", socket.gethostname(), text
        answer: Answer = perform(needs, work)
        return answer

    return perform


def run_on(
    cluster: Cluster, function: Callable[[Task], Result], tasks: Tasks[Task], places: Places
) -> Iterator[Result]:
    """Apply a function to tasks on a cluster; see `freqprep.engines.run`."""
    with _needs(places) as needs:
        _check_workers(cluster, needs)
        threads, counted = max(cluster.threads(), 1), time.monotonic()
        groups, under_way = _Groups(of_workers(tasks, threads)), dict[Any, Sequence[Task]]()
        while True:
            while len(under_way) < _TASKS_A_THREAD * threads and (group := groups.take(threads)):
                under_way[cluster.submit(needs, pickle.dumps((function, group)))] = group
            if not under_way:
                return
            lost: list[Task] = []
            for handle in cluster.wait():
                asked = under_way.pop(handle)
                try:
                    answer = cluster.answer(handle)
                except TaskLostError as error:
                    lost, why = [*lost, *asked], error
                    continue
                results, seconds = _results(answer)
                groups.took(seconds / len(asked))
                yield from results
            if lost:
                raise _died(lost, why)
            if time.monotonic() - counted > _SECONDS_BETWEEN_COUNTS:  # workers come and go
                threads, counted = max(cluster.threads(), 1), time.monotonic()


@contextlib.contextmanager
def _needs(places: Places) -> Iterator[Needs]:
    """State what workers need; while they work, a file to see lies in the folder they write in."""
    nonce = f"seen-{secrets.token_hex(8)}"
    reads = tuple(_absolute(path) for path in places.reads)
    if places.writes is None:
        yield Needs(versions(), reads, "", nonce)
        return
    needs = Needs(versions(), reads, _absolute(places.writes), nonce)
    if isinstance(places.writes, ObjectPath):
        yield needs  # a worker that can write there sees what others write
        return
    seen = places.writes / nonce
    seen.touch()
    try:
        yield needs
    finally:
        seen.unlink(missing_ok=True)


def _absolute(path: AnyPath) -> str:
    return str(path) if isinstance(path, ObjectPath) else os.path.abspath(path)


def _check_workers(cluster: Cluster, needs: Needs) -> None:
    workers = 0
    for name, answer in cluster.ask_all(needs):
        workers += 1
        if answer[0] != CHECKED:
            raise _unfit(answer, name)
    if not workers:
        raise ClusterError("the cluster has no workers", "start some, and run again")


def _unfit(answer: Answer, name: str = "") -> ClusterError:
    state, host, what = answer
    worker = f"the worker on {host}" + (f" ({name})" if name else "")
    if state == MISSING:
        return ClusterError(
            f"{worker} has no freqprep: {what}",
            "install it there, the version of this machine, and start the worker again",
        )
    remedy = "mount it there at the same path; paths must be the same on all machines"
    if what.startswith("it does not see the bucket"):
        remedy = "give its environment the AWS_ENDPOINT_URL and credentials of this process"
    elif what.startswith("it has ") and not what.startswith("it has no"):
        remedy = "install the same versions there, and start the worker again"
    elif what.startswith("it has no access") and "needs obstore" in what:
        remedy = "pip install 'freqprep[s3]' there, and start the worker again"
    elif what.startswith("it has no access"):
        remedy = "give the worker's environment the credentials that this process has"
    elif what.startswith("it cannot write"):
        remedy = "let the worker's user write there, by the group and mode of the store's folder"
    return ClusterError(f"{worker} cannot do the work: {what}", remedy)


def _results(answer: Answer) -> tuple[list[Any], float]:
    state, _, data = answer
    if state == FAILED:
        raise pickle.loads(data)
    if state != DONE:
        raise _unfit(answer)  # it came later than the check
    results, seconds = pickle.loads(data)
    return results, seconds


def _died(tasks: Sequence[object], error: TaskLostError) -> WorkerDiedError:
    """Name all tasks that died together: Dask blames the next one of a worker, too."""
    names = sorted(str(task.shard) for task in tasks if hasattr(task, "shard"))
    what = f"shard {some(names)}" if names else "a task"
    return WorkerDiedError(
        f"{what} has no result: {error}",
        "see the workers' logs, memory may have run out; run again, with --resume where there is"
        " one",
    )


class _Groups(Generic[Task]):
    """Tasks, taken several at a time where workers are many and tasks short."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._tasks = iter(tasks)
        self._seconds = _FIRST_GUESS

    def take(self, threads: int) -> list[Task]:
        """Return the next tasks; none at the end."""
        return list(islice(self._tasks, group_size(threads, self._seconds)))

    def took(self, seconds: float) -> None:
        """Learn how long a task takes."""
        self._seconds += _WEIGHT * (seconds - self._seconds)


def group_size(threads: int, seconds: float) -> int:
    """Return how many tasks of some seconds each go together, so that a scheduler keeps up."""
    return max(1, math.ceil(threads / (seconds * _TASKS_A_SECOND))) if threads > 1 else 1
