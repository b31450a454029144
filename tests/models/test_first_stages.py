"""First stages on coefficients, fitted to those of an RGB network."""

import copy
import dataclasses
import math

import numpy as np
import pytest
import torch

from freqprep.models import first_stages
from freqprep.models.first_stages import fit_first_stages
from freqprep.models.initial import rgb_network
from freqprep.models.networks import MODELS, STEM_STRIDE, build
from freqprep.spectrum.dct import dct_matrix_1d

GRID = 24


def coefficients(pixels, side):
    """The 3x3 lowest frequencies of pixels enlarged to ``side``, normalised: (n, 27, g, g)."""
    large = torch.nn.functional.interpolate(pixels, (side, side), mode="bilinear")
    matrix = torch.from_numpy(np.asarray(dct_matrix_1d(), np.float32))[:3]
    blocks = large.unfold(2, 8, 8).unfold(3, 8, 8)
    found = torch.einsum("ui,nchwij,vj->ncuvhw", matrix, blocks, matrix).flatten(1, 3)
    return (found - found.mean((0, 2, 3), keepdim=True)) / found.std((0, 2, 3), keepdim=True)


def pairs(model, count=32, seed=0):
    torch.manual_seed(seed)
    side = GRID * STEM_STRIDE[model]
    drawn = torch.randn(count, 3, 9, 9)
    pixels = torch.nn.functional.interpolate(drawn, (side, side), mode="bilinear")
    return coefficients(pixels, 8 * GRID), pixels


def trained(model, pixels):
    """An RGB network whose norms have the statistics of images, as a trained one's have."""
    torch.manual_seed(1)
    network = build(model, input="rgb", classes=3)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None
    with torch.no_grad():
        network(pixels)
    return network.eval()


@pytest.fixture(scope="module", autouse=True)
def fewer_steps():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(first_stages, "_STEPS", 60)
        yield


@pytest.fixture(scope="module", params=MODELS)
def fitted(request):
    """A network before and after, the parent, and what the fit said."""
    model = request.param
    inputs, pixels = pairs(model)
    parent = trained(model, pixels)
    network = build(model, channels=27, classes=3)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    share = fit_first_stages(network, parent, zip(inputs.split(8), pixels.split(8), strict=True))
    return model, network, before, parent, share


def first(model):
    return "layer1." if model == "resnet50" else "features."


def explained(network, parent, inputs, pixels):
    """Share of the variance behind the parent's first stages that the network's outputs explain."""
    outputs = []
    for net, x in ((network, inputs), (parent, pixels)):
        name = "layer1" if hasattr(net, "layer1") else "features.6"
        held = net.get_submodule(name).register_forward_hook(lambda *out: outputs.append(out[2]))
        with torch.no_grad():
            copy.deepcopy(net).eval()(x)
        held.remove()
    mine, wanted = outputs
    edge = 3 if hasattr(network, "layer1") else 1
    mine, wanted = (out[..., edge:-edge, edge:-edge] for out in (mine, wanted))
    errors = (mine - wanted).square().mean((0, 2, 3)) / wanted.var((0, 2, 3)).clamp(min=1e-6)
    return 1 - float(errors.mean())


def test_outputs_behind_the_first_stages_become_those_of_the_parent(fitted):
    model, network, _, parent, share = fitted
    inputs, pixels = pairs(model)
    assert explained(network, parent, inputs[:28], pixels[:28]) > 0.2
    torch.manual_seed(5)
    unfitted = build(model, channels=27, classes=3)
    assert explained(unfitted, parent, inputs[:28], pixels[:28]) < 0
    if model == "mobilenet_v2":  # whole images, the last eighth held out
        held_out = explained(network, parent, inputs[28:], pixels[28:])
        assert share == pytest.approx(held_out, abs=1e-3)


QUIET = {"dead": (0.0, -1.0), "rare": (1.0, -3.5), "constant": (0.0, 1.0)}
"""Weight and bias of the norm before the last ReLU, for one channel."""


@pytest.fixture(scope="module")
def share_fitted_to():
    """Fit a ResNet-50 to a parent of which one channel has a weight and a bias of its own."""
    inputs, pixels = pairs("resnet50")

    def fit(last: tuple[float, float] | None) -> float:
        parent = trained("resnet50", pixels)
        if last is not None:
            blocks = parent.layer1
            with torch.no_grad():
                for norm in (blocks[0].bn3, blocks[0].downsample[1], blocks[1].bn3):
                    norm.weight[7] = norm.bias[7] = 0
                blocks[2].bn3.weight[7], blocks[2].bn3.bias[7] = last
        torch.manual_seed(2)
        network = build("resnet50", channels=27, classes=3)
        batches = zip(inputs.split(8), pixels.split(8), strict=True)
        return fit_first_stages(network, parent, batches)

    return fit


@pytest.fixture(scope="module")
def plain_share(share_fitted_to):
    return share_fitted_to(None)


@pytest.mark.parametrize("quiet", QUIET)
def test_a_quiet_channel_of_the_parent_does_not_matter(share_fitted_to, plain_share, quiet):
    """Behind a ReLU it has next to no variance, and must not outweigh all the others."""
    assert plain_share > 0.1
    assert share_fitted_to(QUIET[quiet]) > 0.8 * plain_share


def test_nothing_behind_the_first_stages_changes(fitted):
    model, network, before, _, _ = fitted
    changed = {n for n, t in network.state_dict().items() if not torch.equal(t, before[n])}
    assert changed and all(name.startswith(first(model)) for name in changed)
    if model == "mobilenet_v2":
        assert all(int(name.split(".")[1]) <= 6 for name in changed)


def test_a_fit_is_the_same_each_time(monkeypatch):
    monkeypatch.setattr(first_stages, "_STEPS", 5)
    inputs, pixels = pairs("mobilenet_v2", 8)
    parent = trained("mobilenet_v2", pixels)
    states = []
    for draws in range(2):
        torch.manual_seed(2)
        network = build("mobilenet_v2", channels=27, classes=3)
        torch.manual_seed(draws)  # what the caller has drawn does not matter
        fit_first_stages(network, parent, [(inputs, pixels)])
        states.append(network.state_dict())
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())


@pytest.mark.parametrize(("count", "held_out"), [(1, 0), (2, 1), (7, 1), (8, 1), (33, 4)])
def test_whole_images_are_held_out_and_at_least_one(count, held_out):
    """Also of a model whose images are cut into several windows, and of batches of any size."""
    stages = first_stages._first_stages(build("resnet50", input="rgb", classes=3))
    stages = dataclasses.replace(stages, layers=torch.nn.AvgPool2d(4))
    numbers = torch.arange(count).float()[:, None, None, None]
    images = numbers.expand(count, 1, 24, 24), numbers.expand(count, 3, 96, 96)
    batches = zip(*(part.split(3) for part in images), strict=True)
    fitted, last = first_stages._cut(stages, batches, torch.Generator()).split()
    assert set(last.images.tolist()) == set(range(count - held_out, count))
    assert set(fitted.images.tolist()) == set(range(count - held_out))
    assert len(fitted.images) + len(last.images) == 4 * count
    for part in (fitted, last):
        assert torch.equal(part.inputs[:, 0, 0, 0], part.images.float())
        assert torch.equal(part.targets[:, 0, 0, 0], part.images.float())


@pytest.mark.parametrize("count", [1, 2])
def test_few_images_give_a_share_or_none(monkeypatch, count):
    monkeypatch.setattr(first_stages, "_STEPS", 2)
    inputs, pixels = pairs("mobilenet_v2", 8)
    network = build("mobilenet_v2", channels=27, classes=3)
    parent = trained("mobilenet_v2", pixels)
    share = fit_first_stages(network, parent, [(inputs[:count], pixels[:count])])
    assert share is None if count == 1 else math.isfinite(share)


@pytest.mark.parametrize("model", MODELS)
def test_only_a_whole_rgb_network_can_be_a_parent(model):
    rgb = build(model, input="rgb", classes=7)
    network = rgb_network(model, rgb.state_dict())
    x = torch.randn(2, 3, 64, 64)
    body = lambda net: net.features(x) if model == "mobilenet_v2" else net.conv1(x)  # noqa: E731
    with torch.no_grad():
        assert torch.equal(body(network), body(rgb.eval()))
    gated = {f"network.{name}": tensor for name, tensor in rgb.state_dict().items()}
    assert rgb_network(model, gated) is not None
    assert rgb_network(model, build(model, channels=24).state_dict()) is None
    assert rgb_network(model, {}) is None
