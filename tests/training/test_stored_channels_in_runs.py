"""Runs on stores that keep some channels, or have other steps: trained, evaluated, exported."""

import dataclasses
import shutil

import numpy as np
import pytest
import runs
import subset
import torch
from interrupting import interrupt_after

import freqprep
from freqprep.augment import Preprocess
from freqprep.errors import RunError, UnknownChannelError, UsageError
from freqprep.spectrum.channels import channels, published
from freqprep.spectrum.quantization import Precision
from freqprep.store.reader import open_store
from freqprep.training.checkpoint import AVERAGE, read_checkpoint
from freqprep.training.class_matching import encoding_note
from freqprep.training.distributed import World
from freqprep.training.evaluate_run import evaluate_run
from freqprep.training.export import describe, export
from freqprep.training.loop import train
from freqprep.training.model_config import read_model_config
from freqprep.training.planning import plan

WORLD = World(0, 1, torch.device("cpu"))


@pytest.fixture(scope="module")
def part(subset_store) -> freqprep.Split:
    return open_store(subset_store)["train"]


@pytest.fixture
def few(coarse_store, tmp_path):
    """Store of the 6 published channels alone, at level 17."""
    return subset.keep(coarse_store, tmp_path / "few.zarr", published("paper-6").indices, level=17)


def weights(folder):
    return read_checkpoint(folder, read_model_config(folder))[AVERAGE]


def evaluated(run, store):
    document = evaluate_run(run, store, "val", WORLD, batch_size=32, threads=1).to_dict()
    return {name: value for name, value in document.items() if name not in ("content_id", "notes")}


def test_a_run_on_some_channels_is_resumed_and_evaluated_as_on_all(
    tiny, coarse_store, subset_store, few, tmp_path, monkeypatch
):
    """The same codes give the same weights, whatever else a store keeps, at any level."""
    made = {"epochs": 1, "read": "paper-6"}
    stores = {"all": coarse_store, "some": subset_store, "few": few}
    for name, store in stores.items():
        request = tiny(store=store, run=tmp_path / name, **made)
        if name == "few":
            with monkeypatch.context() as patch:
                interrupt_after(patch, 2)
                with pytest.raises(KeyboardInterrupt):
                    train(request)
            request = dataclasses.replace(request, resume=True)
        train(request)
    one, *others = (weights(tmp_path / name) for name in stores)
    for other in others:
        assert all(torch.equal(one[name], other[name]) for name in one)
    results = [evaluated(tmp_path / name, store) for name in stores for store in stores.values()]
    assert all(result == results[0] for result in results)
    moved = tiny(store=subset_store, run=tmp_path / "few", resume=True, **made)
    with pytest.raises(RunError, match="content_ids"):
        plan(moved)


def test_a_gate_takes_what_is_stored(tiny, part, few, subset_store, tmp_path):
    planned = plan(tiny(store=subset_store, channels=None, gate=True))
    stored = tuple(freqprep.channels(None, part).names)
    assert planned.config.inputs.channels == planned.config.inputs.read[: len(stored)] == stored
    config = train(tiny(store=few, channels=None, gate=True, run=tmp_path / "gate", epochs=1))
    assert set(config.results["gate"]["channels"]) <= set(published("paper-6").names)


@pytest.mark.parametrize("asked", ["all", "paper-64", "y_7_7,cr_7_7"])
def test_channels_that_are_not_stored_are_refused_by_name(tiny, subset_store, asked, tmp_path):
    for changes in ({"channels": asked}, {"channels": "paper-6", "read": asked}):
        with pytest.raises(UnknownChannelError, match=f"does not store .* {asked!r}"):
            plan(tiny(store=subset_store, **changes))
    assert not (tmp_path / "run").exists()


def test_the_defaults_read_the_neighbours_that_are_stored(tiny, subset_store, few, part):
    inputs = plan(tiny(store=subset_store, channels=None)).config.inputs
    assert inputs.channels == published("square-24").names
    near = set(published("paper-64").indices) & set(part.attributes.channels)
    assert inputs.read == channels(sorted(near)).names
    with pytest.raises(UnknownChannelError, match="18 of the 24 channels of 'square-24'"):
        plan(tiny(store=few, channels=None))


def test_rgb_is_made_of_what_is_stored(tiny, few):
    planned = plan(tiny(store=few, channels=None, input="rgb"))
    assert planned.config.inputs.read == published("paper-6").names


def test_a_validation_split_without_the_channels_is_refused(tiny, few, coarse_store, tmp_path):
    store = tmp_path / "mixed.zarr"
    shutil.copytree(coarse_store, store)
    shutil.rmtree(store / "val")
    shutil.copytree(few / "val", store / "val")
    with pytest.raises(UsageError, match="val does not store 18 of the 24 channels"):
        plan(tiny(store=store, read="square-24"))
    assert not (tmp_path / "run").exists()


def test_evaluation_of_channels_that_are_not_stored_is_refused(coarse_store, few, tmp_path):
    run = runs.make_run(tmp_path / "run", open_store(coarse_store)["train"])
    with pytest.raises(UsageError, match=r"val does not store 18 of the 24 channels .* y_0_2"):
        evaluate_run(run, few, "val", WORLD, batch_size=32, threads=1)


def other_table(name: str, index: int, step: float) -> Precision:
    steps = list(subset.MIXED.steps)
    steps[index] = step
    return Precision(name, "int8", tuple(steps))


def test_a_note_tells_two_tables_apart(coarse_store, store):
    split = open_store(coarse_store)["val"]
    config = runs.make_config(split)
    assert encoding_note(config, split) == []
    (plain,) = encoding_note(config, open_store(store)["val"])
    assert "mixed (int8, steps 8 to 64)" in plain and "fit 32, int8, orientation" in plain
    again = other_table("mixed", 65, 32)
    encoding = dataclasses.replace(config.encoding, precision=again)
    (note,) = encoding_note(dataclasses.replace(config, encoding=encoding), split)
    assert note.endswith(
        "with other steps of 1 of 192 channels, the first cb_0_1: 16 instead of 32"
    )


@pytest.mark.parametrize("fixture", ["subset_store", "fine_store"])
def test_an_exported_file_says_what_its_input_is_made_of(fixture, request, tmp_path):
    split = open_store(request.getfixturevalue(fixture))["train"]
    config = runs.make_config(split)
    written = export(config, runs.make_network(config, split), tmp_path / "model.pt2")
    assert written.difference <= 1e-4
    said = describe(config)["preprocessing"]
    read = channels(said["read"])
    assert said["quantization_steps"] == split.steps[list(read.indices)].tolist()
    assert said["encoding"]["precision"] == split.attributes.encoding.precision.to_dict()
    codes = f"saturate to {split.attributes.encoding.precision.codes},"
    assert any(codes in step for step in said["steps"])
    rows = np.flatnonzero(split.valid)[:3]
    stored = torch.from_numpy(split.read_codes(rows, read).copy())
    steps = torch.tensor(said["quantization_steps"])[:, None, None]
    np.testing.assert_array_equal(stored * steps, split.read(rows, read))
    images = Preprocess(config.inputs, split.attributes.encoding)(stored, split.sizes[rows])
    assert torch.isfinite(images).all()
