"""A detector's run follows from its request; what is frozen stays; its config says what it is."""

import dataclasses
import json

import pytest
import runs
import synthetic
import torch
from coco_shapes import shapes_folder
from interrupting import interrupt_after

from freqprep.augment import DetectorInput, DetectorPolicy, DetectorPreprocess
from freqprep.models.networks import build
from freqprep.store.reader import open_store
from freqprep.training import loop
from freqprep.training.checkpoint import (
    AVERAGE,
    CHECKPOINT,
    NETWORK,
    load_model,
    read_checkpoint,
    write_checkpoint,
)
from freqprep.training.coco_metrics import FIGURES
from freqprep.training.detector_task import DetectorTask
from freqprep.training.loop import train
from freqprep.training.metrics import read_metrics
from freqprep.training.model_config import ModelConfig, read_model_config
from freqprep.training.planning import plan
from freqprep.training.recipe import preset_recipe
from freqprep.training.request import TrainingRequest

FASTER, MASK = "fasterrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn"
BODY = "backbone.body."


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """8 valid images to train on, 3 for validation; one of each is rejected."""
    folder = shapes_folder(tmp_path_factory.mktemp("coco"), {"train": 9, "val": 4}, corrupt=1)
    return synthetic.make(folder, tmp_path_factory.mktemp("store") / "s.zarr", kind="coco", size=48)


@pytest.fixture
def tiny(shapes, tmp_path):
    """A Mask R-CNN on frames of 32 pixels: 4 steps of two images, validation."""

    def make(model=MASK, preset="short", **changes):
        of_request = {f.name for f in dataclasses.fields(TrainingRequest)} & changes.keys()
        options = {name: changes.pop(name) for name in of_request}
        changes = {"epochs": 1, "batch_size": 2, "lr": 0.002, **changes}
        request = TrainingRequest(
            store=shapes,
            run=tmp_path / "run",
            model=model,
            recipe=preset_recipe(preset, model, **changes),
            channels="paper-6",
            grid=8,
            regions=8,
            device="cpu",
            threads=1,
        )
        return dataclasses.replace(request, **options)

    return make


def weights(folder, part=NETWORK):
    return read_checkpoint(folder, read_model_config(folder))[part]


TIMES = {"images_per_second", "seconds", "data_wait", "augmentation", "network"}


def lines(folder):
    """All that is measured, but the time it took."""
    return [
        {name: value for name, value in line.items() if name not in TIMES}
        for line in read_metrics(folder)
    ]


CROPS = DetectorPolicy(smallest_crop=0.5)
FEW = {"train_split": "val", "epochs": 2}
"""Two steps of two images, and no validation."""


@pytest.mark.parametrize(
    "changes",
    [
        {"policy": CROPS},
        {
            "model": FASTER,
            "input": "rgb",
            "channels": None,
            "grid": 9,
            "accumulate": 2,
            "preset": "paper",
        },
    ],
    ids=["masks", "rgb"],
)
def test_the_same_request_gives_the_same_weights_also_when_interrupted(
    tiny, tmp_path, changes, monkeypatch
):
    config = train(tiny(run=tmp_path / "one", **changes))
    other = tiny(run=tmp_path / "other", **changes)
    with monkeypatch.context() as patch:
        interrupt_after(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            train(other)
    assert train(dataclasses.replace(other, resume=True)).results == config.results
    for part in (NETWORK, AVERAGE):
        mine, theirs = (weights(tmp_path / name, part) for name in ("one", "other"))
        assert mine.keys() == theirs.keys()
        assert [name for name in mine if not torch.equal(mine[name], theirs[name])] == []
    assert lines(tmp_path / "one") == lines(tmp_path / "other")
    *steps, validation = lines(tmp_path / "one")
    masks = config.model == MASK
    losses = ["loss", "loss_classifier", "loss_box_reg", *["loss_mask"] * masks]
    losses += ["loss_objectness", "loss_rpn_box_reg"]
    assert [line["steps"] for line in steps] == [1, 2, 3, 4]
    for line in steps:
        assert line["kind"] == "train" and {"lr", *losses} < line.keys()
        assert line["loss"] == pytest.approx(sum(line[name] for name in losses[1:]), rel=1e-5)
    figures = [f"{what}_{name}" for what in ("box", *["mask"] * masks) for name in FIGURES]
    assert list(validation) == ["kind", "steps", "epochs", *figures]


def test_the_card_says_what_was_trained_and_what_came_of_it(tiny, shapes):
    request = tiny()
    config = train(request)
    assert (
        config
        == read_model_config(request.run)
        == ModelConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    )
    assert config.detects and config.class_ids == (3, 90) and config.class_names == ("box", "disc")
    assert isinstance(config.inputs, DetectorInput) and (
        config.inputs.short,
        config.inputs.longest,
    ) == (32, 53)
    assert not config.frozen_norm
    assert {"trained_stages": 4, "regions": 8, "clip": 35.0}.items() <= config.recipe.items()
    other = dataclasses.replace(config, frozen_norm=True)
    assert other.identity != config.identity
    same = dataclasses.replace(config, recipe={}, results={})
    assert same.identity == config.identity
    found = config.results["validation"]
    objects = open_store(shapes)["val"].objects
    assert (found["images"], found["rejected"]) == (3, 1)
    assert 0 < found["objects"] < len(objects)  # neither crowds nor a rejected image's
    assert set(found["box"]) == set(found["strict_mask"]) == set(FIGURES)
    written = {line["kind"]: line for line in read_metrics(request.run)}["validation"]
    assert {name: written[f"mask_{name}"] for name in FIGURES} == found["mask"]
    _, network = load_model(request.run, torch.device("cpu"))
    assert config.results["parameters"] == sum(p.numel() for p in network.parameters())
    assert {path.name for path in request.run.iterdir()} == {
        *("model.json", "checkpoint.pt", "metrics.jsonl", "curves.png")
    }


def test_a_card_from_before_there_were_detectors_is_read(store):
    config = runs.make_config(open_store(store)["train"])
    document = json.loads(json.dumps(config.to_dict()))
    assert document.pop("frozen_norm") is False
    document["format_version"] = "1.0"
    read = ModelConfig.from_dict(document)
    assert read == config and read.identity == config.identity


@pytest.fixture
def classifier(store, tmp_path):
    """The folder of a ResNet-50's run on 6 channels, its norms lively, and its weights."""
    config = dataclasses.replace(runs.make_config(open_store(store)["train"]), model="resnet50")
    torch.manual_seed(4)
    network = build("resnet50", channels=6, classes=3)
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point() and ("running" in name or "bn" in name):
            tensor.uniform_(0.5, 1.5)
    folder = tmp_path / "classifier"
    folder.mkdir()
    write_checkpoint(folder, config, {AVERAGE: network.state_dict(), NETWORK: {}})
    return folder / CHECKPOINT, network.state_dict()


def changed(trained, given):
    """Names of a backbone's tensors that are not those it began with."""
    return {
        name.removeprefix(BODY)
        for name, tensor in trained.items()
        if name.startswith(BODY) and not torch.equal(tensor, given[name.removeprefix(BODY)])
    }


@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_norms_and_stages_keep_what_they_began_with(tiny, classifier, frozen):
    path, given = classifier
    options = {} if frozen else {"frozen_norm": False}  # frozen where there are weights
    request = tiny(model=FASTER, init=path, trained_stages=2, **FEW, **options)
    assert train(request).frozen_norm == frozen
    trained = weights(request.run)
    expected = {
        name
        for name in given
        if name.startswith(("layer3", "layer4"))
        and not (frozen and (".bn" in name or "downsample.1" in name))
    }
    assert changed(trained, given) == expected
    assert any(name.endswith("running_mean") for name in expected) != frozen


def test_norms_behind_new_layers_are_settled_and_then_kept(tiny, classifier):
    path, given = classifier
    request = tiny(model=FASTER, init=path, channels="square-24", **FEW)
    train(request)
    trained = weights(request.run)
    norms = {n for n in given if ".bn" in n or "downsample.1" in n}
    settled = {
        f"layer1.0.{norm}.running_{what}"
        for norm in ("bn1", "downsample.1")
        for what in ("mean", "var")
    }
    first = {f"layer1.0.{layer}.weight" for layer in ("conv1", "downsample.0")}
    differ = {
        name.removeprefix(BODY)
        for name, tensor in trained.items()
        if name.removeprefix(BODY) in norms
        and not torch.equal(tensor, given[name.removeprefix(BODY)])
    }
    assert differ == settled
    assert all(trained[BODY + name].shape[1] == 24 for name in first)
    with pytest.raises(loop.RunError, match="its frozen_norm is True, now False"):
        train(dataclasses.replace(request, resume=True, frozen_norm=False))


def test_classes_that_are_only_in_validation_are_told(tiny):
    planned = plan(tiny(model=FASTER))
    assert len(DetectorTask.notes(planned)) == 1
    other = dataclasses.replace(planned.config, class_ids=(3, 91))
    told = DetectorTask.notes(dataclasses.replace(planned, config=other))
    assert "does not have 1 class of " in told[1]
    assert told[1].endswith("objects of other classes are never found")


def test_norms_are_settled_on_images_alone(tiny, shapes):
    """Each is the upper left part of what evaluation is fed, of one size without any padding."""
    split = open_store(shapes)["train"]
    planned = plan(tiny(model=FASTER, channels="square-24"))
    inputs = planned.config.inputs
    found = DetectorTask(tiny(), planned).calibration_images(torch.device("cpu"))
    sizes = split.sizes[split.valid]
    rows, columns = (-(-inputs.frame_sizes(sizes) // 4)).min(axis=0).tolist()
    assert found.shape == (8, 24, rows, columns) and rows < 12 and columns < 12
    preprocess = DetectorPreprocess(inputs, split.attributes.encoding)
    codes = torch.from_numpy(split.read_codes(split.valid, inputs.read_selection))
    for image, alone in enumerate(found):
        one = slice(image, image + 1)
        expected = preprocess(codes[one], sizes[one]).images[0, :, :rows, :columns]
        torch.testing.assert_close(alone, expected, rtol=0, atol=1e-4)


def test_the_gradient_is_clipped(tiny):
    """One step without momentum: the weights move by the learning rate times the norm."""
    distances = {}
    for clip in (0.0, 0.5):
        request = tiny(model=FASTER, batch_size=3, lr=1.0, train_split="val")
        recipe = dataclasses.replace(
            request.recipe, clip=clip, momentum=0.0, weight_decay=0.0, average=0.0, warmup_steps=0
        )
        request = dataclasses.replace(request, recipe=recipe, run=request.run / str(clip))
        config = train(request)
        torch.manual_seed(request.seed)
        begun = config.build(regions=8).state_dict()
        ended = weights(request.run)
        squares = [
            (ended[name].double() - tensor.double()).square().sum()
            for name, tensor in begun.items()
            if "running" not in name and "tracked" not in name
        ]
        distances[clip] = float(torch.stack(squares).sum().sqrt())
    assert distances[0.0] > 1
    assert distances[0.5] == pytest.approx(0.5, rel=1e-3)


def test_cudnns_setting_is_put_back_on_a_cpu_too(tiny, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    seen = []

    def step(*_):
        seen.append(torch.backends.cudnn.benchmark)
        raise ZeroDivisionError

    monkeypatch.setattr(loop, "train_step", step)
    with pytest.raises(ZeroDivisionError):
        train(tiny(FASTER))
    assert seen == [False] and torch.backends.cudnn.benchmark
