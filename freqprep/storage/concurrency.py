"""Requests to object stores in flight together, where files of a disk are read one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from freqprep.storage.interruptible import in_threads
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import AnyPath

IN_FLIGHT = 32
"""Requests of a process at a time; more gain little, as the server is then what limits."""

PathT = TypeVar("PathT", bound=AnyPath)
ResultT = TypeVar("ResultT")


def for_each(function: Callable[[PathT], ResultT], paths: Sequence[PathT]) -> Iterator[ResultT]:
    """Call a function with each path, in threads if they are objects.

    Parameters
    ----------
    function : callable
        Makes one request.
    paths : sequence of Path or ObjectPath
        All of one kind.

    Yields
    ------
    Any
        Results in the order of the paths.
    """
    if paths and isinstance(paths[0], ObjectPath):
        yield from in_threads((partial(function, path) for path in paths), IN_FLIGHT)
    else:
        yield from map(function, paths)
