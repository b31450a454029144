"""Of two processes one is killed: the other ends with an error that says so, and does not wait."""

import os
import signal
import socket
import subprocess
import sys

import pytest

PROGRAM = """
import os, signal, sys
from freqprep.errors import RunError
from freqprep.training.distributed import init_distributed

try:
    with init_distributed("cpu") as world:
        world.wait()
        if world.rank == int(sys.argv[1]):
            os.kill(os.getpid(), signal.SIGKILL)
        while True:
            getattr(world, sys.argv[2])(*eval(sys.argv[3]))
except RunError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("lost", "asks", "given"), [(0, "any", "[True]"), (1, "gather", "['text']"), (1, "wait", "[]")]
)
def test_the_other_one_says_which_it_was(lost, asks, given):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    line = [sys.executable, "-c", PROGRAM, str(lost), asks, given]
    processes = [
        subprocess.Popen(
            line,
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        said = [process.communicate(timeout=300) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert processes[lost].returncode == -signal.SIGKILL
    out, err = said[1 - lost]
    assert processes[1 - lost].returncode == 0, err
    assert out.startswith(f"process {1 - lost} of 2 has lost another one: ")
    assert out.endswith("a training with --resume\n") and "Traceback" not in err
