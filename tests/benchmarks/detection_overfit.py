"""Overfitting test: Mask R-CNN must reproduce boxes and masks of eight photographs of COCO.

From random weights and with a small frame, so that a CPU needs half an hour. Inputs, targets and
metrics are those of `freqprep train` and `evaluate`, without random flips.
"""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import torch

from freqprep.augment import DetectorPolicy
from freqprep.convert.request import Request
from freqprep.convert.run import convert
from freqprep.training.distributed import World
from freqprep.training.evaluate_run import evaluate_run
from freqprep.training.loop import train
from freqprep.training.recipe import preset_recipe
from freqprep.training.request import TrainingRequest
from tests.benchmarks.table import show

_IMAGES, _GRID, _EPOCHS = 8, 40, 100
_OBJECTS, _LEAST_AREA = range(2, 7), 2500.0
_MODEL = "maskrcnn_resnet50_fpn"


def run(data: Path, folder: Path) -> dict[str, object]:
    store, began = folder / "eight.zarr", time.monotonic()
    convert(Request("coco", _eight(data / "coco", folder / "eight"), store))
    recipe = preset_recipe(
        "short", _MODEL, epochs=_EPOCHS, batch_size=2, lr=0.01, policy=DetectorPolicy(flip=0.0)
    )
    run = folder / "run"
    train(TrainingRequest(store, run, _MODEL, recipe, grid=_GRID, regions=64, device="cpu"))
    world = World(0, 1, torch.device("cpu"))
    found = evaluate_run(run, store, "train", world, batch_size=1, threads=1).to_dict()
    rows = [(name, 100 * value, 100 * found["mask"][name]) for name, value in found["box"].items()
            if value is not None]  # fmt: skip
    show(("%", "box", "mask"), rows)
    return {"rows": rows, "seconds": time.monotonic() - began}


def _eight(source: Path, target: Path) -> Path:
    """Select the first training images with two to six objects, none small, and no crowd."""
    shutil.rmtree(target, ignore_errors=True)
    (target / "annotations").mkdir(parents=True)
    (target / "train2017").mkdir()
    name = "annotations/instances_train2017.json"
    document = json.loads((source / name).read_text())
    of_image: dict[int, list[dict[str, Any]]] = {}
    for one in document["annotations"]:
        of_image.setdefault(one["image_id"], []).append(one)
    chosen = [image for image in document["images"] if _plain(of_image.get(image["id"], []))]
    chosen = chosen[:_IMAGES]
    for image in chosen:
        shutil.copy(source / "train2017" / image["file_name"], target / "train2017")
    objects = [one for image in chosen for one in of_image[image["id"]]]
    (target / name).write_text(json.dumps({**document, "images": chosen, "annotations": objects}))
    return target


def _plain(objects: list[dict[str, Any]]) -> bool:
    large = all(one["area"] > _LEAST_AREA and not one["iscrowd"] for one in objects)
    return len(objects) in _OBJECTS and large
