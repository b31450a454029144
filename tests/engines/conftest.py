"""Clusters of two workers, shared by all tests of engines."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from in_threads import SECONDS
from object_servers import CREDENTIALS, lead_to

from freqprep.engines import Workers
from freqprep.engines import ray as ray_engine
from freqprep.engines.dask import _NO_DASHBOARD

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.fixture(scope="session", autouse=True)
def importable() -> None:
    """Let workers import the functions of `cluster_tasks`; theirs is the environment of now."""
    places = (HERE, HERE.parent, ROOT, ROOT / "cli")
    os.environ["PYTHONPATH"] = os.pathsep.join(map(str, places))


@pytest.fixture(scope="session")
def dask_cluster(importable, memory_server) -> Iterator[str]:
    """Address of a Dask cluster; a task that ends two workers is given up."""
    distributed = pytest.importorskip("distributed")
    import dask

    with (
        dask.config.set(
            {
                "distributed.scheduler.allowed-failures": 1,
                "distributed.comm.timeouts.connect": "2s",  # to workers that have died
            }
        ),
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            memory_limit=0,
            silence_logs=logging.CRITICAL,
            env={**CREDENTIALS, "AWS_ENDPOINT_URL": memory_server[0]},
            **_NO_DASHBOARD,
        ) as cluster,
    ):
        yield cluster.scheduler_address


@pytest.fixture(scope="module")
def ray_cluster(importable, memory_server) -> Iterator[None]:
    """A Ray cluster that this process is connected to, which its engine then uses.

    Of a module, because a process has one: other tests let the engine start its own.
    """
    ray = pytest.importorskip("ray")
    ray.shutdown()  # one that the engine has kept
    ray_engine._own = None
    with pytest.MonkeyPatch.context() as patch:
        lead_to(patch, memory_server[0])
        ray_engine._start(ray, 2)
    yield
    ray.shutdown()


@pytest.fixture(scope="module", params=["dask", "ray"])
def running(request) -> Workers:
    """A running cluster."""
    address = request.getfixturevalue(f"{request.param}_cluster")
    return Workers(None, request.param, address)


@pytest.fixture
def cluster(running) -> Workers:
    """A running cluster of two workers, also after a test that has killed them."""
    if running.engine == "dask":
        import distributed

        with distributed.Client(running.address, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=SECONDS)
    return running


@pytest.fixture(scope="session")
def scheduler(importable) -> Iterator[str]:
    """Address of a Dask scheduler without workers."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=0, silence_logs=logging.CRITICAL, **_NO_DASHBOARD
    ) as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def worker(scheduler) -> Callable:
    """Context of a Dask worker of `scheduler`, begun by some words and with a PYTHONPATH."""
    import distributed

    @contextmanager
    def begin(*path: Path, words: tuple[str, ...] = ()) -> Iterator[Workers]:
        options = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", "0"]
        module = ["-m", "distributed.cli.dask_worker"]
        process = subprocess.Popen(
            [*words, sys.executable, *module, scheduler, *options],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))},
            cwd=HERE,  # where no freqprep is
            stderr=subprocess.DEVNULL,
        )
        try:
            with distributed.Client(scheduler, set_as_default=False) as client:
                client.wait_for_workers(1, timeout=SECONDS)
                yield Workers(engine="dask", address=scheduler)
        finally:
            process.kill()
            process.wait()
            with distributed.Client(scheduler, set_as_default=False) as client:
                client.retire_workers(close_workers=False)

    return begin
