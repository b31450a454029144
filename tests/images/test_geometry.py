"""Sizes, cuts and boxes: pure arithmetic, against formulas written again."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from freqprep.errors import UsageError
from freqprep.images.geometry import (
    LARGEST_SIZE,
    Geometry,
    boxes_to_source,
    boxes_to_stored,
    fit_size,
    short_side_size,
    sides_of_boxes,
)

repeatable = settings(derandomize=True, deadline=None, max_examples=200)

sides = st.integers(1, 6000)
caps = st.integers(1, LARGEST_SIZE)
boxes = st.lists(st.tuples(*[st.floats(-50, 3000, width=32)] * 4), min_size=1, max_size=5)


def fit(size: int) -> Geometry:
    return Geometry("fit", size, None, "apply")


def crop(size: int, resize: int) -> Geometry:
    return Geometry("crop", size, resize, "apply")


@repeatable
@given(sides, sides, caps)
def test_fit_caps_the_long_side_and_never_enlarges(height, width, cap):
    fitted = fit_size(height, width, cap)
    if max(height, width) <= cap:
        assert fitted == (height, width)
        return
    assert max(fitted) == cap
    # The short side: exactly the aspect, rounded half up, and at least one pixel.
    short = Fraction(min(height, width) * cap, max(height, width))
    assert min(fitted) == max(1, int(short + Fraction(1, 2)))
    assert (fitted[0] <= fitted[1]) == (height <= width) or len(set(fitted)) == 1


@repeatable
@given(sides, sides, caps)
def test_fit_keeps_the_whole_image_on_the_grid(height, width, cap):
    geometry = fit(cap)
    place = geometry.place(height, width)
    assert place.resized == place.size == fit_size(height, width, cap)
    assert (place.top, place.left) == (0, 0)
    rows, columns = geometry.grid
    assert rows == columns == -(-cap // 8)
    assert place.size[0] <= 8 * rows and place.size[1] <= 8 * columns


@repeatable
@given(sides, sides, caps)
def test_fit_of_the_turned_image_is_turned(height, width, cap):
    assert fit_size(width, height, cap) == fit_size(height, width, cap)[::-1]


@repeatable
@given(sides, sides, st.integers(1, 1024), st.integers(0, 200))
def test_crop_is_torchvisions_resize_and_centre_crop(height, width, size, more):
    resize = size + more
    # torchvision: the long side is int(resize * long / short), the cut int(round(rest / 2.0)).
    short, long = min(height, width), max(height, width)
    expected_long = int(resize * long / short)
    expected = (resize, expected_long) if height <= width else (expected_long, resize)
    assert short_side_size(height, width, resize) == expected
    place = crop(size, resize).place(height, width)
    assert place.resized == expected
    assert (place.top, place.left) == tuple(round((side - size) / 2.0) for side in expected)
    assert place.size == (size, size)
    assert 0 <= place.top <= expected[0] - size
    assert 0 <= place.left <= expected[1] - size


@pytest.mark.parametrize(
    ("source", "geometry", "resized", "corner", "size"),
    [
        ((375, 500), fit(512), (375, 500), (0, 0), (375, 500)),
        ((480, 640), fit(512), (384, 512), (0, 0), (384, 512)),
        ((1600, 2400), fit(512), (341, 512), (0, 0), (341, 512)),
        ((2000, 3), fit(512), (512, 1), (0, 0), (512, 1)),
        ((375, 500), crop(448, 512), (512, 682), (32, 117), (448, 448)),
        ((333, 500), crop(224, 256), (256, 384), (16, 80), (224, 224)),
        ((57, 75), crop(224, 225), (225, 296), (0, 36), (224, 224)),
    ],
)
def test_known_placements(source, geometry, resized, corner, size):
    place = geometry.place(*source)
    assert (place.resized, (place.top, place.left), place.size) == (resized, corner, size)


@repeatable
@given(boxes, sides, sides, st.booleans(), st.integers(8, 1024))
def test_boxes_go_there_and_back(rows, height, width, cropped, size):
    assume(max(height, width) / min(height, width) < 100)
    place = (crop(size, size + 32) if cropped else fit(size)).place(height, width)
    source = np.array(rows)
    stored = boxes_to_stored(source, (height, width), place)
    back = boxes_to_source(stored, (height, width), place)
    largest = max(1.0, np.abs(source).max(), *place.resized, height, width)
    shrunk = min(place.resized[0] / height, place.resized[1] / width)
    np.testing.assert_allclose(back, source, rtol=0, atol=1e-14 * largest / min(shrunk, 1))


@repeatable
@given(boxes, sides, sides, st.integers(8, 1024))
def test_a_box_moves_with_its_corners(rows, height, width, size):
    assume(max(height, width) / min(height, width) < 100)
    place = crop(size, size + 32).place(height, width)
    for (x, y, w, h), moved in zip(
        rows, boxes_to_stored(np.array(rows), (height, width), place), strict=True
    ):
        down = Fraction(place.resized[0], height)
        right = Fraction(place.resized[1], width)
        expected = [
            Fraction(x) * right - place.left,
            Fraction(y) * down - place.top,
            Fraction(w) * right,
            Fraction(h) * down,
        ]
        np.testing.assert_allclose(moved, [float(e) for e in expected], rtol=1e-12, atol=1e-9)


def test_an_image_that_fits_keeps_its_boxes_to_the_bit():
    rng = np.random.default_rng(0)
    source = rng.uniform(0, 500, (20, 4))
    place = fit(512).place(375, 500)
    np.testing.assert_array_equal(boxes_to_stored(source, (375, 500), place), source)
    np.testing.assert_array_equal(boxes_to_source(source, (375, 500), place), source)


@pytest.mark.parametrize(
    ("kind", "size", "resize", "orientation", "what"),
    [
        ("stretch", 512, None, "apply", "stretch"),
        ("fit", 512, None, "turn", "turn"),
        ("fit", 0, None, "apply", "size 0"),
        ("fit", -8, None, "apply", "size -8"),
        ("fit", LARGEST_SIZE + 1, None, "apply", str(LARGEST_SIZE + 1)),
        ("fit", 512, 600, "apply", "resize"),
        ("crop", 448, None, "apply", "resize None"),
        ("crop", 448, 447, "apply", "resize 447"),
        ("crop", 448, LARGEST_SIZE + 1, "apply", str(LARGEST_SIZE)),
    ],
)
def test_what_cannot_be_is_refused_by_name(kind, size, resize, orientation, what):
    with pytest.raises(UsageError, match=what) as error:
        Geometry(kind, size, resize, orientation)
    assert error.value.remedy


def test_boxes_have_the_sides_of_their_images():
    found = sides_of_boxes(np.array([[4, 6], [1, 2], [30, 20]]), np.array([2, 0, 1]))
    assert found.tolist() == [[6, 4], [6, 4], [20, 30]]
