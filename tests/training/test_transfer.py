"""Runs on coefficients that begin with an RGB network's weights."""

import dataclasses

import pytest
import torch
from interrupting import interrupt_after
from tiny_runs import tiny_request

from freqprep.models import first_stages
from freqprep.training.checkpoint import CHECKPOINT, read_checkpoint
from freqprep.training.distributed import World
from freqprep.training.loop import train
from freqprep.training.model_config import read_model_config
from freqprep.training.planning import plan
from freqprep.training.run_state import RunState

pytestmark = pytest.mark.long


@pytest.fixture(autouse=True)
def fewer_steps(monkeypatch):
    monkeypatch.setattr(first_stages, "_STEPS", 8)


@pytest.fixture(scope="module")
def rgb(store, tmp_path_factory):
    """Checkpoint of an RGB network. Read only."""
    folder = tmp_path_factory.mktemp("rgb") / "run"
    train(tiny_request(store, folder, input="rgb", channels=None, epochs=1))
    return folder / CHECKPOINT


def network_of(request):
    planned = plan(request)
    state = RunState(request, planned, World(0, 1, torch.device("cpu")))
    state.close()
    state.log.close()
    return state.network


def test_first_stages_are_fitted_and_what_follows_is_the_rgb_networks(tiny, rgb, tmp_path, caplog):
    caplog.set_level("INFO", "freqprep")
    network = network_of(tiny(epochs=1, init=rgb))
    assert "first stages were fitted to those of the RGB network" in caplog.text
    plain = network_of(tiny(epochs=1, run=tmp_path / "plain")).state_dict()
    parent = read_checkpoint(rgb.parent, read_model_config(rgb.parent))["average"]
    for name, tensor in network.state_dict().items():
        if name.startswith("features.") and int(name.split(".")[1]) > 6:
            assert torch.equal(tensor, parent[name])
        elif name.endswith("weight") and tensor.ndim == 4:
            assert not torch.equal(tensor, plain[name])


def test_nothing_is_fitted_without_an_rgb_stem_or_for_pixels(tiny, rgb, tmp_path, caplog):
    caplog.set_level("INFO", "freqprep")
    request = tiny(epochs=1, run=tmp_path / "frequency")
    train(request)
    network_of(tiny(epochs=1, init=request.run / CHECKPOINT))
    network_of(tiny(epochs=1, input="rgb", channels=None, init=rgb, run=tmp_path / "again"))
    assert "were fitted" not in caplog.text


@pytest.mark.parametrize(
    "options", [{}, {"gate": True, "gate_channels": 9, "channels": "paper-64"}]
)
def test_a_run_begun_so_is_resumed_to_the_bit(tiny, rgb, tmp_path, options, monkeypatch):
    begun = tiny(epochs=2, init=rgb, **options)
    train(begun)
    stopped = dataclasses.replace(begun, run=tmp_path / "stopped")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_after(patch, 1)
        train(stopped)
    train(dataclasses.replace(stopped, resume=True))
    states = (
        read_checkpoint(run, read_model_config(run))["network"] for run in (begun.run, stopped.run)
    )
    one, other = states
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
