"""Runs that begin with the checkpoint of another run on coefficients."""

import dataclasses

import pytest
import synthetic
import torch
from tiny_runs import tiny_request

from freqprep.training.checkpoint import CHECKPOINT, read_checkpoint
from freqprep.training.distributed import World
from freqprep.training.loop import train
from freqprep.training.model_config import read_model_config
from freqprep.training.planning import plan
from freqprep.training.run_state import RunState

pytestmark = pytest.mark.long

SIX = ["y_0_0", "y_0_1", "y_1_0", "y_1_1", "cb_0_0", "cr_0_0"]


@pytest.fixture(scope="module")
def parent(store, tmp_path_factory):
    """Checkpoint of a run on six channels. Read only."""
    folder = tmp_path_factory.mktemp("parent") / "run"
    train(tiny_request(store, folder, channels=SIX, epochs=1))
    return folder / CHECKPOINT


def begun(request, parent):
    """Config of a run that begins, and the names of its tensors that are not the parent's."""
    planned = plan(request)
    state = RunState(request, planned, World(0, 1, torch.device("cpu")))
    state.close()
    state.log.close()
    theirs = read_checkpoint(parent.parent, read_model_config(parent.parent))["average"]
    mine = state.network.state_dict()
    assert mine.keys() == theirs.keys()
    return planned.config, {
        name
        for name, tensor in mine.items()
        if tensor.shape != theirs[name].shape or not torch.equal(tensor, theirs[name])
    }


def test_of_the_same_channels_and_classes_all_is_taken_over(tiny, parent):
    config, others = begun(tiny(channels=SIX, init=parent), parent)
    assert others == set()
    assert config.inputs == read_model_config(parent.parent).inputs


def test_at_another_grid_the_normalisation_is_taken_over(tiny, parent, tmp_path):
    """Measured anew, the same weights would mean something else."""
    first = read_model_config(parent.parent).inputs
    config, others = begun(tiny(channels=SIX, grid=28, init=parent), parent)
    anew = plan(tiny(channels=SIX, grid=28, run=tmp_path / "anew")).config.inputs
    assert others == set()
    assert (config.inputs.mean, config.inputs.std) == (first.mean, first.std)
    assert config.inputs.side == anew.side == 224 and anew.std != first.std


@pytest.mark.parametrize("channels", [SIX[::-1], [*SIX[:5], "y_2_2"]])
def test_for_other_channels_the_first_layers_are_drawn(tiny, parent, channels, caplog):
    caplog.set_level("INFO", "freqprep")
    config, others = begun(tiny(channels=channels, init=parent), parent)
    assert others and all(name.startswith(("features.0.", "features.1.")) for name in others)
    assert "for other channels, and so initialised: features." in caplog.text
    assert config.inputs.std != read_model_config(parent.parent).inputs.std


def test_for_other_classes_the_classifier_is_drawn(tiny, parent, tmp_path, caplog):
    """As many, so that it would fit."""
    caplog.set_level("INFO", "freqprep")
    count = len(read_model_config(parent.parent).class_ids)
    for split, images in (("train", 16), ("val", 2)):
        for number in range(count):
            for image in range(images):
                path = tmp_path / "source" / split / f"other-{number}" / f"{image}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(synthetic.picture(100 * number + image))
    store = synthetic.make(tmp_path / "source", tmp_path / "other.zarr", size=32)
    request = dataclasses.replace(tiny(channels=SIX, init=parent), store=store)
    _, others = begun(request, parent)
    assert others == {"classifier.1.weight", "classifier.1.bias"}
    assert "for other classes, and so initialised: classifier.1.weight" in caplog.text


def test_a_checkpoint_by_itself_is_judged_by_shapes(tiny, parent, tmp_path):
    alone = tmp_path / "elsewhere" / CHECKPOINT
    alone.parent.mkdir()
    alone.write_bytes(parent.read_bytes())
    _, others = begun(tiny(channels=SIX[::-1], init=alone), parent)
    assert others == set()
