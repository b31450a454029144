"""Boxes of another form than COCO's are refused where that is evident, and right ones never."""

import re

import numpy as np
import pytest

from freqprep.errors import SourceError
from freqprep.ragged import Ragged
from freqprep.sources.box_form import check_box_form
from freqprep.sources.listing import Objects

SIDES = (640, 480)


def check(boxes, size=SIDES[::-1]) -> list[str]:
    """Check boxes, each of an image of its own."""
    count = len(boxes)
    objects = Objects(
        offsets=np.arange(count + 1),
        box=np.array(boxes, np.float64).reshape(-1, 4),
        label=np.zeros(count, np.int64),
        area=np.ones(count),
        iscrowd=np.zeros(count, bool),
        annotation_id=np.arange(count),
        annotation=Ragged.of_bytes([b"{}"] * count),
    )
    return check_box_form(objects, np.arange(count), np.tile(size, (count, 1)), "a.json", "anew")


def right_boxes(count: int, seed: int = 0, smallest: float = 0.01) -> np.ndarray:
    rng = np.random.default_rng(seed)
    extent = rng.uniform(smallest, 0.9, (count, 2)) * SIDES
    return np.hstack([rng.uniform(0, 1, (count, 2)) * (SIDES - extent), extent])


def corners_of(boxes: np.ndarray) -> np.ndarray:
    return np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [10, 1000])
def test_corners_and_fractions_are_refused_and_right_boxes_are_not(count, seed):
    boxes = right_boxes(count, seed)
    assert check(boxes) == []
    with pytest.raises(SourceError, match="evidently two corners"):
        check(corners_of(boxes))
    with pytest.raises(SourceError, match="all boxes are within 0 and 1"):
        check(boxes / np.tile(SIDES, 2))


def test_a_few_damaged_boxes_do_not_hide_the_others():
    boxes = corners_of(right_boxes(1000))
    boxes[:5] = [-1, 5, 0, 0]
    with pytest.raises(SourceError, match=r"two corners.* of 1000 would end outside"):
        check(boxes)
    boxes = right_boxes(1000) / np.tile(SIDES, 2)
    boxes[:5] = [10, 10, 600, 400]
    with pytest.raises(SourceError, match="995 of 1000 boxes are within 0 and 1"):
        check(boxes)


def test_a_single_box_of_corners_is_refused():
    with pytest.raises(SourceError, match=r"1 of 1 would end .* \[300.0, 200.0, 600.0, 400.0\]"):
        check([[300, 200, 600, 400]])


GOOD = {
    "none": [],
    "one tiny box": [[300, 200, 0.5, 0.5]],
    "one of a pixel in the corner": [[0, 0, 1, 1]],
    "whole images": [[0, 0, 640, 480]] * 50,
    "whole images counted from 1": [[1, 1, 640, 480]] * 50,
    "large objects": right_boxes(50, smallest=0.8).tolist(),
    "tiny objects": [[x, x, 0.5, 0.7] for x in range(2, 40)],
    "far too large": [[10, 10, 9000, 9000]] * 50,
    "outside": [[-5000, 1, 10, 5]] * 50,
    "infinitely far": [[1e308, 1e308, 1e308, 1e308]] * 50,
    "one slip of many": [*right_boxes(50).tolist(), [300, 200, 600, 400]],
}


@pytest.mark.parametrize("boxes", GOOD.values(), ids=GOOD)
def test_boxes_of_cocos_form_are_not_doubted(boxes):
    assert check(boxes) == []


@pytest.mark.parametrize(
    ("boxes", "said"),
    [
        ([[0.1, 0.2, 0.3, 0.4]], "1 box within 0 and 1: if not in pixels, write them as x, y"),
        ([[0.1, 0.2, 0.3, 0.4]] * 2, "2 boxes within 0 and 1"),
        ([[5, 5, 640, 480]] * 20, "may be two corners .* 20 of 20 would end outside"),
    ],
)
def test_weak_evidence_is_a_warning(boxes, said):
    (warning,) = check(boxes)
    assert warning.startswith("warning: a.json: ")
    assert re.search(said, warning)
