"""Processes that see different run folders or stores: an error on each, and nothing is written."""

import dataclasses

import pytest
import torch

from freqprep.errors import RunError
from freqprep.training.distributed import World
from freqprep.training.loop import train
from freqprep.training.same_start import check_same_step


def pretend(monkeypatch, changed):
    """Let `World.gather` find a second process, whose values are changed ones of this one."""
    monkeypatch.setattr(World, "gather", lambda _world, value: [value, changed(value)])


@pytest.mark.parametrize(
    ("name", "changed", "words"),
    [
        ("content_ids", {"train": "1" * 64}, f"reads another split train.* id is {'1' * 64}"),
        ("recipe", {"lr": 0.25}, r"its recipe\.lr is 0\.25, that of process 0 0\.05"),
        ("model", "resnet50", "its model is resnet50, that of process 0 mobilenet_v2"),
    ],
)
def test_processes_train_the_same(tiny, monkeypatch, name, changed, words):
    def other(value):
        if isinstance(changed, dict):
            return {**value, name: {**value[name], **changed}}
        return {**value, name: changed}

    pretend(monkeypatch, other)
    request = tiny()
    with pytest.raises(RunError, match=f"process 1 .*{words}"):
        train(request)
    assert not request.run.exists()


def test_processes_go_on_from_the_same_step(tiny, monkeypatch):
    """One node sees the run's folder, another an empty one of its own; neither keeps it."""
    pretend(monkeypatch, lambda value: value if isinstance(value, dict) else value + 3)
    request = tiny()
    with pytest.raises(RunError, match="process 1 is at step 3, process 0 at step 0; --run must"):
        train(request)
    assert not request.run.exists()


def test_each_of_many_processes_is_compared():
    @dataclasses.dataclass(frozen=True)
    class Many(World):
        steps: tuple[int, ...] = ()

        def gather(self, value: object) -> list[int]:
            return list(self.steps)

    for rank in range(3):  # the same error in each
        with pytest.raises(RunError, match="process 2 is at step 5, process 0 at step 4"):
            check_same_step(Many(rank, 3, torch.device("cpu"), (4, 4, 5)), 4)
        check_same_step(Many(rank, 3, torch.device("cpu"), (4, 4, 4)), 4)
