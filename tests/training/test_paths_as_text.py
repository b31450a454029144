"""Whatever takes a path takes it as a text too, as `open_store` does."""

import os
from pathlib import Path

import pytest
import synthetic
import torch
from tiny_runs import tiny_request

import freqprep
from freqprep.spectrum.channels import Selection, channels
from freqprep.store.selections import save_selection
from freqprep.training.checkpoint import load_model
from freqprep.training.distributed import World
from freqprep.training.evaluate_run import evaluate_run
from freqprep.training.export import export
from freqprep.training.loop import train
from freqprep.training.model_config import read_model_config
from freqprep.training.predict_files import find_images

pytestmark = pytest.mark.long
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def run(store, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("text") / "run"
    train(tiny_request(store, folder, epochs=1))
    return folder


def test_a_run(run, store, tmp_path):
    assert read_model_config(str(run)) == read_model_config(run)
    config, network = load_model(str(run), "cpu")
    _, same = load_model(run, CPU)
    assert all(map(torch.equal, network.state_dict().values(), same.state_dict().values()))
    found = [
        evaluate_run(one, str(store), "val", World(0, 1, CPU), batch_size=8, threads=1)
        for one in (run, str(run))
    ]
    assert found[0].to_dict() == found[1].to_dict()
    exported = export(config, network, str(tmp_path / "a.pt2"))
    assert exported.path == tmp_path / "a.pt2" and exported.path.is_file()


def test_a_store(store, tmp_path):
    copy = tmp_path / "copy.zarr"
    os.symlink(store, copy)
    assert list(freqprep.Store(str(copy))) == list(freqprep.Store(copy))
    split = freqprep.Split(str(store / "train"))
    assert split.content_id == freqprep.open_store(store)["train"].content_id
    own = synthetic.make(
        synthetic.image_folder(tmp_path / "source", {"train": 3}), tmp_path / "own.zarr"
    )
    path = save_selection(str(own), Selection(channels("paper-6").indices, "mine"), {})
    assert path.is_file()
    saved = freqprep.channels("mine", freqprep.open_store(own)["train"])
    assert saved.indices == channels("paper-6").indices


def test_one_text_is_one_place(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(synthetic.picture(0))
    expected = [os.fsencode(tmp_path / "in" / "a.jpg")]
    for places in (str(tmp_path / "in"), tmp_path / "in", [str(tmp_path / "in")]):
        assert find_images(places) == expected
