"""COCO's figures equal those of COCO's own code."""

import copy
import json
import sys

import numpy as np
import pytest
from coco_reference import assert_close, reference
from pycocotools import mask as coco_mask

from freqprep.errors import MissingPackageError, UsageError
from freqprep.training.coco_metrics import FIGURES, Figures, coco_figures

SIZES = {3: (150, 200), 8: (120, 90), 5: (40, 60), 21: (100, 100)}  # image id -> height, width
CATEGORIES = (7, 2, 90, 44)


def rle(mask):
    found = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(found["size"]), "counts": found["counts"].decode()}


def rectangle(box, size):
    """A mask and its box, x, y, width, height."""
    x, y, width, height = (round(n) for n in box)
    mask = np.zeros(size, bool)
    mask[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)] = True
    return mask


def made_up(rng):
    """Ground truth: objects of every size, some crowds, an image and a category with none."""
    annotations = []
    for image, (height, width) in SIZES.items():
        for _ in range(0 if image == 5 else 12):
            side = rng.choice([6.0, 20.0, 45.0, 100.0]) * rng.uniform(0.7, 1.3, 2)
            corner = rng.uniform(0, 0.8, 2) * (width, height)
            box = [float(n) for n in (*corner, *np.minimum(side, (width, height) - corner))]
            x, y, w, h = box
            iscrowd = int(rng.random() < 0.15)
            outline = [[x, y, x + w, y, x + w, y + h * 0.8, x, y + h]]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": int(rng.choice(CATEGORIES[:3])),
                    "bbox": box,
                    "area": 0.9 * w * h,
                    "iscrowd": iscrowd,
                    "segmentation": rle(rectangle(box, (height, width))) if iscrowd else outline,
                    "attributes": {"unknown": [1, None]},
                }
            )
    images = [
        {"id": image, "file_name": f"{image}.jpg", "height": height, "width": width}
        for image, (height, width) in SIZES.items()
    ]
    categories = [{"id": category, "name": str(category)} for category in CATEGORIES]
    return {"images": images, "annotations": annotations, "categories": categories}


def perturbed(truth, rng):
    """Detections near the objects and not so near, of wrong classes, doubled, of equal scores."""
    results = []
    sizes = {image["id"]: (image["height"], image["width"]) for image in truth["images"]}
    categories = [category["id"] for category in truth["categories"]]
    for annotation in truth["annotations"]:
        size, category = sizes[annotation["image_id"]], annotation["category_id"]
        for _ in range(rng.integers(0, 4)):
            box = np.array(annotation["bbox"], float)
            box += rng.normal(0, rng.choice([0, 0.05, 0.3]), 4) * box[[2, 3, 2, 3]]
            box[2:] = np.maximum(box[2:], 1)
            answer = category if rng.random() < 0.8 else int(rng.choice(categories))
            results.append(result(annotation["image_id"], answer, box, size, rng))
    results += results[::7]
    # More than a hundred in one image and class, of which the worst do not count, and some in an
    # image without objects.
    first = truth["annotations"][0]
    (nothing, *_) = sizes.keys() - {annotation["image_id"] for annotation in truth["annotations"]}
    for image in (first["image_id"],) * 130 + (nothing,) * 9:
        box = np.concatenate([rng.uniform(0, 100, 2), rng.uniform(5, 60, 2)])
        results.append(result(image, first["category_id"], box, sizes[image], rng))
    return copy.deepcopy(results)


def result(image, category, box, size, rng):
    mask = rectangle(box, size)
    mask &= rng.random(size) < rng.choice([1.0, 0.97, 0.7])
    return {
        "image_id": image,
        "category_id": category,
        "bbox": [float(n) for n in box],
        "score": round(float(rng.random()), 2),  # some are equal
        "segmentation": rle(mask),
    }


def only(results, kind):
    key = "bbox" if kind == "bbox" else "segmentation"
    keys = ("image_id", "category_id", "score", key)
    return [{name: result[name] for name in keys} for result in results]


@pytest.mark.parametrize("kind", ["bbox", "segm"])
@pytest.mark.parametrize("seed", range(6))
def test_figures_are_those_of_cocos_own_code(seed, kind):
    rng = np.random.default_rng(seed)
    truth = made_up(rng)
    results = perturbed(truth, rng)
    before = copy.deepcopy((truth, results))
    found = coco_figures(truth, results, kind)
    assert_close(found, reference(truth, only(results, kind), kind))
    assert 0 < found.values["AP"] < 1 and found.class_ap[3] is None
    assert (truth, results) == before
    assert tuple(found.values) == FIGURES


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_figures_on_real_objects_are_those_of_cocos_own_code(data, kind):
    path = data / "coco/annotations/instances_val2017.json"
    truth = json.loads(path.read_text(encoding="utf-8-sig"))
    results = perturbed(truth, np.random.default_rng(0))
    found = coco_figures(truth, results, kind)
    assert_close(found, reference(truth, only(results, kind), kind))
    assert None not in found.values.values() and 0.01 < found.values["AP"] < 0.9


def test_order_of_images_and_categories_does_not_count():
    rng = np.random.default_rng(11)
    truth = made_up(rng)
    results = perturbed(truth, rng)
    turned = {key: values[::-1] for key, values in truth.items() if key != "annotations"}
    turned["annotations"] = truth["annotations"]
    found, again = (coco_figures(t, results, "bbox") for t in (truth, turned))
    assert again == Figures(found.values, found.class_ap[::-1])


NOTHING = Figures(dict.fromkeys(FIGURES), [None] * len(CATEGORIES))


@pytest.mark.parametrize("side", [0, -3, 1e-9])
def test_boxes_without_an_area_count_as_in_cocos_own_code(side):
    rng = np.random.default_rng(12)
    truth = made_up(rng)
    for annotation in truth["annotations"][::5]:
        annotation["bbox"][rng.integers(2, 4)] = side
        annotation["area"] = annotation["bbox"][2] * annotation["bbox"][3]
    results = perturbed(truth, rng) + as_found(truth)
    found = coco_figures(truth, results, "bbox")
    assert_close(found, reference(truth, only(results, "bbox"), "bbox"))


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_nothing_found_or_nothing_there(kind):
    rng = np.random.default_rng(0)
    truth = made_up(rng)
    results = perturbed(truth, rng)
    blind = coco_figures(truth, [], kind)
    assert set(blind.values.values()) <= {0.0, None} and blind.values["AP"] == 0
    assert blind.class_ap == [0, 0, 0, None]
    assert coco_figures({**truth, "annotations": []}, results, kind) == NOTHING
    empty = {"images": [], "annotations": [], "categories": []}
    assert coco_figures(empty, [], kind) == Figures(NOTHING.values, [])


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_an_object_of_any_id_can_be_found(kind):
    truth = made_up(np.random.default_rng(3))
    for annotation in truth["annotations"]:
        annotation["id"] -= 1  # COCO's own code does not find the first
    found = coco_figures(truth, as_found(truth), kind)
    assert found.values["AP"] == found.values["AR100"] == 1


def as_found(truth):
    """The ground truth as results."""
    results = []
    for a in truth["annotations"]:
        segmentation = a["segmentation"]
        if isinstance(segmentation, list):
            found = coco_mask.merge(coco_mask.frPyObjects(segmentation, *SIZES[a["image_id"]]))
            segmentation = {**found, "counts": found["counts"].decode()}
        keys = {key: a[key] for key in ("image_id", "category_id", "bbox")}
        results.append({**keys, "score": 1, "segmentation": segmentation})
    return results


def test_what_an_annotation_may_lack():
    truth = made_up(np.random.default_rng(4))
    plain = [{**a, "iscrowd": 0, "area": a["bbox"][2] * a["bbox"][3]} for a in truth["annotations"]]
    bare = [{k: v for k, v in a.items() if k not in ("iscrowd", "area")} for a in plain]
    results = as_found(truth)
    for kind in ("bbox", "segm"):
        expected = coco_figures({**truth, "annotations": plain}, results, kind)
        assert coco_figures({**truth, "annotations": bare}, results, kind) == expected


UNUSABLE = {
    "none": None,
    "no polygon": [],
    "an empty polygon": [[]],
    "two points": [[1.0, 2.0, 30.0, 40.0]],
    "an odd number": [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]],
    "texts": [["a"] * 6],
    "runs of too little": {"size": [150, 200], "counts": [10, 20]},
    "damaged runs": {"size": [150, 200], "counts": "~~~"},
    "negative runs": {"size": [150, 200], "counts": [-5, 30005]},
}


@pytest.mark.parametrize("segmentation", UNUSABLE.values(), ids=UNUSABLE)
def test_objects_without_a_usable_segmentation_are_left_out_of_masks_only(segmentation):
    truth = made_up(np.random.default_rng(5))
    results = as_found(truth)
    spoilt = copy.deepcopy(truth)
    spoilt["annotations"][0]["segmentation"] = segmentation
    without = {**truth, "annotations": truth["annotations"][1:]}
    assert coco_figures(spoilt, results, "segm") == coco_figures(without, results, "segm")
    assert coco_figures(spoilt, results, "bbox") == coco_figures(truth, results, "bbox")
    del spoilt["annotations"][0]["segmentation"]
    assert coco_figures(spoilt, results, "segm") == coco_figures(without, results, "segm")


def test_what_cannot_be_meant_is_refused():
    truth = made_up(np.random.default_rng(6))
    with pytest.raises(UsageError, match="'keypoints'"):
        coco_figures(truth, [], "keypoints")
    results = as_found(truth)
    results[0]["image_id"] = 4
    with pytest.raises(UsageError, match="image 4"):
        coco_figures(truth, results, "bbox")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    with pytest.raises(MissingPackageError, match="faster-coco-eval"):
        coco_figures(made_up(np.random.default_rng(0)), [], "bbox")


def test_it_says_nothing(capfd):
    truth = made_up(np.random.default_rng(0))
    coco_figures(truth, as_found(truth), "segm")
    assert capfd.readouterr() == ("", "")
