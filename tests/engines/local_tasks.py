"""Tasks for local workers, who import this module and, with it, as little as can be."""

import os

from freqprep.engines import local


def read(path: str) -> int:
    with open(path, "rb") as file:
        return len(file.read())


def fail(task: int) -> None:
    raise ZeroDivisionError(task)


def variable(_: int) -> str | None:
    return os.environ.get("FREQPREP_TEST")


def process_id(_: int) -> int:
    return os.getpid()


def with_two_jobs(_: int) -> bool:
    return set(local.run(process_id, range(3), 2)) == {os.getpid()}
