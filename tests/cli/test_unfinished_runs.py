"""A run that has not ended: whatever uses its network says so, and how far it is."""

import dataclasses

import pytest
import runs

from freqprep.errors import RunError
from freqprep.store.reader import open_store
from freqprep.training import export
from freqprep.training.checkpoint import AVERAGE, write_checkpoint


@pytest.fixture(scope="module")
def unfinished(store, tmp_path_factory):
    """Make the folder of a run of 3 epochs whose checkpoint has a position."""
    split = open_store(store)["train"]
    config = dataclasses.replace(runs.make_config(split), results={}, recipe={"epochs": 3})
    weights = runs.make_network(config, split).state_dict()
    folder = runs.make_run(tmp_path_factory.mktemp("runs") / "begun", split, config)

    def make(**more):
        write_checkpoint(folder, config, {AVERAGE: weights, **more})
        return folder

    return make


def at(epoch, step):
    return {"position": {"epoch": epoch, "step": step, "steps": 100}}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (at(0, 40), "unfinished: epoch 1 of 3, step 40 of 100; go on with train --resume"),
        (at(1, 0), "unfinished: epoch 1 of 3, step 100 of 100; go on"),
        (at(2, 7), "unfinished: epoch 3 of 3, step 7 of 100; go on"),
        ({}, "unfinished; go on with train --resume"),  # the checkpoint of an earlier version
        ({"position": {"epoch": "1"}}, "unfinished; go on"),
    ],
)
def test_evaluate_notes_how_far_the_run_is(call, unfinished, store, more, words):
    run = unfinished(**more)
    code, _, err = call("evaluate", run, store, "--device", "cpu")
    assert code == 0
    assert f"note: the run in {run} is {words}" in " ".join(err.split())


def test_predict_and_export_note_it_too(call, unfinished, source, tmp_path, monkeypatch):
    def stop(*_):
        raise RunError("nothing was exported")  # making a graph takes half a minute

    monkeypatch.setattr(export, "export", stop)
    run = unfinished(**at(0, 40))
    words = f"note: the run in {run} is unfinished: epoch 1 of 3, step 40 of 100; go on"
    image = next((source / "train" / "apple").iterdir())
    code, _, err = call("predict", run, image, "--device", "cpu")
    assert code == 0 and words in " ".join(err.split())
    _, _, err = call("export", run, "-o", tmp_path / "x.onnx")
    assert "nothing was exported" in err and words in " ".join(err.split())


def test_nothing_is_said_of_a_finished_run(call, run_folder, store):
    code, _, err = call("evaluate", run_folder, store, "--device", "cpu")
    assert code == 0 and "unfinished" not in err
