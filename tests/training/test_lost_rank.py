"""Of two processes one is killed: the other ends with an error that says so, and does not wait."""

import os
import signal

import pytest
from ranks import on_ranks

from freqprep.errors import RunError
from freqprep.training.distributed import init_distributed


def ask_for_ever(lost, asks, given):
    """Ask all processes, of which one is killed; return the error."""
    try:
        with init_distributed("cpu") as world:
            world.wait()
            if world.rank == lost:
                os.kill(os.getpid(), signal.SIGKILL)
            while True:
                getattr(world, asks)(*given)
    except RunError as error:
        return str(error)


@pytest.mark.parametrize(
    ("lost", "asks", "given"), [(0, "any", [True]), (1, "gather", ["text"]), (1, "wait", [])]
)
def test_the_other_one_says_which_it_was(lost, asks, given):
    ended = on_ranks(lambda: ask_for_ever(lost, asks, given))
    assert ended[lost] == (-signal.SIGKILL, None)
    code, said = ended[1 - lost]
    assert code == 0 and said.startswith(f"process {1 - lost} of 2 has lost another one: ")
    assert said.endswith("a training with --resume")
