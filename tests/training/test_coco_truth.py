"""What a store gives back of COCO's ground truth is what the annotation file had."""

import contextlib
import io
import json

import numpy as np
import pytest
import synthetic
from coco_folder import SIDES, coco_folder
from coco_reference import assert_close, reference, stored_as_found
from pycocotools.coco import COCO

import freqprep
from freqprep.errors import CorruptStoreError, UsageError
from freqprep.training.coco_metrics import FIGURES, coco_figures
from freqprep.training.coco_truth import coco_truth

GEOMETRIES = {
    "whole": {"size": 64},
    "shrunk": {"size": 24},
    "cut": {"geometry": "crop", "size": 24, "resize": 27},
}


def converted(source, tmp_path, **options):
    return freqprep.open_store(synthetic.make(source, tmp_path / "x.zarr", kind="coco", **options))


def the_same(truth, stated, images):
    """Truth against the annotation file, of some of its images."""
    keys = ("id", "file_name", "height", "width")
    expected = [{key: i[key] for key in keys} for i in stated["images"] if i["id"] in images]
    assert sorted(truth["images"], key=lambda i: i["id"]) == sorted(expected, key=lambda i: i["id"])
    for image in images:  # an image's objects in the file's order
        mine = [a for a in truth["annotations"] if a["image_id"] == image]
        assert mine == [a for a in stated["annotations"] if a["image_id"] == image]
    assert {a["image_id"] for a in truth["annotations"]} <= set(images)
    names = [{"id": c["id"], "name": c["name"]} for c in stated["categories"]]
    assert truth["categories"] == sorted(names, key=lambda c: c["id"])


@pytest.mark.parametrize("options", GEOMETRIES.values(), ids=GEOMETRIES)
def test_truth_is_what_the_annotation_file_had(tmp_path, options):
    source = coco_folder(tmp_path / "coco")
    stated = json.loads((source / "annotations/instances_val2017.json").read_text())
    split = converted(source, tmp_path, **options)["val"]
    the_same(coco_truth(split), stated, sorted(set(SIDES) - {30}))
    everything = coco_truth(split, rejected=True)
    (image,) = (i for i in everything["images"] if i["id"] == 30)
    assert (image["height"], image["width"]) == (0, 0)
    image["height"], image["width"] = SIDES[30]
    the_same(everything, stated, sorted(SIDES))


@pytest.mark.parametrize("options", GEOMETRIES.values(), ids=GEOMETRIES)
def test_stored_objects_as_detections_are_all_right(tmp_path, options):
    split = converted(coco_folder(tmp_path / "coco"), tmp_path, **options)["val"]
    truth = coco_truth(split)
    for kind in ("bbox", "segm") if options == GEOMETRIES["whole"] else ("bbox",):
        results = stored_as_found(split, kind)
        found = coco_figures(truth, results, kind)
        assert found.values["AP"] == found.values["AR100"] == 1.0
        whole = [a for a in truth["annotations"] if kind == "bbox" or a["segmentation"]]
        assert_close(found, reference({**truth, "annotations": whole}, results, kind))


def loose(document):
    """The same data set as a careless exporter writes it."""
    for image in document["images"]:
        image.update(id=str(image["id"]), height=float(image["height"]))
    for entry in document["annotations"]:
        entry.update(image_id=float(entry["image_id"]), category_id=str(entry["category_id"]))
        entry.update(iscrowd=entry["iscrowd"] or None, area=None)
        if entry["segmentation"]:
            entry["bbox"] = None
    return document


def test_truth_of_a_careless_file_has_numbers_in_place_of_texts(tmp_path):
    source = coco_folder(tmp_path / "coco")
    path = source / "annotations/instances_val2017.json"
    tidy = json.loads(path.read_text())
    path.write_text(json.dumps(loose(json.loads(path.read_text()))))
    split = converted(source, tmp_path, size=64)["val"]
    for entry in tidy["annotations"]:
        entry["bbox"] = {5: [5, 10, 20, 12], 8: [1, 2, 3, 4]}.get(entry["id"], entry["bbox"])
        del entry["area"]
        if not entry["iscrowd"]:
            del entry["iscrowd"]
    the_same(coco_truth(split), tidy, sorted(set(SIDES) - {30}))
    results = stored_as_found(split, "bbox")
    found = coco_figures(coco_truth(split), results, "bbox")
    assert found.values["AP"] == found.values["AR100"] == 1.0


def test_objects_of_a_rejected_image_are_missed(tmp_path):
    split = converted(coco_folder(tmp_path / "coco"), tmp_path, size=64)["val"]
    for kind, expected in (("bbox", (1 / 2, 1.0)), ("segm", (1 / 2, None))):
        results = stored_as_found(split, kind)
        found = coco_figures(coco_truth(split, rejected=True), results, kind)
        # Recall of a category is 1 of 2 objects: precision 1 up to there, at 51 of 101 points.
        assert found.values["AR100"] == pytest.approx(np.mean([e for e in expected if e]))
        assert found.class_ap == [pytest.approx(51 / 101), expected[1]]


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_real_objects_as_detections_are_all_right(real, data, kind):
    for split in real.values():
        path = data / f"coco/annotations/instances_{split.attributes.source_split}.json"
        found = coco_figures(coco_truth(split), stored_as_found(split, kind), kind)
        assert [found.values[n] for n in FIGURES if n not in ("AR1", "AR10")] == [1.0] * 10
        assert set(found.class_ap) <= {1.0, None}
        assert_close(found, reference(path, source_as_found(path, kind), kind))


def test_real_truth_is_what_the_annotation_files_have(real, data):
    for split in real.values():
        path = data / f"coco/annotations/instances_{split.attributes.source_split}.json"
        stated = json.loads(path.read_text(encoding="utf-8-sig"))
        images = [image["id"] for image in stated["images"]]
        assert len({a["image_id"] for a in stated["annotations"]}) < len(images)
        assert any(annotation["iscrowd"] for annotation in stated["annotations"])
        the_same(coco_truth(split), stated, images)


@pytest.fixture(scope="module")
def real(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    return converted(data / "coco", folder, size=640)


def source_as_found(path, kind):
    """The objects of an annotation file as results of score 1, masks by pycocotools."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(path))
    results = []
    for annotation in coco.dataset["annotations"]:
        result = {"image_id": annotation["image_id"], "score": 1.0}
        result["category_id"] = annotation["category_id"]
        if kind == "bbox":
            result["bbox"] = annotation["bbox"]
        else:
            result["segmentation"] = coco.annToRLE(annotation)
        results.append(result)
    return results


def test_a_split_without_objects_has_no_truth(store):
    with pytest.raises(UsageError, match="no annotated objects"):
        coco_truth(freqprep.open_store(store)["val"])


DAMAGE = {
    "nothing": b"",
    "no JSON": b"{",
    "a list": b"[]",
    "nested": b"[" * 200_000,
    "another id": lambda a: {**a, "id": 999},
    "another image": lambda a: {**a, "image_id": 12},
    "another category": lambda a: {**a, "category_id": 90},
    "no box": lambda a: {**a, "bbox": None, "segmentation": None},
    "a box of texts": lambda a: {**a, "bbox": ["1"] * 4},
    "an area of nothing": lambda a: {**a, "area": "big"},
    "a crowd of two": lambda a: {**a, "iscrowd": 2},
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_annotations_that_are_not_the_objects_are_refused(tmp_path, monkeypatch, damage):
    split = converted(coco_folder(tmp_path / "coco"), tmp_path, size=24)["val"]
    kept = split.ragged("annotation")
    texts = [kept.bytes_at(number) for number in range(len(kept))]
    number = next(i for i, text in enumerate(texts) if json.loads(text)["id"] == 5)
    if not isinstance(damage, bytes):
        damage = json.dumps(damage(json.loads(texts[number]))).encode()
    texts[number] = damage
    monkeypatch.setattr(split, "ragged", lambda name: type(kept).of_bytes(texts))
    with pytest.raises(CorruptStoreError, match=f"annotation number {number} "):
        coco_truth(split)
    del texts[-1]
    with pytest.raises(CorruptStoreError, match=r"3 annotations for 4 objects"):
        coco_truth(split)
