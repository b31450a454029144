"""What a detector cannot be trained with is refused by name, before anything is written."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import pytest
import subset
import synthetic
import torch
from coco_shapes import shapes_folder

from freqprep.augment import DetectorPolicy, Policy
from freqprep.augment.detector_targets import Move, targets_of
from freqprep.errors import RunError, UnknownChannelError, UsageError
from freqprep.models.detection import DETECTORS
from freqprep.models.networks import build
from freqprep.spectrum.channels import published
from freqprep.training.loop import train
from freqprep.training.planning import plan
from freqprep.training.recipe import preset_recipe
from freqprep.training.request import TrainingRequest

FASTER, MASK = DETECTORS


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    folder = shapes_folder(tmp_path_factory.mktemp("coco"), {"train": 5, "val": 2}, corrupt=1)
    return synthetic.make(folder, tmp_path_factory.mktemp("store") / "s.zarr", kind="coco", size=48)


@pytest.fixture
def ask(shapes, tmp_path):
    def make(model=MASK, **changes):
        of_request = {f.name for f in dataclasses.fields(TrainingRequest)} & changes.keys()
        options = {name: changes.pop(name) for name in of_request}
        recipe = preset_recipe("short", model, **{"epochs": 1, "batch_size": 2, **changes})
        request = TrainingRequest(
            store=shapes, run=tmp_path / "run", model=model, recipe=recipe, device="cpu"
        )
        return dataclasses.replace(request, **options)

    return make


@pytest.mark.parametrize(
    "change", [{}, {"iscrowd": 1}, {"bbox": [5, 5, 0, 9]}, {"bbox": [-5000, 1, 10, 5]}]
)
def test_a_split_without_objects_is_not_trained_on(tmp_path, ask, change):
    folder = shapes_folder(tmp_path / "coco", {"train": 3, "val": 2})
    path = folder / "annotations/instances_train2017.json"
    document = json.loads(path.read_text())
    kept = [{**entry, **change} for entry in document["annotations"]] if change else []
    path.write_text(json.dumps({**document, "annotations": kept}))
    store = synthetic.make(folder, tmp_path / "s.zarr", kind="coco", size=48)
    with pytest.raises(UsageError, match=r"train has no annotated object in any of its 3 images"):
        plan(ask(store=store))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gate": True}, "has no --gate"),
        ({"mixup": 0.2}, "has no --mixup"),
        ({"cutmix": 0.5, "mixup": 0.1}, "has no --mixup, --cutmix"),
        ({"label_smoothing": 0.1}, "has no label smoothing"),
        ({"policy": Policy(aligned=True)}, "has no --aligned-crops"),
        ({"strides": "authors"}, "has no --strides"),
        ({"compile": True}, "has no --compile"),
        ({"grid_ramp": (8, 16), "early_read": "paper-6"}, "has no --grid-ramp, --early-read"),
        ({"patches": 3, "input": "rgb"}, "has no patches"),
        ({"frozen_norm": True}, "--batch-norm frozen without --init"),
        ({"trained_stages": 3}, "--trained-stages 3 without --init"),
        ({"trained_stages": 0}, "--trained-stages 0 without --init"),
        ({"init": Path("nothing.pt")}, r"nothing\.pt cannot be read"),
        ({"grid": 7}, "grid of 7 places"),
        ({"grid": 513}, "grid of 513 places"),
        ({"grid": 8, "batch_size": 3, "accumulate": 2}, "a grid of 8 places may leave"),
        ({"accumulate": 2, "processes": 2}, "some of them without an image"),
        ({"channels": "y_9_9"}, "y_9_9"),
        ({"channels": "paper-32", "read": "paper-6"}, "read"),
        ({"input": "rgb", "channels": "paper-6"}, "RGB input has no channels"),
        ({"input": "sound"}, "input 'sound' does not exist"),
        ({"train_split": "test"}, "it has: train, val"),
        ({"val_split": "test"}, "it has: train, val"),
        ({"threads": 0}, "--threads must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_done(ask, changes, words):
    processes = changes.get("processes", 1)
    request = ask(**{name: value for name, value in changes.items() if name != "processes"})
    with pytest.raises(UsageError, match=words):
        plan(request, processes)
    assert not request.run.exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"trained_stages": 5}, "trained_stages must be a whole number from 0 to 4, got 5"),
        ({"regions": 0}, "regions must be a whole number, at least 1, got 0"),
        ({"batch_size": 5}, "5"),
        ({"lanes": 40}, "lanes=40"),
        ({"seed": -1}, "-1"),
    ],
)
def test_what_only_the_parts_know(ask, changes, words):
    request = ask(grid=8, channels="paper-6", **changes)
    with pytest.raises(UsageError, match=words):
        train(request)
    assert not request.run.exists()


@pytest.mark.parametrize("split", ["train", "val"])
def test_objects_are_needed(ask, store, shapes, split, tmp_path):
    with pytest.raises(UsageError, match="no annotated objects"):
        plan(ask(store=store))
    mixed = shutil.copytree(shapes, tmp_path / "mixed.zarr")
    shutil.rmtree(mixed / split)
    shutil.copytree(store / split, mixed / split)
    with pytest.raises(UsageError, match=rf"{split} has no annotated objects"):
        plan(ask(store=mixed))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"frozen_norm": False}, "resnet50 has no --batch-norm"),
        ({"frozen_norm": True}, "resnet50 has no --batch-norm"),
        ({"trained_stages": 2}, "resnet50 has no --trained-stages"),
        ({"regions": 64}, "resnet50 has no --regions"),
        ({"policy": DetectorPolicy(smallest_crop=0.5)}, "resnet50 has no --smallest-crop"),
    ],
)
def test_classifiers_have_none_of_a_detectors_options(ask, store, changes, words):
    with pytest.raises(UsageError, match=words):
        plan(ask("resnet50", store=store, **changes))


def test_a_classifier_of_annotated_images_is_pointed_to_detectors(ask):
    with pytest.raises(UsageError, match="no labels") as error:
        plan(ask("resnet50"))
    assert "train a detector" in error.value.remedy


def test_stages_that_would_keep_random_weights(ask, tmp_path):
    """The first stage's new layers are for other channels than the file's."""
    path = tmp_path / "weights.pt"
    torch.save(build("resnet50", channels=6, classes=3).state_dict(), path)
    request = ask(FASTER, init=path, grid=8, trained_stages=3, channels="square-24")
    with pytest.raises(UsageError, match=r"would keep random weights: .*layer1\.0\.conv1\.weight"):
        train(request)
    assert not request.run.exists()


def test_weights_of_another_network(ask, tmp_path):
    path = tmp_path / "weights.pt"
    torch.save(build("mobilenet_v2", classes=3).state_dict(), path)
    request = ask(FASTER, init=path, grid=8)
    with pytest.raises(UsageError, match="missing: backbone"):
        train(request)
    assert not request.run.exists()


def test_another_request_does_not_go_on_with_a_run(ask):
    from freqprep.training.model_config import write_model_config

    request = ask(grid=9, channels="paper-6", resume=True)
    planned = plan(request)
    request.run.mkdir()
    write_model_config(request.run, planned.config)
    assert plan(request).config == planned.config
    for changes, words in (
        ({"regions": 7}, "recipe.regions is 512, now 7"),
        ({"model": FASTER}, "its model is maskrcnn"),
        ({"grid": 10}, "inputs.short is 36, now 40"),
        ({"input": "rgb", "channels": None}, "inputs.kind is frequency, now rgb"),
        ({"channels": "paper-32"}, "inputs.(read|channels)"),
    ):
        with pytest.raises(RunError, match=words):
            plan(dataclasses.replace(request, **changes))


def test_what_a_person_should_know_is_said(ask):
    notes = plan(ask(grid=8, batch_size=4, channels="paper-6", val_split="train")).notes
    said = r"4 images: \d objects to learn from in 3 of them, none in 1; not learned from: 1 crowd"
    assert re.fullmatch(said, notes[0])
    assert len(notes) == 1


def test_objects_that_are_not_learned_from_are_counted_apart(tmp_path, ask):
    folder = shapes_folder(tmp_path / "coco", {"train": 4, "val": 2})
    path = folder / "annotations/instances_train2017.json"
    document = json.loads(path.read_text())
    ids = [image["id"] for image in document["images"]]
    boxes = [
        (ids[0], [-5000, 1, 10, 5]),
        (ids[0], [5, 5, 0, 9]),
        (ids[1], [5, 5, 9, -1]),
        (ids[2], [5, 5, 9000, 9000]),
        (ids[3], [5, 5, 9, 9]),
        (ids[3], [1000, 5, 9, 9]),
    ]
    document["annotations"] = [
        {"id": number, "image_id": image, "category_id": 3, "bbox": box, "iscrowd": 0}
        for number, (image, box) in enumerate(boxes, 1)
    ]
    document["annotations"].append(
        {"id": 9, "image_id": ids[1], "category_id": 3, "bbox": [1, 1, 9, 9], "iscrowd": 1}
    )
    path.write_text(json.dumps(document))
    request = ask(FASTER, store=synthetic.make(folder, tmp_path / "s.zarr", kind="coco", size=48))
    request = dataclasses.replace(request, recipe=preset_recipe("short", FASTER, batch_size=2))
    planned = plan(request)
    assert planned.notes[0] == (
        "4 images: 2 objects to learn from in 2 of them, none in 2; not learned from: 1 crowd,"
        " 4 boxes of less than a pixel within the image"
    )
    split, inputs = planned.train, planned.config.inputs
    frames = inputs.frame_sizes(split.sizes)
    learned = 0
    for row, (size, frame) in enumerate(zip(split.sizes.tolist(), frames.tolist(), strict=True)):
        move = Move((0, 0), tuple(size), tuple(frame), False)
        found = targets_of(split.objects, row, tuple(size), move, False, torch.device("cpu"))
        learned += int((~found["iscrowd"]).sum())
    assert learned == 2


def test_a_detector_reads_all_channels_that_are_stored(shapes, ask, tmp_path):
    kept = published("paper-32").indices
    store = subset.keep(shapes, tmp_path / "some.zarr", kept)
    inputs = plan(ask(store=store)).config.inputs
    assert (inputs.channels, inputs.read) == (
        published("square-24").names,
        published("paper-32").names,
    )
    rgb = plan(ask(store=store, input="rgb")).config.inputs
    assert rgb.read == published("paper-32").names
    with pytest.raises(UnknownChannelError, match="does not store 160 of the 192"):
        plan(ask(store=store, read="all"))
