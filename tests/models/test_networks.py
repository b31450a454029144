"""torchvision's networks without their stem: compute, names, signs, and what they refuse."""

import numpy as np
import pytest
import torch
from scipy.fft import dctn
from torch.utils.flop_counter import FlopCounterMode

from freqprep.errors import UsageError
from freqprep.models.gate import ChannelGate, GatedNetwork
from freqprep.models.networks import (
    DEFAULT_GRID,
    LARGEST_GRID,
    MODELS,
    SMALLEST_GRID,
    STEM_STRIDE,
    build,
    check_grid,
    multiply_accumulates,
)
from freqprep.models.torchvision_ops import import_torchvision

FIRST = {  # where the coefficients arrive, and how wide torchvision's stem is
    "resnet50": ("layer1", 64, ("conv1.", "bn1.")),
    "mobilenet_v2": ("features.1", 32, ("features.0.",)),
}


def torchvisions(model, classes=1000):
    return getattr(import_torchvision().models, model)(weights=None, num_classes=classes)


def on_meta(model, **options):
    with torch.device("meta"):
        return build(model, **options)


@pytest.mark.parametrize(
    ("millions", "model", "options"),
    [
        (3931.0, "resnet50", {"channels": 24}),
        (3971.2, "resnet50", {"channels": 64}),
        (4099.6, "resnet50", {"channels": 192}),
        (4089.2, "resnet50", {"input": "rgb"}),
        (3945.5, "resnet50", {"input": "patches", "channels": 24}),
        (4009.7, "resnet50", {"input": "patches", "channels": 64}),
        (13526.3, "resnet50", {"channels": 24, "strides": "authors"}),
        (287.4, "mobilenet_v2", {"channels": 24}),
        (289.9, "mobilenet_v2", {"channels": 32}),
        (295.0, "mobilenet_v2", {"channels": 48}),
        (300.0, "mobilenet_v2", {"channels": 64}),
        (340.1, "mobilenet_v2", {"channels": 192}),
        (300.8, "mobilenet_v2", {"input": "rgb"}),
        (345.2, "mobilenet_v2", {"input": "patches", "channels": 24}),
    ],
)
def test_multiply_accumulates_at_the_published_grids(millions, model, options):
    network, grid = on_meta(model, **options), DEFAULT_GRID[model]
    shape = {
        "rgb": (3, grid * STEM_STRIDE[model], grid * STEM_STRIDE[model]),
        "patches": (3, 8 * grid, 8 * grid),
    }.get(options.get("input"), (options.get("channels"), grid, grid))
    counted = multiply_accumulates(network, shape)
    assert counted / 1e6 == pytest.approx(millions, abs=0.05)
    with FlopCounterMode(display=False) as torchs:
        network.eval()(torch.empty(1, *shape, device="meta"))
    assert torchs.get_total_flops() == 2 * counted


def test_counting_leaves_a_network_as_it_was():
    network = GatedNetwork(ChannelGate(6), build("mobilenet_v2", channels=6, classes=2))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network(torch.randn(2, 6, 16, 16)).sum().backward()  # its last switches are in a graph
    network.load_state_dict(before)
    gate = 6 * 6 + 6 * 2
    bare = multiply_accumulates(network.network, (6, 16, 16))
    assert multiply_accumulates(network, (6, 16, 16)) == bare + gate
    assert network.training and network.gate.last_open is not None
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("model", MODELS)
def test_names_and_order_are_torchvisions_without_the_stem(model):
    stem = FIRST[model][2]
    full = {name: t.shape for name, t in torchvisions(model).state_dict().items()}
    ours = {name: t.shape for name, t in on_meta(model, channels=24).state_dict().items()}
    assert list(ours) == [name for name in full if not name.startswith(stem)]
    first = {
        "resnet50": {"layer1.0.conv1.weight", "layer1.0.downsample.0.weight"},
        "mobilenet_v2": {
            *(f"features.1.conv.0.1.{n}" for n in ("weight", "bias")),
            *(f"features.1.conv.0.1.running_{n}" for n in ("mean", "var")),
            "features.1.conv.0.0.weight",
            "features.1.conv.1.weight",
        },
    }
    assert {name for name in ours if ours[name] != full[name]} == first[model]
    rgb = on_meta(model, input="rgb").state_dict()
    assert {name: t.shape for name, t in rgb.items()} == full


@pytest.mark.parametrize("model", MODELS)
def test_fed_with_what_a_stem_gives_it_is_the_rgb_network(model):
    torch.manual_seed(0)
    whole, (name, width, stem) = torchvisions(model, 5).eval(), FIRST[model]
    network = build(model, channels=width, classes=5).eval()
    state = {n: t for n, t in whole.state_dict().items() if not n.startswith(stem)}
    network.load_state_dict(state)
    arrived = []
    layer = whole.get_submodule(name)
    layer.register_forward_pre_hook(lambda _, arguments: arrived.append(arguments[0].clone()))
    with torch.inference_mode():
        expected = whole(torch.randn(2, 3, 64, 64))
        assert arrived[0].shape[-1] == 64 // STEM_STRIDE[model]
        assert torch.equal(network(arrived[0]), expected)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("input", ["frequency", "patches"])
def test_signs_reach_the_first_stage(model, input):
    torch.manual_seed(0)
    network = build(model, input=input, channels=16, classes=2).eval()
    arrived = []
    first = network.get_submodule(FIRST[model][0])
    first.register_forward_pre_hook(lambda _, arguments: arrived.append(arguments[0].clone()))
    first.register_forward_hook(lambda *arguments: arrived.append(arguments[2]))
    grid = SMALLEST_GRID[model]
    shape = (3, 8 * grid, 8 * grid) if input == "patches" else (16, grid, grid)
    inputs = torch.randn(2, *shape)
    with torch.inference_mode():
        network(inputs)
    assert arrived[0].shape == (2, 16, grid, grid) and (arrived[0] < 0).any()
    assert input == "patches" or torch.equal(arrived[0], inputs)
    if model == "mobilenet_v2":  # as wide as what comes out, but there is no shortcut in RGB
        with torch.inference_mode():
            assert torch.equal(arrived[1], first.conv(arrived[0]))


def test_patches_can_learn_the_dct():
    """The control network has the frequency network's input among its own."""
    network = build("mobilenet_v2", input="patches", channels=64, classes=2)
    basis = np.stack([np.eye(64)[k].reshape(8, 8) for k in range(64)])
    basis = dctn(basis, type=3, axes=(1, 2), norm="ortho")  # the inverse: basis functions
    luma = np.array([0.299, 0.587, 0.114])[:, None, None]
    stem = network.features[0]
    with torch.no_grad():
        stem.conv.weight.copy_(torch.from_numpy(basis[:, None] * luma))
        rgb = np.random.default_rng(0).uniform(0, 255, (2, 3, 32, 48))
        blocks = (rgb * luma).sum(1).reshape(2, 4, 8, 6, 8).transpose(0, 2, 4, 1, 3)
        expected = torch.from_numpy(dctn(blocks, axes=(1, 2), norm="ortho")).reshape(2, 64, 4, 6)
        torch.testing.assert_close(
            stem.conv(torch.from_numpy(rgb).float()), expected.float(), rtol=1e-4, atol=1e-2
        )
        normalised = stem(torch.from_numpy(rgb).float())
        deviation = expected.std((0, 2, 3), correction=0)
        expected = (expected - expected.mean((0, 2, 3), keepdim=True)).permute(0, 2, 3, 1)
        torch.testing.assert_close(
            normalised.permute(0, 2, 3, 1), (expected / deviation).float(), rtol=1e-3, atol=1e-3
        )


def test_the_authors_strides_keep_layer2_large_and_all_weights():
    shapes = {}
    for strides in ("canonical", "authors"):
        network = on_meta("resnet50", strides=strides)
        network.layer2.register_forward_hook(
            lambda *a, strides=strides: shapes.update({strides: a[2].shape})
        )
        network(torch.empty(2, 24, 56, 56, device="meta"))
        shapes[strides, "weights"] = {n: t.shape for n, t in network.state_dict().items()}
    assert shapes["canonical"] == (2, 512, 28, 28) and shapes["authors"] == (2, 512, 56, 56)
    assert shapes["canonical", "weights"] == shapes["authors", "weights"]


@pytest.mark.parametrize("model", MODELS)
def test_grids_that_it_takes(model):
    smallest = SMALLEST_GRID[model]
    for grid in (smallest, DEFAULT_GRID[model], LARGEST_GRID):
        check_grid(model, grid)
    for grid in (-1, 0, smallest - 1, LARGEST_GRID + 1):
        with pytest.raises(UsageError, match=f"from {smallest} to {LARGEST_GRID}"):
            check_grid(model, grid)
    network = on_meta(model, classes=3)
    last = network.layer4 if model == "resnet50" else network.features
    sides = []
    last.register_forward_hook(lambda *arguments: sides.append(tuple(arguments[2].shape[2:])))
    for grid in (smallest, smallest + 1, 33, 2 * smallest):
        assert network(torch.empty(2, 24, grid, grid, device="meta")).shape == (2, 3)
    assert sides[0] == (1, 1) and sides[-1] == (2, 2)


def test_weights_follow_from_torchs_seed():
    states = []
    for _ in range(2):
        torch.manual_seed(7)
        states.append(build("mobilenet_v2", channels=5, classes=2).state_dict())
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())
    new = states[0]["features.1.conv.1.weight"]  # 16 x 5: He et al. by fan out
    assert 0.5 * (2 / 16) ** 0.5 < new.std() < 1.5 * (2 / 16) ** 0.5


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"model": "vgg16"}, "unknown model 'vgg16'; known: resnet50, mobilenet_v2"),
        ({"input": "jpeg"}, "unknown input 'jpeg'; known: frequency, rgb, patches"),
        ({"strides": "wide"}, "unknown strides 'wide'; known: canonical, authors"),
        ({"model": "mobilenet_v2", "strides": "authors"}, "mobilenet_v2 has no strides 'authors'"),
        ({"channels": 0}, "channels must be a whole number, at least 1, got 0"),
        ({"classes": 0}, "classes must be a whole number, at least 1, got 0"),
    ],
)
def test_what_there_is_not_is_named(changed, text):
    options = {"model": "resnet50", **changed}
    with pytest.raises(UsageError) as error:
        build(options.pop("model"), **options)
    assert text in str(error.value)
    if "model" in changed and "strides" not in changed:
        with pytest.raises(UsageError, match="known: resnet50, mobilenet_v2"):
            check_grid("vgg16", 56)
