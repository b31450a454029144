"""COCO's objects in a store: where the stored pixels are, and nothing of the source lost."""

import json

import numpy as np
import pytest
import synthetic
from coco_folder import SIDES, coco_folder
from pycocotools import mask as coco_mask

import freqprep
from freqprep.convert.repair import RepairRequest, repair
from freqprep.convert.verify_source import compare_with_source
from freqprep.errors import SourceChangedError, SourceError
from freqprep.images.geometry import boxes_to_source
from freqprep.sources import box_form


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("size", [64, 24])
def test_coco_objects_are_in_the_stored_images_pixels(tmp_path, size):
    source = coco_folder(tmp_path / "coco")
    store = synthetic.make(source, tmp_path / "out.zarr", kind="coco", size=size)
    split = freqprep.open_store(store)["val"]
    assert split.attributes.source_split == "val2017"
    assert split.attributes.class_ids == (3, 90) and (split.labels == -1).all()
    ids = split.array("image_id").tolist()
    assert sorted(ids) == sorted(SIDES)
    offsets = split.array("object_offset")
    annotations, masks = split.ragged("annotation"), split.ragged("mask")
    stated = json.loads((source / "annotations/instances_val2017.json").read_text())
    by_image = {i: [a for a in stated["annotations"] if a["image_id"] == i] for i in ids}
    geometry = split.attributes.encoding.geometry
    for row, image_id in enumerate(ids):
        assert split.keys[row] == f"{image_id}.jpg"
        assert split.valid[row] == (image_id != 30)
        mine = range(offsets[row], offsets[row + 1])
        assert [json.loads(annotations.bytes_at(n)) for n in mine] == by_image[image_id]
        place = geometry.place(*SIDES[image_id])
        back = boxes_to_source(split.array("box")[list(mine)], SIDES[image_id], place)
        assert np.allclose(back, np.reshape([a["bbox"] for a in by_image[image_id]], (-1, 4)))
        for number, annotation in zip(mine, by_image[image_id], strict=True):
            assert split.array("iscrowd")[number] == annotation["iscrowd"]
            assert split.array("annotation_id")[number] == annotation["id"]
            assert (3, 90)[split.array("object_label")[number]] == annotation["category_id"]
            packed = masks.bytes_at(number)
            assert bool(packed) == bool(annotation["segmentation"])
            if packed:
                mask = coco_mask.decode({"size": list(place.size), "counts": packed})
                share = np.prod(place.size) / np.prod(SIDES[image_id])
                whole = coco_mask.decode(_source_mask(annotation["segmentation"], image_id))
                assert mask.sum() == pytest.approx(whole.sum() * share, rel=0.2)
                if size == 64:
                    assert np.array_equal(mask, whole)
                    assert split.array("area")[number] == annotation["area"]
    assert synthetic.freqprep("verify", store, "--source", source).returncode == 0


def _source_mask(segmentation: list | dict, image_id: int) -> dict:
    height, width = SIDES[image_id]
    if isinstance(segmentation, dict):
        return {"size": [height, width], "counts": segmentation["counts"].encode()}
    return coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))


def test_verify_finds_other_annotations_and_a_retry_refuses_them(tmp_path):
    source = coco_folder(tmp_path / "coco")
    store = synthetic.make(source, tmp_path / "out.zarr", kind="coco", size=32)
    before = synthetic.contents(store)
    path = source / "annotations/instances_val2017.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "annotations": document["annotations"][:-1]}))
    with pytest.raises(SourceChangedError, match="annotations of 1 row"):
        synthetic.make(source, store, kind="coco", retry_rejected=True)
    _, (problem,) = compare_with_source(store, source, 1)
    assert problem.where == "val" and problem.what.startswith("annotations of 1 row ")
    first, *others = document["annotations"]
    first = {**first, "category_id": 93 - first["category_id"]}
    path.write_text(json.dumps({**document, "annotations": [first, *others]}))
    whats = [problem.what for problem in compare_with_source(store, source, 1)[1]]
    assert [what.split(" are not")[0] for what in whats] == [
        "labels of 1 row",
        "annotations of 1 row",
    ]
    path.write_text(json.dumps(document))
    (source / "val2017/30.jpg").write_bytes(synthetic.encoded(synthetic.pixels(30, 24, 24)))
    synthetic.make(source, store, kind="coco", retry_rejected=True)
    fresh = synthetic.make(source, tmp_path / "fresh.zarr", kind="coco", size=32)
    assert synthetic.contents(store) == synthetic.contents(fresh) != before


def test_a_store_of_boxes_that_are_refused_now_can_be_verified_and_repaired(tmp_path, monkeypatch):
    source, store = coco_folder(tmp_path / "coco"), tmp_path / "out.zarr"
    path = source / "annotations/instances_val2017.json"
    document = json.loads(path.read_text())
    for entry in document["annotations"]:
        entry["bbox"] = [0.25, 0.25, 0.5, 0.5]
    path.write_text(json.dumps(document))
    with monkeypatch.context() as before:
        before.setattr(box_form, "_NEARLY_ALL", 2)  # before they were refused
        synthetic.make(source, store, kind="coco", size=32)
    with pytest.raises(SourceError, match="within 0 and 1"):
        synthetic.make(source, tmp_path / "new.zarr", kind="coco", size=32)
    assert compare_with_source(store, source, 4) == (4, [])
    whole = synthetic.contents(store)
    (store / "val/coefficients/c/0/0/0/0").unlink()
    repair(RepairRequest(store, source))
    assert synthetic.contents(store) == whole


def test_real_coco(data, tmp_path):
    store = synthetic.make(data / "coco", tmp_path / "out.zarr", kind="coco", size=64)
    opened = freqprep.open_store(store)
    assert {name: len(split) for name, split in opened.items()} == {"train": 170, "val": 100}
    for name, split in opened.items():
        path = data / f"coco/annotations/instances_{split.attributes.source_split}.json"
        stated = json.loads(path.read_text(encoding="utf-8-sig"))
        assert name in path.stem and split.valid.all()
        kept = split.ragged("annotation")
        found = [json.loads(kept.bytes_at(number)) for number in range(len(kept))]
        order = {"key": lambda annotation: annotation["id"]}
        assert sorted(found, **order) == sorted(stated["annotations"], **order)
        assert sorted(split.array("image_id")) == sorted(i["id"] for i in stated["images"])
        assert split.attributes.class_ids == tuple(sorted(c["id"] for c in stated["categories"]))
        place = split.attributes.encoding.geometry.place
        offsets, box = split.array("object_offset"), split.array("box")
        sizes = {image["id"]: (image["height"], image["width"]) for image in stated["images"]}
        for row, image_id in enumerate(split.array("image_id").tolist()):
            mine = slice(offsets[row], offsets[row + 1])
            placed = place(*sizes[image_id])
            assert tuple(split.sizes[row]) == placed.size
            back = boxes_to_source(box[mine], sizes[image_id], placed)
            assert np.allclose(back, np.reshape([a["bbox"] for a in found[mine]], (-1, 4)))
