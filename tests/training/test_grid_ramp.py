"""A ramp of grids: what each epoch trains with, resuming to the bit, and what is refused."""

import dataclasses

import pytest
import synthetic
from interrupting import interrupt_after
from test_training import assert_same
from tiny_runs import tiny_request

import freqprep
from freqprep.augment import ClassifierInput, Policy
from freqprep.errors import RunError, UsageError
from freqprep.spectrum.channels import channels
from freqprep.training import loop
from freqprep.training.classifier_task import ClassifierTask
from freqprep.training.loop import train
from freqprep.training.metrics import read_metrics
from freqprep.training.planning import plan
from freqprep.training.recipe import preset_recipe

pytestmark = pytest.mark.long

RAMP = {"grid": 24, "grid_ramp": (16, 24)}
EARLY = {**RAMP, "early_read": "square-24"}


@pytest.fixture(scope="module")
def whole(store, tmp_path_factory):
    """The folder of a run of `EARLY` that was never interrupted."""
    request = tiny_request(store, tmp_path_factory.mktemp("whole") / "run", **EARLY)
    train(request)
    return request.run


def seen(monkeypatch):
    """Record epoch, rows, codes' and inputs' shape of each step."""
    steps = []
    real = ClassifierTask.augment

    def augment(task, batch):
        inputs = real(task, batch)
        steps.append((batch.epoch, batch.rows.tolist(), batch.codes.shape[1], inputs.shape[1:]))
        return inputs

    monkeypatch.setattr(ClassifierTask, "augment", augment)
    return steps


def test_crops_of_whole_blocks_are_checked_for_each_grid(tiny, tmp_path):
    """An RGB network sees two pixels a place: of grids from 20 to 26 not all are whole blocks."""
    for number in range(40):
        path = tmp_path / f"source/{'train' if number < 32 else 'val'}/{number % 2}/{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(synthetic.encoded(synthetic.pixels(number, 64, 64), "PNG"))
    store = synthetic.make(tmp_path / "source", tmp_path / "large.zarr", size=64)
    changes = {"input": "rgb", "channels": None, "policy": Policy(aligned=True), "grid": 28}
    request = dataclasses.replace(tiny(**changes, grid_ramp=(20, 28), epochs=30), store=store)
    plan(request)
    request = dataclasses.replace(tiny(**changes, grid_ramp=(20, 26), epochs=30), store=store)
    with pytest.raises(UsageError, match="a side of 52 pixels is not whole blocks"):
        plan(request)


@pytest.mark.parametrize(
    ("changes", "early", "late"),
    [
        (RAMP, (64, (6, 16, 16)), (64, (6, 24, 24))),
        ({**RAMP, "grid": 26}, (64, (6, 16, 16)), (64, (6, 24, 24))),
        (EARLY, (24, (6, 16, 16)), (64, (6, 24, 24))),
        (
            {**EARLY, "input": "rgb", "channels": None, "read": "paper-64"},
            (24, (3, 32, 32)),
            (64, (3, 48, 48)),
        ),
        (
            {**RAMP, "input": "rgb", "channels": None, "read": "paper-6", "patches": 5},
            (6, (3, 128, 128)),
            (6, (3, 192, 192)),
        ),
    ],
    ids=["ramp", "larger at test", "early read", "rgb", "patches"],
)
def test_epochs_train_with_their_grid_and_channels(tiny, monkeypatch, changes, early, late):
    request = tiny(**changes)
    steps = seen(monkeypatch)
    config = train(request)
    assert [step[0] for step in steps] == [0] * 4 + [1] * 4
    assert [step[2:] for step in steps] == [early] * 4 + [late] * 4
    lines = [line for line in read_metrics(request.run) if line["kind"] == "train"]
    assert [line["grid"] for line in lines] == [16] * 4 + [24] * 4
    assert config.inputs.shape[1] * 24 == late[1][1] * request.grid  # of use
    assert config.recipe["grid_ramp"] == [16, 24]


def test_rows_come_in_the_same_order_whatever_is_read_early(tiny, tmp_path, monkeypatch):
    steps = seen(monkeypatch)
    for name, changes in (("one", RAMP), ("other", EARLY)):
        train(tiny(run=tmp_path / name, **changes))
    assert [step[:2] for step in steps[:8]] == [step[:2] for step in steps[8:]]


@pytest.mark.parametrize("steps", [(2, 4), (4,), (3, 1, 2)], ids=["amid", "at the switch", "often"])
def test_a_resumed_run_equals_the_uninterrupted_one(tiny, whole, monkeypatch, steps):
    other = tiny(**EARLY)
    for count in steps:
        with monkeypatch.context() as patch:
            interrupt_after(patch, count)
            with pytest.raises(KeyboardInterrupt):
                train(other)
        other = dataclasses.replace(other, resume=True)
    train(other)
    assert_same(whole, other.run)


def test_a_run_killed_after_the_switch_resumes_from_before_it(tiny, whole, monkeypatch):
    request = tiny(**EARLY)

    class Killed(Exception):
        pass

    def step(run, batch, real=loop.train_step):
        if batch.epoch == 1 and batch.step == 2:
            raise Killed
        real(run, batch)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "train_step", step)
        with pytest.raises(Killed):
            train(request)
    train(dataclasses.replace(request, resume=True))
    assert_same(whole, request.run)


def test_another_ramp_is_another_run(tiny, monkeypatch):
    request = tiny(**EARLY)
    with monkeypatch.context() as patch:
        interrupt_after(patch, 1)
        with pytest.raises(KeyboardInterrupt):
            train(request)
    for changes, named in (
        ({"early_read": None}, "recipe.early_read"),
        ({"recipe": dataclasses.replace(request.recipe, grid_ramp=(20, 24))}, "recipe.grid_ramp"),
        (
            {"early_read": None, "recipe": dataclasses.replace(request.recipe, grid_ramp=None)},
            "recipe.(grid_ramp|early_read)",
        ),
    ):
        with pytest.raises(RunError, match=named):
            train(dataclasses.replace(request, resume=True, **changes))


def test_the_normalisation_is_that_of_the_last_grid(tiny):
    request = tiny(grid=26, grid_ramp=(16, 24))
    split = freqprep.open_store(request.store)["train"]
    inputs = ClassifierTask.prepare(request, split, None, 1, None)
    used, policy = channels("paper-6"), request.recipe.policy
    measured = ClassifierInput.frequency(split, used, inputs.read_selection, 24, policy)
    assert inputs == measured.sized(split, 208)
    assert (inputs.mean, inputs.side) == (measured.mean, 208)


def test_the_fast_preset_is_used_at_the_networks_own_grid(tiny):
    model, last, grid = "resnet50", 48, 56
    request = dataclasses.replace(
        tiny(), model=model, recipe=preset_recipe("fast", model, batch_size=32), grid=None
    )
    split = freqprep.open_store(request.store)["train"]
    inputs = ClassifierTask.prepare(request, split, None, 1, None)
    used, policy = channels("paper-6"), request.recipe.policy
    measured = ClassifierInput.frequency(split, used, inputs.read_selection, last, policy)
    assert inputs == measured.sized(split, 8 * grid)
    with pytest.raises(UsageError, match=rf"40:{last} for a network of a 40x40 grid"):
        ClassifierTask.prepare(dataclasses.replace(request, grid=40), split, None, 1, None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({**RAMP, "grid_ramp": (15, 24)}, "mobilenet_v2 cannot take a grid of 15x15"),
        ({**RAMP, "grid_ramp": (16, 25)}, "a grid ramp of 16:25 for a network of a 24x24 grid"),
        ({"early_read": "paper-6"}, "--early-read without --grid-ramp"),
        ({**RAMP, "early_read": "y_0_0"}, "--early-read lacks channels that are used: .* 2 more"),
        ({**RAMP, "early_read": "all"}, "--early-read has channels that are not read later"),
    ],
)
def test_what_a_ramp_cannot_have_is_refused(tiny, changes, message):
    request = tiny(**changes)
    with pytest.raises(UsageError, match=message):
        train(request)
    assert not request.run.exists()
