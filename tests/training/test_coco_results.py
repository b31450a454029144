"""Detections in source pixels, and the files that COCO's own code loads."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from coco_reference import assert_close, reference
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from freqprep.errors import DiskFullError, UsageError
from freqprep.images.geometry import Geometry, boxes_to_source, boxes_to_stored
from freqprep.images.rle import decode_mask
from freqprep.training.coco_metrics import coco_figures
from freqprep.training.coco_results import (
    Detections,
    check_prefix,
    detections_of,
    results_of_image,
    write_results,
)

GEOMETRIES = (
    Geometry("fit", 640, None, "keep"),
    Geometry("fit", 96, None, "keep"),  # shrinks
    Geometry("crop", 64, 80, "keep"),
)
FULL = torch.ones(1, 28, 28)


def found(corners, masks=None):
    """A detector's answer: boxes x1, y1, x2, y2 in the frame."""
    count = len(corners)
    answer = {
        "boxes": torch.tensor(corners, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.arange(1, count + 1),
        "scores": torch.linspace(0.9, 0.1, count),
    }
    return answer if masks is None else answer | {"masks": torch.stack(masks)}


sides = st.integers(8, 300)
shares = st.floats(0, 1, width=32)


@given(
    st.sampled_from(GEOMETRIES),
    st.tuples(sides, sides),
    st.tuples(sides, sides),
    st.lists(st.tuples(shares, shares, shares, shares), max_size=4),
)
def test_boxes_of_the_store_come_back_in_source_pixels(geometry, source, frame, parts):
    place = geometry.place(*source)
    stored = np.array(parts, float).reshape(-1, 4) * (*place.size[::-1], *place.size[::-1])
    right, down = frame[1] / place.size[1], frame[0] / place.size[0]
    x, y, width, height = stored.T
    corners = np.stack([x * right, y * down, (x + width) * right, (y + height) * down], 1)
    detections = detections_of(found(corners), frame, source, place)
    assert detections.boxes.dtype == np.float64 and detections.boxes.shape == stored.shape
    expected = boxes_to_source(stored, source, place)
    np.testing.assert_allclose(detections.boxes, expected, rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(
        boxes_to_stored(detections.boxes, source, place), stored, rtol=1e-5, atol=1e-3
    )
    assert detections.labels.tolist() == list(range(len(parts)))
    assert detections.scores.dtype == np.float64 and detections.masks is None
    assert detections.size == source


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=["whole", "shrunk", "cut"])
def test_a_full_mask_covers_its_box(geometry):
    source, frame = (150, 200), (200, 267)
    place = geometry.place(*source)
    frame = frame if geometry.kind == "fit" else (128, 128)
    share = np.array([[0.1, 0.2, 0.7, 0.9], [0.0, 0.0, 1.0, 1.0], [0.5, 0.5, 0.52, 0.53]])
    corners = share * (frame[1], frame[0], frame[1], frame[0])
    detections = detections_of(found(corners, [FULL] * 3), frame, source, place)
    for box, counts in zip(detections.boxes, detections.masks, strict=True):
        mask = decode_mask(counts, source)
        x, y, width, height = box
        rows, columns = np.arange(source[0]) + 0.5, np.arange(source[1]) + 0.5
        outside = [  # distance of each row and column from the box, negative inside
            np.maximum(first - centre, centre - first - length)
            for first, length, centre in ((y, height, rows), (x, width, columns))
        ]
        distance = np.maximum(outside[0][:, None], outside[1])
        assert mask[distance < -1.5].all() and not mask[distance > 1.5].any()


def test_a_half_mask_covers_half_its_box_and_an_unsure_one_nothing():
    left = torch.zeros(1, 28, 28)
    left[:, :, :14] = 1
    place = GEOMETRIES[0].place(100, 100)
    corners = [[10, 20, 70, 80]] * 3
    answer = found(corners, [left, left.transpose(1, 2), FULL / 2])
    detections = detections_of(answer, (100, 100), (100, 100), place)
    one, other, nothing = (decode_mask(counts, (100, 100)) for counts in detections.masks)
    assert one[22:78, 12:38].all() and not one[:, 42:].any()
    assert other[22:48, 12:68].all() and not other[52:].any()
    assert not nothing.any()


def test_nothing_found():
    place = GEOMETRIES[0].place(40, 60)
    answer = found([]) | {"masks": torch.zeros(0, 1, 28, 28)}
    detections = detections_of(answer, (80, 120), (40, 60), place)
    assert detections.boxes.shape == (0, 4) and detections.masks == ()
    assert results_of_image(1, detections, (5,)) == []


def squares(masks):
    """Three detections in an image of 20 x 30."""
    boxes = np.array([[1.5, 2, 10, 12], [4, 4, 8, 8.25], [0, 0, 30, 20]], float)
    counts = []
    for x, y, width, height in boxes.astype(int):
        mask = np.zeros((20, 30), np.uint8, order="F")
        mask[y : y + height, x : x + width] = 1
        counts.append(bytes(coco_mask.encode(mask)["counts"]))
    labels, scores = np.array([0, 2, 1]), np.array([0.5, 0.25, 1 / 3])
    return Detections(boxes, labels, scores, tuple(counts) if masks else None, (20, 30))


def test_results_name_categories_and_leave_out_classes_without_one():
    results = results_of_image(8, squares(False), (70, None, 3))
    assert results == [
        {"image_id": 8, "category_id": 70, "bbox": [1.5, 2, 10, 12], "score": 0.5},
        {"image_id": 8, "category_id": 3, "bbox": [4, 4, 8, 8.25], "score": 0.25},
    ]
    masks = results_of_image(8, squares(True), (70, 71, 3))
    assert [r["segmentation"]["size"] for r in masks] == [[20, 30]] * 3
    assert json.loads(json.dumps(masks)) == masks


def truth():
    """Objects that the detections find more or less."""
    images = [{"id": 8, "file_name": "a", "height": 20, "width": 30}]
    boxes = {70: [2, 2, 9, 12], 3: [4, 5, 8, 8], 71: [0, 0, 30, 18]}
    annotations = [
        {
            "id": number,
            "image_id": 8,
            "category_id": category,
            "bbox": [x, y, w, h],
            "area": w * h,
            "iscrowd": 0,
            "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]],
        }
        for number, (category, (x, y, w, h)) in enumerate(boxes.items(), 1)
    ]
    categories = [{"id": category, "name": str(category)} for category in boxes]
    return {"images": images, "annotations": annotations, "categories": categories}


def test_written_results_are_loaded_by_cocos_own_code(tmp_path):
    results = results_of_image(8, squares(True), (70, 71, 3))
    files = write_results(tmp_path / "val.first", results, True)
    assert [file.name for file in files] == ["val.first.bbox.json", "val.first.segm.json"]
    assert sorted(tmp_path.iterdir()) == files
    for kind, file in zip(("bbox", "segm"), files, strict=True):
        expected = coco_figures(truth(), results, kind)
        assert_close(reference(truth(), file, kind), expected)
        assert_close(coco_figures(truth(), json.loads(file.read_text()), kind), expected)
        assert 0 < expected.values["AP"] < 1


def test_without_masks_there_is_one_file(tmp_path):
    results = results_of_image(8, squares(False), (70, 71, 3))
    (file,) = write_results(tmp_path / "x", results, False)
    assert json.loads(file.read_text()) == results
    (file,) = write_results(tmp_path / "x", [], False)
    assert json.loads(file.read_text()) == []


def test_a_detector_of_masks_that_finds_nothing_leaves_no_older_ones(tmp_path):
    write_results(tmp_path / "x", results_of_image(8, squares(True), (70, 71, 3)), True)
    assert [json.loads(file.read_text()) for file in write_results(tmp_path / "x", [], True)] == [
        [],
        [],
    ]


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    (file,) = write_results(tmp_path / "x", [], False)
    before = file.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DiskFullError):
        write_results(tmp_path / "x", results_of_image(8, squares(False), (70, 71, 3)), False)
    assert file.read_bytes() == before and list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("name", [".", "/", "..", "results/..", "nowhere/found"])
def test_prefixes_without_a_name_or_a_folder_are_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"beginning of a file's name|folder is not there"):
        check_prefix(Path(name))
    check_prefix(Path("found"))
