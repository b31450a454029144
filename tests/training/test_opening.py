"""The first thing a run says, and the time it says is left."""

import dataclasses
import re
from types import SimpleNamespace

import pytest
import torch
from interrupting import interrupt_after

from freqprep.models.networks import build
from freqprep.spectrum.channels import channels
from freqprep.store.reader import open_store
from freqprep.training import loop, opening
from freqprep.training.loop import train
from freqprep.training.recipe import preset_recipe
from freqprep.training.request import TrainingRequest


@pytest.fixture(autouse=True)
def columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")  # nothing is wrapped


def opened(err: str) -> dict[str, str]:
    """The rows of the block that a run opens with."""
    lines = iter(err.splitlines())
    next(line for line in lines if line.startswith("training on "))
    rows = {}
    for line in lines:
        if not line.startswith("  "):
            break
        name, value = re.fullmatch(r"  (\S+(?: \S+)*)  +(.*)", line).groups()
        rows[name] = value
    return rows


class Begun(Exception):
    """The first step is to begin."""


@pytest.fixture
def begin(monkeypatch, capsys):
    """Train up to the first step; return what was said."""

    def stop(*_: object) -> None:
        raise Begun

    def begun(request: TrainingRequest) -> str:
        with monkeypatch.context() as patched, pytest.raises(Begun):
            patched.setattr(loop, "train_step", stop)
            train(request)
        return capsys.readouterr().err

    return begun


def test_a_run_opens_with_what_it_does(tiny, begin):
    request = tiny(epochs=1, preset="short", seed=7)
    err = begin(request)
    rows = opened(err)
    network = build("mobilenet_v2", channels=6, classes=3)
    parameters = sum(one.numel() for one in network.parameters())
    store = open_store(request.store)
    valid, left = int(store["train"].valid.sum()), int(store["train"].valid.sum()) % 32
    assert err.startswith(f"training on {request.store}\n")
    assert f"mobilenet_v2, {parameters / 1e6:.1f} million parameters" in rows["network"]
    assert "0.7 million multiply-accumulates an image" in rows["network"]
    read = len({*channels("paper-6").indices, *channels("paper-64").indices})
    assert rows["input"] == f"6 channels (paper-6) of {read} read, grid 16x16, crop 128x128 pixels"
    assert rows["images"] == "155 (5 rejected) to train on, 3 classes; 19 (5 rejected) to validate"
    assert rows["batch"] == f"32 images, {valid // 32} steps an epoch"
    assert rows["learning rate"] == "0.05, falling to 0 along a cosine, 2 steps of warm-up"
    assert rows["epochs"] == "1, preset short"
    assert rows["order"] == (
        f"all images shuffled, kept in memory; {left} of {valid} images left out of an epoch;"
        " 2 reading threads"
    )
    assert rows["device"] == "CPU, 1 thread" and rows["seed"] == "7"
    assert rows["begins"] == "with random weights" and rows["run folder"] == str(request.run)


@pytest.mark.parametrize(
    ("changes", "row", "said"),
    [
        ({"input": "rgb", "channels": None}, "input", "RGB from 192 channels, crop 32x32 pixels"),
        ({"gate": True}, "network", "mobilenet_v2, with a gate, "),
        ({"channels": "y_0_0,y_0_1"}, "input", "2 channels of 64 read"),
        ({"val_split": None, "train_split": "val"}, "images", "3 classes; no validation"),
        ({"batch_size": 30, "accumulate": 3}, "batch", "30 images in 3 parts, 5 steps an epoch"),
        ({"batch_size": 31}, "order", "kept in memory; none left out; 2 reading"),
        ({"lanes": 2}, "order", "shuffled in 2 lanes, over 2 shards at a time; "),
        ({"schedule": "steps", "drops": (0.5,)}, "learning rate", "a tenth from epoch 1 on, 4"),
        ({"threads": 1}, "order", "1 reading thread"),
        ({"schedule": "linear"}, "learning rate", "0.05, falling to 0 in a straight line"),
        (
            {"grid": 24, "grid_ramp": (16, 24), "early_read": "paper-6", "epochs": 2},
            "grids",
            "16 in epoch 1, 24 in epoch 2; 6 channels read before the last",
        ),
    ],
)
def test_each_row_follows_what_was_asked(tiny, begin, changes, row, said):
    if changes.get("train_split") == "val":
        changes = {**changes, "batch_size": 8}
    steps = {"epochs": 2} if row == "learning rate" else {"epochs": 1}
    warmup = {"warmup_epochs": 1} if "schedule" in changes else {}
    assert said in opened(begin(tiny(**(steps | changes | warmup))))[row]


def test_it_says_from_where_it_goes_on(tiny, monkeypatch, capsys):
    with monkeypatch.context() as patched:
        interrupt_after(patched, 6)
        with pytest.raises(KeyboardInterrupt):
            train(tiny())
    capsys.readouterr()
    train(tiny(resume=True))
    err = capsys.readouterr().err
    assert opened(err)["begins"] == "where the checkpoint is: epoch 2 of 2, after 2 of 4 steps"
    train(tiny(resume=True))
    assert (
        opened(capsys.readouterr().err)["begins"] == "nothing is left to train: 2 epochs of 2 done"
    )


def test_weights_to_begin_with_are_named(tiny, tmp_path, begin):
    path = tmp_path / "weights.pt"
    torch.save(build("mobilenet_v2", channels=6, classes=3).state_dict(), path)
    begins = opened(begin(tiny(epochs=1, init=path)))["begins"]
    assert begins == f"with the weights of {path}"


class Clock:
    """Time that a test makes pass."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now


class Run:
    """What a forecast asks of a run."""

    def __init__(self, steps, epochs, done=0):
        self.loader, self.steps_done = range(steps), done
        self.recipe = dataclasses.replace(preset_recipe("short", "resnet50"), epochs=epochs)
        self.world = opening.World(0, 1, torch.device("cpu"))


def forecast(monkeypatch, run, validates=True, each=0.5):
    """The step after which the time was said, and the text."""
    clock = Clock()
    monkeypatch.setattr(opening, "time", clock)
    one = opening.Forecast(run, validates)
    said = []
    while run.steps_done < run.recipe.epochs * len(run.loader):
        clock.now += 100 if not said and clock.now == 0 else each  # the first step compiles
        run.steps_done += 1
        if text := one.step_done():
            said.append((run.steps_done, text))
    return said


@pytest.mark.parametrize(
    ("run", "each", "step", "text"),
    [
        ((1000, 10), 0.5, 11, "about 83 minutes for 9,989 steps, at 0.5 s each in steps 2 to 11"),
        (
            (1000, 10),
            0.125,
            41,
            "about 21 minutes for 9,959 steps, at 0.12 s each in steps 2 to 41",
        ),
        ((1000, 10), 3.0, 11, "about 8.3 hours for 9,989 steps, at 3 s each in steps 2 to 11"),
        ((4, 5), 0.5, 2, "about 9 seconds for 18 steps, at 0.5 s each in step 2"),
        ((10, 4, 15), 0.5, 18, "about 11 seconds for 22 steps, at 0.5 s each in steps 17 to 18"),
    ],
)
def test_the_time_left_is_that_of_the_first_steps(monkeypatch, run, each, step, text):
    expected = f"time left: {text}; validation comes on top"
    assert forecast(monkeypatch, Run(*run), each=each) == [(step, expected)]
    ((_, alone),) = forecast(monkeypatch, Run(*run), False, each)
    assert alone == expected.partition(";")[0]


def test_steps_of_larger_grids_count_by_their_area(monkeypatch):
    run = Run(10, 4)  # the last of the epochs has twice the grid: ten steps like forty
    run.recipe = dataclasses.replace(run.recipe, grid_ramp=(20, 40))
    run.task = SimpleNamespace(grid_at=lambda epoch: run.recipe.training_grid(epoch, 40))
    ((step, text),) = forecast(monkeypatch, run)
    assert step == 4 and text.startswith("time left: about 33 seconds for 36 steps")


@pytest.mark.parametrize("run", [(1, 1), (2, 1), (4, 2, 8), (4, 2, 7), (4, 2, 6)])
def test_nothing_is_said_when_nothing_is_left(monkeypatch, run):
    assert forecast(monkeypatch, Run(*run)) == []


def test_only_the_leading_process_speaks(monkeypatch):
    run = Run(10, 1)
    run.world = opening.World(1, 2, torch.device("cpu"))
    assert forecast(monkeypatch, run) == []


def test_a_real_run_says_it_once(tiny, capsys):
    train(tiny())
    lines = capsys.readouterr().err.splitlines()
    assert len([line for line in lines if line.startswith("time left: about ")]) == 1
