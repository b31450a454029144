"""Overfitting test: a Mask R-CNN on coefficients learns all objects of four images."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import synthetic
from coco_shapes import shapes_folder

from freqprep.augment import DetectorPolicy
from freqprep.training.loop import train
from freqprep.training.recipe import preset_recipe
from freqprep.training.request import TrainingRequest

IMAGES, COPIES = 4, 140


def repeated(folder: Path) -> Path:
    """Images of ``val`` many times over as ``train``: validation and checkpoint come once."""
    document = json.loads((folder / "annotations/instances_val2017.json").read_text())
    (folder / "train2017").mkdir()
    images, annotations = [], []
    for copy in range(COPIES):
        for image in document["images"]:
            name = f"{copy}-{image['file_name']}"
            shutil.copy(folder / "val2017" / image["file_name"], folder / "train2017" / name)
            image_id = 1000 * copy + image["id"]
            images.append({**image, "id": image_id, "file_name": name})
        for one in document["annotations"]:
            numbers = {"id": len(annotations) + 1, "image_id": 1000 * copy + one["image_id"]}
            annotations.append({**one, **numbers})
    document |= {"images": images, "annotations": annotations}
    (folder / "annotations/instances_train2017.json").write_text(json.dumps(document))
    return folder


@pytest.mark.long
def test_all_objects_of_four_images(tmp_path):
    folder = shapes_folder(tmp_path / "coco", {"val": IMAGES}, side=64, crowds=False, square=True)
    store = synthetic.make(repeated(folder), tmp_path / "s.zarr", kind="coco", size=64)
    recipe = preset_recipe("short", "maskrcnn_resnet50_fpn", epochs=1, batch_size=4, lr=0.005)
    recipe = dataclasses.replace(recipe, average=0.9, policy=DetectorPolicy(flip=0.0))
    request = TrainingRequest(
        store=store,
        run=tmp_path / "run",
        model="maskrcnn_resnet50_fpn",
        recipe=recipe,
        grid=16,
        regions=8,
        device="cpu",
        threads=1,
    )
    found = train(request).results["validation"]
    assert found["images"] == IMAGES <= found["objects"]
    assert found["box"]["AP50"] >= 0.9
    assert found["mask"]["AP50"] >= 0.8
