"""The processes of one run, forked from the tests' own: an import of torch takes each seconds."""

import multiprocessing
import os
import socket
import traceback
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from subprocess import CompletedProcess

import synthetic

SECONDS = 300


def on_ranks(work: Callable[[], object], size: int = 2) -> list[tuple[int, object]]:
    """Run a function in processes with the variables that ``torchrun`` sets.

    Returns
    -------
    list of tuple
        Of each rank: its exit code, and what the function returned, None where it did not.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    shared |= {"WORLD_SIZE": str(size), "LOCAL_WORLD_SIZE": str(size)}
    context = multiprocessing.get_context("fork")
    started = []
    for rank in range(size):
        variables = {**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}
        mine, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(work, variables, theirs))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*use of fork", DeprecationWarning)
            process.start()
        theirs.close()
        started.append((process, mine))
    try:
        return [_ended(process, mine) for process, mine in started]
    finally:
        for process, _ in started:
            process.kill()


def _work(work: Callable[[], object], variables: dict[str, str], answer: Connection) -> None:
    import torch  # here: tests that skip without it import this module first

    os.environ.update(variables)
    torch.set_num_threads(1)  # the threads of the tests' process are not here
    try:
        answer.send(work())
    except BaseException:
        traceback.print_exc()
        raise


def _ended(process: multiprocessing.Process, answer: Connection) -> tuple[int, object]:
    found = None
    try:
        if answer.poll(SECONDS):
            found = answer.recv()
    except EOFError:  # killed, or failed
        pass
    process.join(SECONDS)
    assert process.exitcode is not None, "a process waits for ever"
    return process.exitcode, found


def freqprep_on_ranks(
    *words: str | Path, size: int = 2, cwd: Path | None = None
) -> CompletedProcess[str]:
    """Run the command in several processes: the worst exit code, and what all printed, by rank."""
    ended = on_ranks(lambda: synthetic.freqprep(*words, cwd=cwd), size)
    done = [found for _, found in ended]
    assert all(isinstance(one, CompletedProcess) for one in done), ended
    output, errors = ("".join(getattr(one, name) for one in done) for name in ("stdout", "stderr"))
    return CompletedProcess(words, max(one.returncode for one in done), output, errors)
