"""Processes hear of an interrupt after the same step, within seconds; none waits for validation."""

import dataclasses
import os
import signal
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
import torch
from interrupting import interrupt_after

from freqprep.training import interrupts
from freqprep.training.checkpoint import read_checkpoint, unfinished_note
from freqprep.training.classifier_task import ClassifierTask
from freqprep.training.distributed import World
from freqprep.training.interrupts import Interrupts
from freqprep.training.loop import train
from freqprep.training.metrics import read_metrics
from freqprep.training.model_config import read_model_config


@dataclasses.dataclass(frozen=True)
class Summing(World):
    """One of two processes; what the sum over both is, is given."""

    total: Callable[[torch.Tensor], torch.Tensor] = torch.clone

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        return self.total(tensor)


@pytest.fixture
def clock(monkeypatch):
    """Seconds that only the test lets pass."""
    now = [0.0]
    monkeypatch.setattr(interrupts.time, "monotonic", lambda: now[0])
    return now


def asked_at(clock, rank, seconds, answers: Iterator[torch.Tensor] | None = None):
    """Return the steps after which a process asks, what it says, and what it hears."""
    said: list[torch.Tensor] = []

    def total(tensor: torch.Tensor) -> torch.Tensor:
        said.append(tensor.clone())
        return tensor if answers is None else next(answers)

    asked = Interrupts(Summing(rank, 2, torch.device("cpu"), total), lambda: bool(rank))
    steps, heard = [], []
    for step, duration in enumerate(seconds):
        clock[0] += duration
        heard.append(asked.after_step())
        steps += [step] * (len(said) - len(steps))
    return steps, said, heard


@pytest.mark.parametrize(
    ("seconds", "least"),
    [([0.001] * 500, 50), ([0.5] * 100, 10), ([7.0] * 20, 1), ([0.5] * 40 + [4.0] * 40, 1)],
    ids=["quick", "slow", "slowest", "slower"],
)
def test_all_stop_after_the_same_step(clock, seconds, least):
    steps, said, heard = asked_at(clock, 0, seconds)
    assert not any(heard)
    assert steps[-1] - steps[-2] == least
    assert max(b - a for a, b in pairwise(steps)) <= 50
    # The other one has another clock, and an interrupt from the start.
    both = (one + torch.tensor([1.0, 0.0]) for one in said)
    others, said, heard = asked_at(clock, 1, [0.1] * len(seconds), both)
    assert others == steps
    assert [step for step, stops in enumerate(heard) if stops] == steps
    assert all(one.tolist() == [1.0, 0.0] for one in said)


def test_one_process_looks_after_each_step(clock):
    waiting = []
    alone = Interrupts(World(0, 1, torch.device("cpu")), lambda: bool(waiting))
    assert not alone.after_step() and not alone.here() and not alone.now()
    waiting.append(1)
    assert alone.after_step() and alone.here() and alone.now()


def test_an_interrupt_at_an_epochs_end_does_not_wait_for_the_validation(
    tiny, tmp_path, monkeypatch
):
    """Neither one in its last step, nor one that comes while it is validated."""
    whole = train(tiny(epochs=1, run=tmp_path / "whole"))
    request = tiny(epochs=1, run=tmp_path / "stopped")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_after(patch, 4)
        train(request)
    assert [line["kind"] for line in read_metrics(request.run)] == ["train"] * 4
    (note,) = unfinished_note(request.run, read_model_config(request.run))
    assert note.endswith("unfinished: epoch 1 of 1, step 4 of 4; go on with train --resume")
    request = dataclasses.replace(request, resume=True)

    def validate(*given, real=ClassifierTask.validate):
        os.kill(os.getpid(), signal.SIGINT)
        return real(*given)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ClassifierTask, "validate", validate)
        train(request)
    assert [line["kind"] for line in read_metrics(request.run)] == ["train"] * 4
    assert train(request).results == whole.results
    config = read_model_config(request.run)
    assert unfinished_note(request.run, config) == []
    one, other = (read_checkpoint(tmp_path / run, config) for run in ("whole", "stopped"))
    for part in ("network", "average"):
        assert all(torch.equal(tensor, other[part][name]) for name, tensor in one[part].items())
