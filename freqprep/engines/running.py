"""Work on whichever engine is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from freqprep.engines import local
from freqprep.engines.cluster import Places, Tasks, of_workers
from freqprep.engines.workers import Workers

Task = TypeVar("Task")
Result = TypeVar("Result")

_NOWHERE = Places()


def run(
    function: Callable[[Task], Result],
    tasks: Tasks[Task],
    workers: Workers,
    places: Places = _NOWHERE,
) -> Iterator[Result]:
    """Apply a function to tasks in parallel, yielding results as they are ready.

    A worker of a cluster that is lost has its tasks done again by another.

    Parameters
    ----------
    function : callable
        Picklable function of a task. NumPy runs on one core during the call. It may be called
        again for a task whose worker was lost.
    tasks : iterable, or function of a number of workers that returns one
        Picklable tasks, consumed as workers become free. Paths in them are absolute, where the
        workers are a cluster's. Errors name a task by its attribute ``shard``.
    workers : Workers
    places : Places
        What a cluster's workers must see; each is checked before it works.

    Returns
    -------
    iterator
        Result of each task, in any order. Errors of ``function`` are raised unchanged.

    Raises
    ------
    ClusterError
        A cluster cannot be reached, or a worker lacks freqprep, the same versions or the files.
    WorkerDiedError
        Workers died, and so did those that did their tasks again.
    MissingPackageError
        The package of the engine is not installed.
    """
    if workers.engine == "dask":
        from freqprep.engines import dask

        return dask.run(function, tasks, workers, places)
    if workers.engine == "ray":
        from freqprep.engines import ray

        return ray.run(function, tasks, workers, places)
    return local.run(function, of_workers(tasks, workers.count), workers.count)
