"""Detectors are torchvision's: names, outputs, strides and anchors; what is frozen stays so."""

import copy

import pytest
import torch

from freqprep.errors import UsageError
from freqprep.models.detection import DETECTORS, STAGES, build_detector
from freqprep.models.torchvision_ops import import_torchvision

torchvision = import_torchvision()
FROZEN = torchvision.ops.FrozenBatchNorm2d
LOSSES = {"loss_classifier", "loss_box_reg", "loss_objectness", "loss_rpn_box_reg"}


def new(model=DETECTORS[0], seed=0, **options):
    torch.manual_seed(seed)
    return build_detector(model, **{"classes": 3, "channels": 6, "regions": 8, **options})


def random_images(count=2, channels=6, rows=16, columns=16):
    return torch.randn(count, channels, rows, columns, generator=torch.Generator().manual_seed(7))


def target(boxes, labels, iscrowd=None, size=(64, 64)):
    masks = torch.zeros(len(boxes), *size, dtype=torch.uint8)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes, strict=True):
        mask[y1:y2, x1:x2] = 1
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.tensor(labels, dtype=torch.int64),
        "iscrowd": torch.tensor(iscrowd or [False] * len(boxes), dtype=torch.bool),
        "masks": masks,
    }


SIZES = [(64, 64), (64, 50)]
TARGETS = [
    target([[4, 6, 40, 50], [30, 30, 60, 60]], [1, 3]),
    target([[10, 2, 30, 22]], [2], size=(64, 50)),
]


class Bypass(torch.nn.Module):
    """What torchvision would do to pixels and boxes, left out; images go into one canvas."""

    def forward(self, images, targets):
        sizes = [tuple(image.shape[-2:]) for image in images]
        tallest = max(height for height, _ in sizes)
        canvas = torch.zeros(len(images), 3, -(-tallest // 32) * 32, 64)
        for place, image in zip(canvas, images, strict=True):
            place[:, : image.shape[1], : image.shape[2]] = image
        return torchvision.models.detection.image_list.ImageList(canvas, sizes), targets

    def postprocess(self, detections, *_):
        return detections


def torchvisions(model):
    """The reference, of as many classes and regions as `new` has."""
    torch.manual_seed(1)
    build = getattr(torchvision.models.detection, model)
    options = {"num_classes": 4, "box_batch_size_per_image": 8, "box_score_thresh": 0.0}
    reference = build(weights=None, weights_backbone=None, **options)
    reference.transform = Bypass()
    return reference


@pytest.mark.parametrize("model", DETECTORS)
@pytest.mark.parametrize("frozen", [False, True])
def test_the_rgb_form_is_torchvisions(model, frozen):
    detector, reference = new(model, input="rgb", frozen_norm=frozen), torchvisions(model)
    theirs, ours = reference.state_dict(), detector.state_dict()
    if frozen:  # torchvision's are so only with weights that it downloads
        theirs = {n: t for n, t in theirs.items() if not n.endswith("num_batches_tracked")}
    assert {n: t.shape for n, t in ours.items()} == {n: t.shape for n, t in theirs.items()}
    detector.load_state_dict(reference.state_dict())
    reference.load_state_dict(detector.state_dict(), strict=not frozen)

    detector.roi_heads.score_thresh = 0.0
    reference.eval(), detector.eval()
    image = random_images(1, 3, 80, 50)[0]
    canvas = reference.transform([image], None)[0].tensors
    with torch.inference_mode():
        (expected,), (found,) = reference([image]), detector(canvas, [(80, 50)])
    assert found.keys() == expected.keys() and len(found["boxes"]) > 5
    for name, values in expected.items():
        torch.testing.assert_close(found[name], values)
    assert found["boxes"][:, 2].max() <= 50 and found["boxes"][:, 3].max() <= 80
    if detector.has_masks:
        assert found["masks"].shape == (len(found["boxes"]), 1, 28, 28)
    assert detector.has_masks == ("masks" in found) == model.startswith("mask")


@pytest.mark.parametrize("model", DETECTORS)
@pytest.mark.usefixtures("narrow")
def test_its_losses_are_torchvisions(model):
    detector, reference = new(model, input="rgb"), torchvisions(model)
    detector.load_state_dict(reference.state_dict())
    images = [random_images(1, 3, *size)[0] for size in SIZES]
    canvas = reference.transform(images, None)[0].tensors
    torch.manual_seed(2)
    expected = reference(images, TARGETS)
    torch.manual_seed(2)
    losses = detector(canvas, SIZES, TARGETS)
    assert losses.keys() == expected.keys()
    for name, loss in expected.items():
        torch.testing.assert_close(losses[name], loss)


def anchors(detector, images):
    with torch.inference_mode():
        features = detector.eval().backbone(images)
    height, width = (detector.stride * side for side in images.shape[2:])
    frame = torch.zeros(1, 0, height, width)
    canvas = torchvision.models.detection.image_list.ImageList(frame, [(height, width)])
    maps = list(features.values())
    strides = [(height / one.shape[2], width / one.shape[3]) for one in maps]
    return strides, detector.rpn.anchor_generator(canvas, maps)[0]


@pytest.mark.usefixtures("narrow")
def test_both_forms_have_the_same_strides_and_anchors():
    strides, frequency = anchors(new(), random_images(1, 6, 24, 32))
    assert strides == [(4, 4), (8, 8), (16, 16), (32, 32), (48, 64)]  # the last: 2x2 places of 3x4
    rgb_strides, rgb = anchors(new(input="rgb"), random_images(1, 3, 96, 128))
    assert rgb_strides == strides and torch.equal(rgb, frequency)
    assert new().stride == 4 and new(input="rgb").stride == 1


@pytest.mark.parametrize("model", DETECTORS)
@pytest.mark.parametrize("options", [{}, {"frozen_norm": True}, {"input": "rgb"}])
@pytest.mark.usefixtures("narrow")
def test_losses_are_finite_and_gradients_reach_the_first_layer(model, options):
    detector = new(model, **options)
    side, channels = (64, 3) if "input" in options else (16, 6)
    losses = detector(random_images(2, channels, side, side), SIZES, TARGETS)
    assert losses.keys() == LOSSES | ({"loss_mask"} if detector.has_masks else set())
    assert all(loss.isfinite() and loss.ndim == 0 for loss in losses.values())
    sum(losses.values()).backward()
    for name, parameter in detector.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    first = detector.backbone.body.conv1 if "input" in options else detector.backbone.body.layer1
    assert all(parameter.grad.any() for parameter in first.parameters())


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("kind", ["frequency", "rgb"])
@pytest.mark.parametrize("stages", range(5))
@pytest.mark.usefixtures("narrow")
def test_exactly_the_stages_asked_for_train(kind, stages, frozen):
    detector = new(input=kind, trained_stages=stages, frozen_norm=frozen)
    detector = copy.deepcopy(detector).train()  # as an EMA is made
    body = {n: p for n, p in detector.backbone.body.named_parameters() if p.requires_grad}
    heads = [p for n, p in detector.named_parameters() if not n.startswith("backbone.body.")]
    assert all(p.requires_grad for p in heads)
    expected = {*STAGES[:stages]} | ({"conv1", "bn1"} if (stages, kind) == (4, "rgb") else set())
    if frozen:
        expected -= {"bn1"}
        assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in detector.modules())
    assert {name.split(".")[0] for name in body} == expected
    before = copy.deepcopy(detector.backbone.body.state_dict())
    side, channels = (32, 3) if kind == "rgb" else (8, 6)
    detector.backbone(random_images(2, channels, side, side) + 3)
    changed = {n for n, t in detector.backbone.body.state_dict().items() if not t.equal(before[n])}
    measured = {n.split(".")[0] for n in changed}  # running means, and so on
    assert measured == (set() if frozen else expected - {"conv1"})


@pytest.mark.usefixtures("narrow")
def test_crowds_are_left_out():
    detector = new(DETECTORS[1])
    crowded = target([[4, 6, 40, 50], [0, 0, 64, 64], [30, 30, 60, 60]], [1, 2, 3], [0, 1, 0])
    losses = []
    for targets in (TARGETS, [crowded, TARGETS[1]]):
        torch.manual_seed(3)
        losses.append(copy.deepcopy(detector)(random_images(), SIZES, targets))
    assert all(torch.equal(losses[0][name], losses[1][name]) for name in losses[0])
    assert len(crowded["boxes"]) == 3  # the caller's own are left alone


@pytest.mark.parametrize("model", DETECTORS)
@pytest.mark.usefixtures("narrow")
def test_images_without_objects_train(model):
    detector = new(model, frozen_norm=True)
    empty = target([], [])
    only_crowd = target([[0, 0, 64, 64]], [2], [True])
    for targets in ([empty, only_crowd], [empty, TARGETS[1]]):
        detector.zero_grad()
        losses = detector(random_images(), SIZES, targets)
        assert all(loss.isfinite() for loss in losses.values())
        sum(losses.values()).backward()
        assert detector.rpn.head.cls_logits.weight.grad.any()
    empty_losses = detector(random_images(), SIZES, [empty, empty])
    assert empty_losses["loss_box_reg"] == empty_losses["loss_rpn_box_reg"] == 0


@pytest.mark.usefixtures("narrow")
def test_what_is_found_does_not_depend_on_the_first_batch():
    """torchvision's pooling guesses the strides once, wrongly from small images in a canvas."""
    detector, images = new().eval(), random_images(1, 6, 16, 16)
    detector.roi_heads.score_thresh = 0.0
    with torch.inference_mode():
        expected = copy.deepcopy(detector)(images, [(64, 64)])[0]
        detector(images, [(20, 20)])
        found = detector(images, [(64, 64)])[0]
    assert len(found["boxes"]) and all(torch.equal(found[n], expected[n]) for n in expected)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"model": "resnet50"}, "unknown model 'resnet50'"),
        ({"input": "patches"}, "unknown input 'patches'"),
        ({"classes": 0}, "classes must be a whole number, at least 1, got 0"),
        ({"channels": 0}, "channels must be a whole number, at least 1, got 0"),
        ({"regions": 0}, "regions must be a whole number, at least 1, got 0"),
        ({"trained_stages": 5}, "trained_stages must be a whole number from 0 to 4, got 5"),
        ({"trained_stages": -1}, "trained_stages must be a whole number from 0 to 4, got -1"),
    ],
)
@pytest.mark.usefixtures("narrow")
def test_what_cannot_be_built_is_named(options, text):
    with pytest.raises(UsageError, match=text) as error:
        build_detector(**{"model": DETECTORS[0], **options})
    assert error.value.remedy


@pytest.mark.usefixtures("narrow")
def test_what_cannot_be_fed_is_named():
    detector = new()
    with pytest.raises(UsageError, match="canvas of 60x64 pixels"):
        detector(random_images(1, 6, 16, 15), [(60, 60)], TARGETS[:1])
    with pytest.raises(UsageError, match="without targets"):
        detector(random_images(), SIZES)
