"""What a detector finds in files is what evaluation finds in the same images of a store."""

import dataclasses
import json
import os
import types

import numpy as np
import pytest
import runs
import synthetic
import torch
from coco_folder import SIDES, coco_folder
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from freqprep.errors import CorruptStoreError, RunError, UsageError
from freqprep.images.decode import decode
from freqprep.images.rle import decode_mask
from freqprep.store.reader import open_store
from freqprep.training.coco_results import Detections, write_results
from freqprep.training.distributed import World
from freqprep.training.evaluate_detector import evaluate_detector
from freqprep.training.predict_files import Failure
from freqprep.training.predict_objects import (
    FoundObjects,
    category_ids,
    drawn,
    image_ids,
    predict_objects,
)

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return coco_folder(tmp_path_factory.mktemp("coco"))


@pytest.fixture(scope="module")
def val(folder, tmp_path_factory):
    """Of 32 pixels: one image has 60 and is shrunk, one has 30."""
    store = synthetic.make(folder, tmp_path_factory.mktemp("store") / "coco.zarr", kind="coco")
    return open_store(store)["val"]


@pytest.fixture(scope="module")
def masked(val):
    config = runs.make_detector_config(val, masks=True)
    return config, runs.make_detector(config, val)


@pytest.fixture(scope="module", params=["masks", "rgb"])
def model(request, val):
    if request.param == "masks":
        return request.getfixturevalue("masked")
    config = runs.make_detector_config(val, kind="rgb")
    return config, runs.make_detector(config, val)


@pytest.fixture(scope="module")
def files(folder):
    return [os.fsencode(folder / "val2017" / f"{number}.jpg") for number in SIDES]


@pytest.fixture(scope="module")
def found(masked, files):
    """All that is found, however unsure."""
    return list(predict_objects(*masked, CPU, files, threshold=0))


def by_image(results):
    return sorted(results, key=lambda one: one["image_id"])  # stable: in the order found


def test_files_get_the_answers_of_their_rows_to_the_bit(model, val, files):
    config, network = model
    evaluated = evaluate_detector(
        network, config.inputs, val, config.class_ids, World(0, 1, CPU), threads=1
    )
    answers = list(predict_objects(config, network, CPU, files, threshold=0))
    ids = image_ids(files)
    assert ids == list(SIDES) and isinstance(answers[-1], Failure)
    results = [
        result
        for image_id, one in zip(ids, answers, strict=True)
        if isinstance(one, FoundObjects)
        for result in one.results(config, image_id)
    ]
    assert len(results) > 20 and {one["image_id"] for one in results} == {11, 12, 25}
    assert ("segmentation" in results[0]) == network.has_masks
    assert by_image(results) == by_image(evaluated.results)


def test_boxes_are_in_the_files_pixels(found):
    for one, (height, width) in zip(found[:3], SIDES.values(), strict=False):
        boxes = one.detections.boxes
        assert one.detections.size == (height, width)
        assert (boxes >= 0).all() and (
            boxes[:, :2] + boxes[:, 2:] <= (width + 1e-4, height + 1e-4)
        ).all()
    right = found[0].detections.boxes[:, 0] + found[0].detections.boxes[:, 2]
    assert right.max() > 32  # the store's cap


def test_unsure_ones_are_left_out(masked, found, files):
    scores = found[0].detections.scores
    threshold = float(np.median(scores))
    (sure,) = predict_objects(*masked, CPU, files[:1], threshold=threshold)
    assert 0 < len(sure.detections.scores) < len(scores)
    filtered = found[0].at_least(threshold)
    config = masked[0]
    assert filtered.to_dict(config, 1) == sure.to_dict(config, 1)
    (nothing,) = predict_objects(*masked, CPU, files[:1], threshold=1)
    assert nothing.to_dict(config, 1)["detections"] == []
    assert (drawn(nothing, config) == decode(nothing.data).rgb()).all()


def test_as_json(masked, found):
    config = masked[0]
    document = json.loads(json.dumps(found[0].to_dict(config, 7)))
    assert document["image_id"] == 7 and document["size"] == [40, 60]
    for entry, result in zip(document["detections"], found[0].results(config, 7), strict=True):
        index = config.class_ids.index(entry["class_id"])
        assert entry == {
            **result,
            "category_id": config.class_ids[index],
            "class_id": config.class_ids[index],
            "class_name": config.class_names[index],
        }
        assert entry["segmentation"]["size"] == [40, 60]
    assert {entry["class_name"] for entry in document["detections"]} == {"cat", "dog"}


def test_result_files_are_loaded_by_cocos_own_code(masked, found, files, folder, tmp_path):
    config, truth = masked[0], COCO(folder / "annotations" / "instances_val2017.json")
    results = [
        result
        for image_id, one in zip(image_ids(files), found, strict=True)
        if isinstance(one, FoundObjects)
        for result in one.results(config, image_id)
    ]
    written = write_results(tmp_path / "x", results, True)
    boxes, masks = (truth.loadRes(str(path)) for path in written)
    assert len(boxes.anns) == len(masks.anns) == len(results)
    for number, result in enumerate(results, 1):
        assert boxes.anns[number]["bbox"] == result["bbox"]
        inside = decode_mask(result["segmentation"]["counts"].encode(), SIDES[result["image_id"]])
        assert masks.anns[number]["area"] == inside.sum()


def test_an_orientation_is_applied_before_anything_is_found(masked, tmp_path):
    config, network = masked
    apply = dataclasses.replace(config.encoding.geometry, orientation="apply")
    config = dataclasses.replace(
        config, encoding=dataclasses.replace(config.encoding, geometry=apply)
    )
    picture = Image.fromarray(synthetic.pixels(5, 24, 40))
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(tmp_path / "1.png", exif=exif)
    picture.transpose(Image.Transpose.ROTATE_270).save(tmp_path / "2.png")
    paths = [os.fsencode(tmp_path / name) for name in ("1.png", "2.png")]
    turned, plain = predict_objects(config, network, CPU, paths, threshold=0)
    assert turned.detections.size == (40, 24) and len(turned.detections.scores) > 0
    assert turned.results(config, 1) == plain.results(config, 1)
    assert (drawn(turned, config) == drawn(plain, config)).all()
    assert drawn(turned, config).shape == (40, 24, 3)


def test_pictures_show_the_objects_and_nothing_else(masked):
    pixels = synthetic.pixels(3, 200, 300)
    mask = np.zeros((200, 300), np.uint8, order="F")
    mask[80:110, 30:90] = 1
    detections = Detections(
        boxes=np.array([[20, 60, 100, 80.0]]),
        labels=np.array([1]),
        scores=np.array([0.926]),
        masks=(bytes(coco_mask.encode(mask)["counts"]),),
        size=(200, 300),
    )
    one = FoundObjects(b"1.png", synthetic.encoded(pixels, "PNG"), detections)
    plain = decode(one.data).rgb()
    assert np.abs(plain.astype(int) - pixels).max() <= 3
    changed = (drawn(one, masked[0]) != plain).any(axis=2)
    assert changed[mask == 1].all()
    assert changed[60:140, [20, 119]].all() and changed[[60, 139], 20:120].all()
    assert changed[46:60, 20:60].mean() > 0.8  # the caption
    changed[46:140, 20:120] = False
    assert not changed.any()


def test_hostile_files_are_named_and_the_others_go_on(masked, tmp_path):
    data = {"a.jpg": synthetic.picture(1), "empty.jpg": b"", "cut.jpg": synthetic.broken(2)}
    for name, content in data.items():
        (tmp_path / name).write_bytes(content)
    os.mkfifo(tmp_path / "pipe.jpg")
    names = ["empty.jpg", "cut.jpg", "a.jpg", "pipe.jpg", "missing.jpg"]
    paths = [os.fsencode(tmp_path / name) for name in names]
    answers = list(predict_objects(*masked, CPU, paths))
    assert [one.path for one in answers] == paths
    reasons = [one.defect.reason if isinstance(one, Failure) else "" for one in answers]
    assert reasons == ["empty", "corrupt", "", "not_a_file", "missing"]


def test_weights_that_are_no_numbers_are_an_error(masked, files):
    config, network = masked
    bias = network.roi_heads.box_predictor.bbox_pred.bias
    before = bias[0].item()
    with torch.no_grad():
        bias[0] = torch.nan
        with pytest.raises(RunError, match=r"bbox_pred\.bias is not finite"):
            list(predict_objects(config, network, CPU, files))
        bias[0] = before


def test_a_classifier_is_refused(store, files):
    config = runs.make_config(open_store(store)["train"])
    with pytest.raises(UsageError, match="is a classifier"):
        list(predict_objects(config, torch.nn.Identity(), CPU, files))


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        ((b"a/000000000139.jpg", b"785.png"), [139, 785]),
        ((b"0.jpg", b"12"), [0, 12]),
        ((b"7.jpg", b"x/007.jpg"), [1, 2]),  # the same number
        ((b"7.jpg", b"cat.jpg", b"8.jpg"), [1, 2, 3]),
        ((b"-7.jpg", b"8.jpg"), [1, 2]),
        ((b"7.5.jpg", b"8.jpg"), [1, 2]),
        ((b"7.tar.jpg",), [1]),
        ((b"\xd9\xa3.jpg",), [1]),  # a digit, but not one of ours
        ((b"9" * 200 + b".jpg",), [1]),
        ((b"\xff.jpg", b".jpg"), [1, 2]),
        ((), []),
    ],
)
def test_numbers_of_images(names, ids):
    assert image_ids(names) == ids


@pytest.mark.parametrize(
    ("classes", "ids"), [((3, 90), [3, 90]), (("cat", "dog"), [1, 2]), (("cat", 1), [1, 2])]
)
def test_numbers_of_classes(classes, ids):
    assert category_ids(types.SimpleNamespace(class_ids=classes)) == ids


@pytest.mark.parametrize("size", [(0, 0), (30, 21), (2**31 - 1, 2**31 - 1), (-20, -30)])
def test_source_sizes_that_do_not_fit_are_refused_before_any_work(masked, val, monkeypatch, size):
    config, network = masked
    sizes = val.array("source_size").copy()
    row = int(np.flatnonzero(val.valid)[-1])
    sizes[row] = size
    array = val.array
    monkeypatch.setattr(val, "array", lambda n: sizes if n == "source_size" else array(n))
    with pytest.raises(CorruptStoreError, match=f"row {row} of .*is not stored with"):
        evaluate_detector(
            network, config.inputs, val, config.class_ids, World(0, 1, CPU), threads=1
        )
