"""The engine of Dask: a cluster at an address, or one of this machine."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from typing import Any, NamedTuple, TypeVar

from freqprep.engines.cluster import Places, TaskLostError, Tasks, run_on, shipped
from freqprep.engines.local import signals_held
from freqprep.engines.remote import MISSING, Answer, Needs, versions
from freqprep.engines.workers import Workers
from freqprep.errors import ClusterError, MissingPackageError, UsageError

_SECONDS_TO_CONNECT = 5
# Its server is started all the same: on any free port, for this machine alone.
_NO_DASHBOARD = {
    "dashboard_address": None,
    "scheduler_kwargs": {"dashboard": False, "dashboard_address": "127.0.0.1:0"},
}

Task = TypeVar("Task")
Result = TypeVar("Result")


def run(
    function: Callable[[Task], Result], tasks: Tasks[Task], workers: Workers, places: Places
) -> Iterator[Result]:
    """Apply a function to tasks on a Dask cluster; see `freqprep.engines.run`."""
    with _client(workers) as client:
        cluster = _Dask(client, workers.address)
        try:
            yield from run_on(cluster, function, tasks, places)
        finally:
            cluster.cancel()


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise MissingPackageError(
            f"distributed cannot be imported: {error}", "pip install 'freqprep[dask]'"
        ) from None
    return distributed


@contextlib.contextmanager
def _client(workers: Workers) -> Iterator[Any]:
    if workers.address is None:
        with _own.client(workers.count) as client:
            yield client
        return
    distributed = _distributed()
    try:
        client = distributed.Client(
            workers.address, timeout=_SECONDS_TO_CONNECT, set_as_default=False
        )
    except ValueError as error:
        raise UsageError(
            f"--address {workers.address} is not an address: {error}",
            "give that of the scheduler, such as tcp://host:8786",
        ) from None
    except (OSError, TimeoutError) as error:
        raise ClusterError(
            f"no Dask scheduler answers at {workers.address}: {error}",
            "start one with `dask scheduler`, and workers with `dask worker ADDRESS`",
        ) from None
    with client:
        yield client


class _Dask:
    """A Dask cluster, for `freqprep.engines.cluster.run_on`."""

    def __init__(self, client: Any, address: str | None) -> None:
        self._client = client
        self._perform = shipped()
        self._ended = _distributed().as_completed(loop=client.loop)
        self._futures: set[Any] = set()

    def threads(self) -> int:
        """Return the number of the workers' threads."""
        return sum(self._client.nthreads().values())

    def ask_all(self, needs: Needs) -> Iterator[tuple[str, Answer]]:
        """Let every worker check itself; see `freqprep.engines.cluster.Cluster`."""
        yield from self._other_pythons()
        answers = self._client.run(self._perform, tuple(needs), b"", on_error="return")
        for worker, answer in answers.items():
            if isinstance(answer, BaseException):
                raise ClusterError(
                    f"the worker {worker} does not answer: {answer!r}",
                    "see its log; start it again",
                )
            yield worker, answer

    def _other_pythons(self) -> Iterator[tuple[str, Answer]]:
        """Find workers to which no function can be sent: bytecode differs between versions."""
        (_, ours), *_ = versions()
        for worker, found in self._client.get_versions()["workers"].items():
            python = found["host"]["python"]
            if python.split(".")[:2] != ours.split("."):
                yield worker, (MISSING, worker, f"it runs Python {python}, this process {ours}")

    def submit(self, needs: Needs, work: bytes) -> Any:
        """Begin a task."""
        future = self._client.submit(self._perform, tuple(needs), work, pure=False)
        self._futures.add(future)
        self._ended.add(future)
        return future

    def wait(self) -> list[Any]:
        """Wait for tasks to end."""
        return self._ended.next_batch()  # type: ignore[no-any-return]

    def answer(self, handle: Any) -> Answer:
        """Return the answer of a task that has ended."""
        self._futures.discard(handle)
        distributed = _distributed()
        try:
            answer: Answer = handle.result()  # done again, if the worker that had it has died
            return answer
        except distributed.KilledWorker as error:
            raise TaskLostError(
                f"{error.allowed_failures + 1} workers died with it, the last one at"
                f" {error.last_worker.address}"
            ) from None
        except CancelledError:
            raise TaskLostError("the connection to the scheduler was lost") from None

    def cancel(self) -> None:
        """Give up the tasks that have not ended."""
        with contextlib.suppress(Exception):  # the cluster may be gone
            self._client.cancel(list(self._futures), force=True)


class _Kept(NamedTuple):
    process: int  # that started it
    jobs: int
    environment: dict[str, str]  # of its workers; it may have credentials
    cluster: Any
    client: Any


class _OwnCluster:
    """A cluster of this machine, kept for the next run: it takes seconds to start."""

    def __init__(self) -> None:
        self._kept: _Kept | None = None

    @contextlib.contextmanager
    def client(self, jobs: int) -> Iterator[Any]:
        """Return a client of a cluster with so many workers; after an error it is ended."""
        kept, self._kept = self._kept, None
        if kept is None or kept[:3] != (os.getpid(), jobs, dict(os.environ)):
            _end(kept)
            kept = self._start(jobs)
        try:
            yield kept.client
        except BaseException:
            _end(kept)  # an interrupt must not wait for the tasks under way
            raise
        if self._kept is None:
            self._kept = kept
        else:  # that of another thread
            _end(kept)

    def _start(self, jobs: int) -> _Kept:
        distributed = _distributed()
        try:
            with signals_held():
                cluster = distributed.LocalCluster(
                    n_workers=jobs,
                    threads_per_worker=1,
                    memory_limit=0,
                    silence_logs=logging.CRITICAL,
                    **_NO_DASHBOARD,
                )
        except RuntimeError as error:
            raise ClusterError(
                f"a Dask cluster cannot be started here: {error}",
                "in a script, work below `if __name__ == '__main__':`, for its workers import it",
            ) from None
        client = distributed.Client(cluster, set_as_default=False)
        return _Kept(os.getpid(), jobs, dict(os.environ), cluster, client)

    def end(self) -> None:
        """End the cluster kept."""
        kept, self._kept = self._kept, None
        _end(kept)


_own = _OwnCluster()
atexit.register(_own.end)


def _end(kept: _Kept | None) -> None:
    if kept is not None and kept.process == os.getpid():
        kept.client.close()
        kept.cluster.close()
