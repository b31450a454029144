"""Weights of RGB networks and of runs: what fits is loaded, the rest is named, others refused."""

import numpy as np
import pytest
import torch

from freqprep.errors import UsageError
from freqprep.models.gate import ChannelGate, GatedNetwork
from freqprep.models.initial import load_weights
from freqprep.models.networks import MODELS, build
from freqprep.models.torchvision_ops import import_torchvision

STEMS = ("conv1.", "bn1.", "features.0.")
FIRST = {
    "resnet50": ["layer1.0.conv1.weight", "layer1.0.downsample.0.weight"],
    "mobilenet_v2": [
        "features.1.conv.0.0.weight",
        "features.1.conv.0.1.weight",
        "features.1.conv.0.1.bias",
        "features.1.conv.0.1.running_mean",
        "features.1.conv.0.1.running_var",
        "features.1.conv.1.weight",
    ],
}
LAST = {
    "resnet50": ["fc.weight", "fc.bias"],
    "mobilenet_v2": ["classifier.1.weight", "classifier.1.bias"],
}
WIDTH = {"resnet50": 64, "mobilenet_v2": 32}


@pytest.fixture(scope="module")
def rgb():
    """State dict of each RGB network, of 5 classes, and a file with it."""
    states = {}
    for number, model in enumerate(MODELS):
        torch.manual_seed(number)
        network = getattr(import_torchvision().models, model)(weights=None, num_classes=5)
        states[model] = {n: t.clone() for n, t in network.state_dict().items()}
        for name, tensor in states[model].items():
            if name.endswith("running_mean"):
                tensor.uniform_()
    return states


@pytest.fixture(scope="module")
def files(rgb, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    for model, state in rgb.items():
        torch.save(state, folder / f"{model}.pth")
    return {model: folder / f"{model}.pth" for model in rgb}


def new(model, **options):
    torch.manual_seed(99)
    return build(model, **{"classes": 5, **options})


def state_of(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("options", "others"),
    [
        ({"channels": 24}, FIRST),
        ({"channels": 24, "classes": 3}, {m: FIRST[m] + LAST[m] for m in MODELS}),
        ({"channels": WIDTH}, FIRST),  # as wide as the stem's maps, and yet not those
        ({"input": "rgb"}, {m: [] for m in MODELS}),
    ],
)
def test_all_that_fits_is_loaded_and_the_rest_is_named(model, options, others, rgb, files):
    options = {k: v[model] if isinstance(v, dict) else v for k, v in options.items()}
    network = new(model, **options)
    before = state_of(network)
    done = load_weights(network, files[model])
    after = state_of(network)
    assert list(done.initialised) == others[model]
    assert sorted(done.loaded + done.initialised) == sorted(after)
    assert all(torch.equal(after[name], rgb[model][name]) for name in done.loaded)
    assert all(torch.equal(after[name], before[name]) for name in done.initialised)


@pytest.mark.parametrize("model", MODELS)
def test_a_learned_stem_takes_nothing_of_the_rgb_stem(model, files):
    network = new(model, input="patches", channels=WIDTH[model])  # its norm is as wide as RGB's
    stem = [name for name in state_of(network) if name.startswith(STEMS)]
    done = load_weights(network, files[model])
    assert list(done.initialised) == stem and len(stem) == 6


def test_a_gate_is_added_kept_and_left_behind(tmp_path, rgb, files):
    gated = GatedNetwork(ChannelGate(24), new("mobilenet_v2"))
    gate = [name for name in state_of(gated) if name.startswith("gate.")]
    done = load_weights(gated, files["mobilenet_v2"])
    assert list(done.initialised) == gate + ["network." + n for n in FIRST["mobilenet_v2"]]
    name = "features.5.conv.2.weight"
    assert torch.equal(gated.network.state_dict()[name], rgb["mobilenet_v2"][name])

    # A run's checkpoint: the averaged weights are the result.
    raw = {n: t * float("nan") if t.is_floating_point() else t for n, t in state_of(gated).items()}
    run = {"format": "freqprep-checkpoint", "average": gated.state_dict(), "network": raw}
    path = tmp_path / "checkpoint.pt"
    torch.save(run, path)
    torch.manual_seed(5)
    again, bare = GatedNetwork(ChannelGate(24), new("mobilenet_v2")), new("mobilenet_v2")
    assert load_weights(again, path).initialised == ()
    assert load_weights(bare, path).initialised == ()
    inputs = torch.randn(2, 24, 16, 16)
    with torch.inference_mode():
        assert torch.equal(again.eval()(inputs), gated.eval()(inputs))
        assert torch.equal(bare.eval()(inputs), gated.network.eval()(inputs))
    fewer = new("mobilenet_v2", channels=6)
    assert list(load_weights(fewer, path).initialised) == FIRST["mobilenet_v2"]


def refusal(network, path, *options) -> str:
    before = state_of(network)
    with pytest.raises(UsageError) as error:
        load_weights(network, path, *options)
    assert str(path) in str(error.value) and error.value.remedy
    assert all(torch.equal(t, before[name]) for name, t in network.state_dict().items())
    return str(error.value)


def test_another_networks_weights_are_refused(tmp_path, rgb, files):
    path = tmp_path / "other.pt"
    assert "missing: layer1.0.bn1.weight" in refusal(new("resnet50"), files["mobilenet_v2"])
    network = new("mobilenet_v2")
    assert "unknown: layer1.0.bn1.weight" in refusal(network, files["resnet50"])
    state, name = rgb["mobilenet_v2"], "features.9.conv.1.0.weight"
    for changed, text in (
        (state[name][:3], f"of another shape: {name} (3, 1, 3, 3) in place of (384, 1, 3, 3)"),
        (state[name] * float("inf"), f"not finite: {name}"),
        (state[name].int(), f"not of real numbers: {name}"),
        ("text", f"not plain tensors: {name}"),
    ):
        torch.save({**state, name: changed}, path)
        assert text in refusal(network, path)
    torch.save({**state, "features.19.weight": torch.zeros(1)}, path)
    assert "unknown: features.19.weight" in refusal(network, path)
    torch.save({n: t for n, t in state.items() if not n.startswith("features.2.")}, path)
    assert "missing: features.2.conv.0.0.weight" in refusal(network, path)
    torch.save({"a": torch.zeros(1)}, path)
    assert "of its 1 tensors (a)" in refusal(network, path)
    path.write_bytes(b"not a network")
    assert "cannot be read" in refusal(network, path)
    (tmp_path / "weights.safetensors").touch()
    assert "unknown kind of file" in refusal(network, tmp_path / "weights.safetensors")


def test_a_folded_file_needs_images(folded, tmp_path):
    np.savez(tmp_path / "folded.npz", **folded)
    text = refusal(new("mobilenet_v2"), tmp_path / "folded.npz")
    assert "folded into weights" in text and "images" in text
