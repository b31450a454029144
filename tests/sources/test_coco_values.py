"""Values of COCO's entries: many forms, one meaning; boxes as pycocotools has them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco_mask

from freqprep.images.rle import box_of_runs, checked_runs
from freqprep.sources.coco_values import as_int64, box_of, measures


@given(st.integers(-(2**63), 2**63 - 1))
def test_integers_and_their_text_are_whole(number):
    assert as_int64(number) == as_int64(str(number)) == number


@given(st.integers(-(2**53), 2**53))
def test_whole_floats_are_whole_as_far_as_they_are_exact(number):
    assert as_int64(float(number)) == number and type(as_int64(float(number))) is int


HOSTILE = [
    *(True, False, None, [], {}, 1.5, math.inf, -math.inf, math.nan, 2.0**60, 1e300),
    *("", " 1", "1 ", "1.0", "1.5", "+1", "0x1", "1_0", "\u0661", "1e3", "9" * 5000, "NaN"),
    *(2**63, -(2**63) - 1, 2**70, "9223372036854775808"),
]


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: repr(value)[:20])
def test_what_is_no_integer_of_64_bits_is_refused(value):
    assert as_int64(value) is None


coordinates = st.integers(0, 100) | st.floats(0, 100)


@given(st.lists(st.lists(coordinates, min_size=6, max_size=12), min_size=1, max_size=3))
def test_the_box_of_polygons_is_around_their_points(polygons):
    polygons = [polygon[: len(polygon) // 2 * 2] for polygon in polygons]
    points = np.concatenate([np.reshape(polygon, (-1, 2)) for polygon in polygons])
    left, upper, width, height = box_of(polygons)
    assert [left, upper] == points.min(axis=0).tolist()
    assert np.allclose([left + width, upper + height], points.max(axis=0))


@given(
    arrays.arrays(
        np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements={"max_value": 1}
    )
)
def test_the_box_of_a_mask_is_that_of_pycocotools(mask):
    rle = coco_mask.encode(np.asfortranarray(mask))
    segmentation = {"size": list(mask.shape), "counts": rle["counts"].decode()}
    runs = checked_runs(segmentation["counts"], mask.size)
    expected = coco_mask.toBbox(rle).tolist() if mask.any() else None
    assert box_of(segmentation) == box_of({**segmentation, "counts": runs.tolist()}) == expected
    assert box_of_runs(runs, mask.shape[0]) == expected


NO_BOX = [
    *(None, [], "x", [[]], [[1, 2, 3, 4]], [[1, 2, 3, 4, 5]], [[1, 2, 3, 4, 5, 6, 7]], [7]),
    *([[1, 2, 3, 4, 5, math.inf]], [[1, 2, 3, 4, 5, "6"]], [[1, 2, 3, 4, 5, 10**400]]),
    *({}, {"size": [2, 2]}, {"size": [2, 2], "counts": [1, 2]}, {"size": 4, "counts": [4]}),
    *({"size": [0, 2], "counts": []}, {"size": [2, 2], "counts": [-1, 5]}),
    *({"size": [2**70, 2], "counts": [1]}, {"size": [2, 2, 2], "counts": [8]}),
]


@pytest.mark.parametrize("segmentation", NO_BOX, ids=lambda value: repr(value)[:30])
def test_a_segmentation_that_is_none_has_no_box(segmentation):
    assert box_of(segmentation) is None
    with pytest.raises(ValueError, match="bbox = missing"):
        measures({"segmentation": segmentation})


def test_what_is_null_is_as_if_it_were_absent():
    entry = {"bbox": None, "segmentation": [[1, 2, 5, 2, 5, 8]], "area": None, "iscrowd": None}
    assert measures(entry) == ([1, 2, 4, 6], 24, False)
    assert measures({"segmentation": entry["segmentation"]}) == measures(entry)
    assert measures({"bbox": [1, 2, 3, 4], **dict.fromkeys(("area", "iscrowd"))}).area == 12


@pytest.mark.parametrize("flag", [1, 1.0, True, "1"])
def test_a_crowd_has_a_flag_of_one(flag):
    assert measures({"bbox": [1, 2, 3, 4], "iscrowd": flag}).iscrowd
    assert not measures(
        {"bbox": [1, 2, 3, 4], "iscrowd": type(flag)(0) if flag != "1" else "0"}
    ).iscrowd
