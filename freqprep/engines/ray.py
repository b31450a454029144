"""The engine of Ray: a cluster at an address, or one of this machine."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from freqprep.engines.cluster import Places, TaskLostError, Tasks, run_on, shipped
from freqprep.engines.remote import Answer, Needs
from freqprep.engines.workers import Workers
from freqprep.errors import ClusterError, MissingPackageError, UsageError

_SECONDS_TO_CONNECT = 5
_RETRIES = 3
_MOST_UNDER_WAY = 2**16  # twice the threads of any cluster; Ray's default is 1,000
_STORE_BYTES = 200 * 2**20
_QUIET = {"log_to_driver": False, "configure_logging": False}

# Actors that no run has at present, each with the connection that it belongs to.
_idle: list[tuple[str, Any]] = []

# Jobs and environment of the cluster that was started here and is kept.
_own: tuple[int, dict[str, str]] | None = None

Task = TypeVar("Task")
Result = TypeVar("Result")


def run(
    function: Callable[[Task], Result], tasks: Tasks[Task], workers: Workers, places: Places
) -> Iterator[Result]:
    """Apply a function to tasks on a Ray cluster; see `freqprep.engines.run`."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # of a cluster that is started here
    ray = _ray()
    with _connected(ray, workers), _owned(ray) as owner:
        yield from run_on(_Ray(ray, owner), function, tasks, places)


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise MissingPackageError(
            f"ray cannot be imported: {error}", "pip install 'freqprep[ray]'"
        ) from None
    return ray


@contextlib.contextmanager
def _connected(ray: Any, workers: Workers) -> Iterator[None]:
    """Connect to a cluster; one that the application has connected to stays as it is.

    One of this machine is kept for the next run: it takes seconds to start. Ray ends it when the
    process ends.
    """
    global _own
    wanted = None if workers.address is not None else (workers.count, dict(os.environ))
    if ray.is_initialized() and _own not in (None, wanted):
        ray.shutdown()
    if ray.is_initialized():
        if _own is None:
            yield
            return
    elif workers.address is None:
        _start(ray, workers.count)
    else:
        _connect(ray, workers.address)
    _own = None if wanted is None else (workers.count, dict(os.environ))  # Ray may add to it
    try:
        yield
    except BaseException:
        ray.shutdown()  # an interrupt must not wait for the tasks under way
        raise
    if workers.address is not None:
        ray.shutdown()


def _start(ray: Any, jobs: int) -> None:
    logging.getLogger("ray").setLevel(logging.ERROR)  # notes on starting a cluster
    with _sigterm_kept():
        ray.init(num_cpus=jobs, object_store_memory=_STORE_BYTES, include_dashboard=False, **_QUIET)


def _connect(ray: Any, address: str) -> None:
    _check_address(address)
    with _sigterm_kept():
        try:
            ray.init(address=address, **_QUIET)
        except (ConnectionError, RuntimeError) as error:
            raise _no_cluster(address, error) from None
        except ValueError as error:
            raise _no_address(address, error) from None


@contextlib.contextmanager
def _sigterm_kept() -> Iterator[None]:
    """Keep the handler of SIGTERM, which Ray replaces, over a block."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _check_address(address: str) -> None:
    """Refuse an address where nothing listens: Ray would try for two minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if address in ("auto", "local"):
        return
    if not host or not port.isdecimal():
        raise _no_address(address, "not a host and a port")
    try:
        socket.create_connection((host, int(port)), _SECONDS_TO_CONNECT).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(address, error) from None


def _no_address(address: str, why: object) -> UsageError:
    return UsageError(
        f"--address {address} is not an address: {why}",
        "give that of the head, such as host:6379, or auto on a machine of the cluster",
    )


def _no_cluster(address: str, why: object) -> ClusterError:
    return ClusterError(
        f"no Ray cluster answers at {address}: {why}",
        "start one with `ray start --head`, and run this on one of its machines",
    )


@contextlib.contextmanager
def _owned(ray: Any) -> Iterator[Any]:
    """Provide an actor that owns the tasks of a run: those of a run that is given up end with it.

    Ray aborts a process that cancels a task just as it ends (ray-project/ray, pull request 54527),
    and the application may go on. An actor takes seconds to start, so it is kept for the next run.
    """
    connection = ray.get_runtime_context().get_worker_id()
    owner = None
    while owner is None:
        try:
            of, kept = _idle.pop()
        except IndexError:  # none is left; other threads may take them as well
            break
        owner = kept if of == connection and _answers(ray, kept) else None
    if owner is None:
        many = {"num_cpus": 0, "max_concurrency": _MOST_UNDER_WAY}
        owner = ray.remote(**many)(_owner()).remote(shipped(), _RETRIES)
    try:
        yield owner
    except BaseException:
        with contextlib.suppress(Exception):  # the cluster may be gone
            ray.kill(owner)
        raise
    _idle.append((connection, owner))


def _answers(ray: Any, actor: Any) -> bool:
    try:
        ray.get(actor.__ray_ready__.remote())
    except ray.exceptions.RayError:  # its machine is gone
        return False
    return True


def _owner() -> type:
    """Return the class of such an actor. Sent by value, as `shipped`."""

    class Owner:
        def __init__(self, perform: Callable[..., Answer], retries: int) -> None:
            import ray

            self._perform = ray.remote(num_cpus=1, max_retries=retries)(perform)

        async def perform(self, needs: tuple[Any, ...], work: bytes) -> Any:
            return await self._perform.remote(needs, work)

    return Owner


class _Ray:
    """A Ray cluster, for `freqprep.engines.cluster.run_on`."""

    def __init__(self, ray: Any, owner: Any) -> None:
        self._ray, self._owner = ray, owner
        self._perform = ray.remote(shipped())
        self._futures: list[Any] = []

    def threads(self) -> int:
        """Return the number of the cluster's processors."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def ask_all(self, needs: Needs) -> Iterator[tuple[str, Answer]]:
        """Let a worker of every machine check itself; see `freqprep.engines.cluster.Cluster`."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        nodes = [node for node in self._ray.nodes() if node["Alive"]]
        asked = {}
        for node in nodes:
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            options = {"num_cpus": 0, "scheduling_strategy": there}
            task = self._perform.options(**options).remote(tuple(needs), b"")
            asked[task] = node["NodeManagerAddress"]
        for task, name in asked.items():
            try:
                yield name, self._ray.get(task)
            except self._ray.exceptions.RayError as error:
                raise ClusterError(
                    f"a worker on {name} does not answer: {error}", "see its log; start it again"
                ) from None

    def submit(self, needs: Needs, work: bytes) -> Any:
        """Begin a task."""
        future = self._owner.perform.remote(tuple(needs), work)
        self._futures.append(future)
        return future

    def wait(self) -> list[Any]:
        """Wait for tasks to end."""
        self._ray.wait(self._futures)
        ended: list[Any]
        ended, self._futures = self._ray.wait(
            self._futures, num_returns=len(self._futures), timeout=0
        )
        return ended

    def answer(self, handle: Any) -> Answer:
        """Return the answer of a task that has ended."""
        errors = self._ray.exceptions
        try:
            answer: Answer = self._ray.get(handle)
            return answer
        except errors.RayTaskError as error:
            if not isinstance(error.cause, errors.RayError):
                raise
            raise TaskLostError(
                f"{_RETRIES + 1} workers died with it ({_line(error.cause)})"
            ) from None
        except errors.RayError as error:  # the actor's process has died, or a machine
            raise TaskLostError(f"the cluster has lost it ({_line(error)})") from None


def _line(error: Exception) -> str:
    return " ".join(str(error).strip().splitlines()[:1])
