"""Detectors begin with a backbone or with another detector; new layers' norms are settled."""

from pathlib import Path

import pytest
import torch
from narrow_networks import narrow_detectors

from freqprep.errors import UsageError
from freqprep.models import initial
from freqprep.models.detection import DETECTORS, build_detector
from freqprep.models.gate import ChannelGate, GatedNetwork
from freqprep.models.initial import load_weights, recalibrate_batch_norm
from freqprep.models.networks import build
from freqprep.models.torchvision_ops import import_torchvision

torchvision = import_torchvision()
FASTER, MASK = DETECTORS
BODY = "backbone.body."
FIRST = [BODY + "layer1.0.conv1.weight", BODY + "layer1.0.downsample.0.weight"]
PREDICTORS = [f"roi_heads.box_predictor.{n}" for n in ("cls_score", "bbox_pred")]


@pytest.fixture(autouse=True, scope="module")
def narrow():
    with narrow_detectors():
        yield


def new(model=FASTER, seed=9, **options):
    torch.manual_seed(seed)
    return build_detector(model, **{"channels": 6, "classes": 3, **options})


def state_of(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def lively(module, seed):
    """With norms that do something."""
    torch.manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point() and ("running" in name or "bn" in name):
            tensor.uniform_(0.5, 1.5)
    return module.eval()


def beside_the_body(module):
    return [name for name in module.state_dict() if not name.startswith(BODY)]


@pytest.fixture
def load(monkeypatch):
    """Loads tensors as if they came from a file."""

    def load(module, tensors):
        monkeypatch.setattr(initial, "read_tensors", lambda path: dict(tensors))
        return load_weights(module, Path("file.pt"))

    return load


@pytest.fixture(scope="module")
def rgb():
    torch.manual_seed(1)
    return lively(torchvision.models.resnet50(weights=None, num_classes=5), 2)


@pytest.fixture(scope="module")
def detector():
    """torchvision's own, of 4 classes and the background."""
    torch.manual_seed(3)
    module = torchvision.models.detection.maskrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=5
    )
    return lively(module, 4)


@pytest.mark.parametrize("frozen", [False, True])
def test_a_backbone_from_an_rgb_network(rgb, tmp_path, frozen):
    torch.save(rgb.state_dict(), tmp_path / "resnet50.pth")
    frequency = new(frozen_norm=frozen)
    before = state_of(frequency)
    done = load_weights(frequency, tmp_path / "resnet50.pth")
    assert sorted(done.initialised) == sorted(FIRST + beside_the_body(frequency))
    assert sorted(done.loaded + done.initialised) == sorted(before)
    for name, tensor in frequency.state_dict().items():
        of_file = rgb.state_dict().get(name.removeprefix(BODY))
        assert torch.equal(tensor, before[name] if name in done.initialised else of_file)

    whole = new(input="rgb", frozen_norm=frozen)
    done = load_weights(whole, tmp_path / "resnet50.pth")
    assert list(done.initialised) == beside_the_body(whole)
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        maps = whole.eval().backbone.body(images)
        stem = rgb.maxpool(rgb.relu(rgb.bn1(rgb.conv1(images))))
        second = rgb.layer2(rgb.layer1(stem))
    torch.testing.assert_close(maps["1"], second, rtol=1e-4, atol=1e-3)


def test_a_backbone_from_a_classification_run_gated_or_not(tmp_path, load):
    torch.manual_seed(5)
    network = lively(build("resnet50", channels=6, classes=4), 6)
    gated = GatedNetwork(ChannelGate(6), network)
    raw = {n: t * float("nan") if t.is_floating_point() else t for n, t in state_of(gated).items()}
    run = {"format": "freqprep-checkpoint", "average": gated.state_dict(), "network": raw}
    torch.save(run, tmp_path / "checkpoint.pt")
    from_file, bare = new(MASK, frozen_norm=True), new()
    done = load_weights(from_file, tmp_path / "checkpoint.pt")
    assert list(done.initialised) == beside_the_body(from_file)
    assert list(load(bare, network.state_dict()).initialised) == beside_the_body(bare)
    images = torch.randn(1, 6, 16, 16)
    with torch.inference_mode():
        expected = network.layer2(network.layer1(images))
        for module in (from_file, bare):
            maps = module.eval().backbone.body(images)
            torch.testing.assert_close(maps["1"], expected, rtol=1e-4, atol=1e-3)
    fewer = new(channels=5)
    assert list(load(fewer, network.state_dict()).initialised) == FIRST + beside_the_body(fewer)


def test_a_learned_stem_is_left_behind(load):
    patches = build("resnet50", input="patches", channels=6, classes=2)
    module = new()
    left = FIRST + beside_the_body(module)  # the layers that see the stem's maps as well
    assert list(load(module, patches.state_dict()).initialised) == left


def old_names(state):
    """What torchvision's names were when its files were made."""
    names = {}
    for name, tensor in state.items():
        name = name.replace("rpn.head.conv.0.0.", "rpn.head.conv.")
        for block in ("inner_blocks", "layer_blocks"):
            for number in range(4):
                name = name.replace(f"{block}.{number}.0.", f"{block}.{number}.")
        for number in range(4):
            name = name.replace(f"mask_head.{number}.0.", f"mask_head.mask_fcn{number + 1}.")
        names[name] = tensor
    return {n: t for n, t in names.items() if not n.endswith("num_batches_tracked")}


def test_torchvisions_own_file_under_its_old_and_new_names(detector, tmp_path, load):
    expected, old = state_of(detector), old_names(detector.state_dict())
    assert len(set(old) & set(expected)) < len(old)
    detector.load_state_dict(old, strict=False)  # torchvision knows these names
    assert all(torch.equal(tensor, expected[n]) for n, tensor in detector.state_dict().items())
    torch.save(old, tmp_path / "maskrcnn.pth")
    module = new(MASK, input="rgb", classes=4, frozen_norm=True)
    assert load_weights(module, tmp_path / "maskrcnn.pth").initialised == ()
    assert all(torch.equal(tensor, expected[n]) for n, tensor in module.state_dict().items())
    trained = new(MASK, input="rgb", classes=4)
    assert load(trained, expected).initialised == ()


def test_other_classes_other_inputs_and_no_masks(detector, load):
    state = detector.state_dict()
    module = new(MASK, input="rgb", classes=3)
    logits = "roi_heads.mask_predictor.mask_fcn_logits"
    initialised = [f"{p}.{kind}" for p in (*PREDICTORS, logits) for kind in ("weight", "bias")]
    assert list(load(module, state).initialised) == initialised
    module = new(MASK, classes=4, frozen_norm=True)
    assert list(load(module, state).initialised) == FIRST
    faster = new(classes=4)
    assert list(load(faster, state).initialised) == FIRST
    masks = new(MASK, classes=4)
    done = load(masks, faster.state_dict())
    assert list(done.initialised) == [n for n in masks.state_dict() if "roi_heads.mask_" in n]
    again = new(classes=4)
    assert load(again, faster.state_dict()).initialised == ()
    assert all(torch.equal(t, faster.state_dict()[n]) for n, t in again.state_dict().items())


def test_what_is_no_backbone_and_no_detector_is_refused(rgb, detector, load):
    module = new()
    before = state_of(module)
    for tensors, text in (
        (build("mobilenet_v2", classes=2).state_dict(), f"missing: {BODY}layer1.0.bn1.weight"),
        ({"fc.running_mean": torch.zeros(1)}, f"missing: {BODY}layer1.0.bn1.weight"),
        ({**rgb.state_dict(), "layer5.weight": torch.zeros(1)}, f"unknown: {BODY}layer5"),
        (
            {**detector.state_dict(), "rpn.head.cls_logits.bias": torch.zeros(9)},
            r"of another shape: rpn.head.cls_logits.bias \(9,\) in place of \(3,\)",
        ),
        (
            {n: t for n, t in detector.state_dict().items() if not n.startswith("rpn.")},
            "missing: rpn.head.conv.0.0.weight",
        ),
    ):
        with pytest.raises(UsageError, match=text):
            load(module, tensors)
    with pytest.raises(UsageError, match="unknown: backbone"):
        load(build("resnet50", channels=6), detector.state_dict())
    assert all(torch.equal(tensor, before[n]) for n, tensor in module.state_dict().items())


@pytest.mark.parametrize("frozen", [False, True])
def test_settled_norms_put_out_their_bias_and_weight(rgb, load, frozen):
    module = new(frozen_norm=frozen)
    done = load(module, rgb.state_dict())
    before = state_of(module)
    images = 4 * torch.randn(3, 6, 8, 8) + 2
    module.train()
    recalibrate_batch_norm(module, done.initialised, lambda: images)
    assert module.training
    changed = {n for n, t in module.state_dict().items() if not torch.equal(t, before[n])}
    block = BODY + "layer1.0."
    moments = ("running_mean", "running_var")
    assert changed == {block + norm + m for norm in ("bn1.", "downsample.1.") for m in moments}
    outputs = {}
    for norm in ("bn1", "downsample.1"):
        layer = module.get_submodule(block + norm)
        layer.register_forward_hook(  # a ReLU will act in place
            lambda layer, _, output: outputs.update({layer: output.clone()})
        )
    with torch.no_grad():
        module.eval().backbone.body(images)
    for norm, output in outputs.items():
        torch.testing.assert_close(output.mean((0, 2, 3)), norm.bias.detach(), rtol=0, atol=1e-4)
        spread = output.std((0, 2, 3), correction=0)
        torch.testing.assert_close(spread, norm.weight.detach().abs(), rtol=1e-3, atol=0)
    assert len(outputs) == 2


def test_settling_is_what_batch_norm_does_while_training():
    """All of a network's norms at once, each behind those before it."""
    module, images = new(), torch.randn(4, 6, 16, 16)
    names = [n for n in module.state_dict() if n.startswith(BODY)]
    with torch.no_grad():
        training = module.train().backbone.body(images)
        recalibrate_batch_norm(module, names, lambda: images)
        settled = module.eval().backbone.body(images)
    for stage, expected in training.items():
        torch.testing.assert_close(settled[stage], expected, rtol=1e-3, atol=1e-3)


def test_nothing_new_means_nothing_settled():
    module = new()
    before = state_of(module)
    recalibrate_batch_norm(module, beside_the_body(module), lambda: pytest.fail("nothing is new"))
    assert all(torch.equal(tensor, before[n]) for n, tensor in module.state_dict().items())
