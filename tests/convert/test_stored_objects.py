"""Boxes and masks in stored pixels: COCO's own masks at scale 1, and no crash on any annotation."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from freqprep.convert import stored_objects as stored_objects_module
from freqprep.convert.stored_objects import stored_mask, stored_objects
from freqprep.images.geometry import Geometry, boxes_to_source
from freqprep.ragged import Ragged
from freqprep.sources.coco import discover
from freqprep.sources.listing import Objects

DATA = Path(__file__).resolve().parents[2].parent / "shared/data"
real_data = pytest.mark.skipif(not (DATA / "coco").is_dir(), reason=f"no real COCO at {DATA}")

repeatable = settings(derandomize=True, deadline=None, max_examples=150)

WHOLE = Geometry("fit", 8192, None, "keep")
HALF = Geometry("fit", 320, None, "keep")
CUT = Geometry("crop", 224, 256, "keep")

HEIGHT, WIDTH = 40, 56
"""Of the made-up images below."""


def area_of(mask: bytes, size: tuple[int, int]) -> int:
    return int(coco_mask.area({"size": list(size), "counts": mask}))


def pixels_of(mask: bytes, size: tuple[int, int]) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pycocotools' own, of numpy
        return coco_mask.decode({"size": list(size), "counts": mask})


def run_lengths(mask: np.ndarray) -> list[int]:
    """COCO's uncompressed counts, column by column: zeros first."""
    flat = [0, *mask.ravel(order="F").tolist()]
    counts, current = [0], 0
    for value in flat[1:]:
        if value != current:
            counts.append(0)
            current = value
        counts[-1] += 1
    return counts


def by_coco(segmentation: Any, size: tuple[int, int]) -> bytes:
    """As ``pycocotools.coco.COCO.annToRLE`` makes it."""
    parts = coco_mask.frPyObjects(segmentation, *size)
    return bytes((coco_mask.merge(parts) if isinstance(segmentation, list) else parts)["counts"])


@real_data
@pytest.mark.parametrize("split", ["train", "val"])
def test_at_scale_one_real_masks_are_cocos(split):
    listing = discover(DATA / "coco", None).listings[split]
    objects, sizes = listing.objects, listing.stated_sizes
    stored = stored_objects(objects, sizes, WHOLE)
    masks = Ragged(stored["mask"], stored["mask_offset"])
    crowds = 0
    for row, size in enumerate(map(tuple, sizes.tolist())):
        for number in range(objects.offsets[row], objects.offsets[row + 1]):
            segmentation = json.loads(objects.annotation.bytes_at(number))["segmentation"]
            expected = by_coco(segmentation, size)
            assert masks.bytes_at(number) == expected
            if isinstance(segmentation, dict):
                crowds += 1
                compressed = {"size": list(size), "counts": expected.decode()}
                place = WHOLE.place(*size)
                assert stored_mask(compressed, size, place) == expected
    assert crowds > 0
    np.testing.assert_array_equal(stored["box"], objects.box)
    np.testing.assert_array_equal(stored["area"], objects.area)
    assert len(masks) == len(objects.box)


@real_data
@pytest.mark.parametrize("geometry", [HALF, CUT], ids=["half", "cut"])
def test_real_objects_move_with_their_images(geometry):
    listing = discover(DATA / "coco", None).listings["val"]
    objects, sizes = listing.objects, listing.stated_sizes
    stored = stored_objects(objects, sizes, geometry)
    masks = Ragged(stored["mask"], stored["mask_offset"])
    for row, (height, width) in enumerate(sizes.tolist()):
        mine = slice(objects.offsets[row], objects.offsets[row + 1])
        place = geometry.place(height, width)
        back = boxes_to_source(stored["box"][mine], (height, width), place)
        np.testing.assert_allclose(back, objects.box[mine], rtol=0, atol=1e-9)
        scale = np.prod(place.resized) / (height * width)
        np.testing.assert_allclose(stored["area"][mine], objects.area[mine] * scale)
        for number in range(mine.start, mine.stop):
            mask = masks.bytes_at(number)
            assert mask
            inside = pixels_of(mask, place.size)
            assert inside.shape == place.size
            if inside.any():  # the mask lies in its box, give or take a pixel
                x, y, w, h = stored["box"][number]
                rows, columns = np.nonzero(inside)
                assert rows.min() >= y - 2 and rows.max() <= y + h + 2
                assert columns.min() >= x - 2 and columns.max() <= x + w + 2


def one_object(annotation: dict[str, Any], box: list[float], area: float) -> Objects:
    return Objects(
        offsets=np.array([0, 0, 1, 1]),
        box=np.array([box], np.float64),
        label=np.array([0]),
        area=np.array([area], np.float64),
        iscrowd=np.array([False]),
        annotation_id=np.array([5]),
        annotation=Ragged.of_bytes([json.dumps(annotation).encode()]),
    )


def test_images_without_objects_and_objects_without_masks():
    sizes = np.array([[10, 20], [100, 200], [30, 30]], np.int32)
    objects = one_object({"id": 5}, [10, 20, 30, 40], 600)
    stored = stored_objects(objects, sizes, Geometry("fit", 100, None, "keep"))
    assert stored["box"].tolist() == [[5, 10, 15, 20]]
    assert stored["area"].tolist() == [150]
    assert stored["mask"].size == 0
    assert stored["mask_offset"].tolist() == [0, 0]
    assert objects.box.tolist() == [[10, 20, 30, 40]] and objects.area.tolist() == [600]


def test_a_rectangle_scales_with_its_image():
    polygon = [[10, 20, 40, 20, 40, 60, 10, 60]]
    place = Geometry("fit", 100, None, "keep").place(100, 200)
    inside = pixels_of(stored_mask(polygon, (100, 200), place), place.size)
    expected = np.zeros((50, 100), np.uint8)
    expected[10:30, 5:20] = 1
    np.testing.assert_array_equal(inside, expected)


def test_a_rectangle_is_cut_with_its_image():
    polygon = [[0, 0, 200, 0, 200, 10, 0, 10]]
    place = Geometry("crop", 80, 100, "keep").place(100, 200)
    assert (place.top, place.left) == (10, 60)
    assert area_of(stored_mask(polygon, (100, 200), place), (80, 80)) == 0
    polygon = [[0, 0, 200, 0, 200, 30, 0, 30]]
    inside = pixels_of(stored_mask(polygon, (100, 200), place), (80, 80))
    assert inside[:20].all() and not inside[20:].any()


source_masks = st.integers(0, 2**32).map(
    lambda seed: np.random.default_rng(seed).random((HEIGHT, WIDTH)) < seed % 7 / 6
)
geometries = st.sampled_from(
    [
        *[Geometry("fit", size, None, "keep") for size in (8, 23, 40, 55, 56, 100)],
        *[Geometry("crop", size, size + 5, "keep") for size in (7, 24, 40, 77)],
    ]
)


@repeatable
@given(source_masks, geometries, st.booleans())
def test_run_lengths_are_resampled_to_the_nearest_pixel(mask, geometry, compressed):
    place = geometry.place(HEIGHT, WIDTH)
    counts: Any = run_lengths(mask)
    segmentation = {"size": [HEIGHT, WIDTH], "counts": counts}
    if compressed:
        segmentation["counts"] = by_coco(segmentation, (HEIGHT, WIDTH)).decode()
    ours = pixels_of(stored_mask(segmentation, (HEIGHT, WIDTH), place), place.size)
    expected = np.zeros(place.size, np.uint8)
    for row in range(place.size[0]):
        for column in range(place.size[1]):
            y = int((place.top + row + 0.5) * HEIGHT / place.resized[0])
            x = int((place.left + column + 0.5) * WIDTH / place.resized[1])
            expected[row, column] = mask[min(y, HEIGHT - 1), min(x, WIDTH - 1)]
    np.testing.assert_array_equal(ours, expected)


outlines = st.lists(st.floats(-60, 2 * WIDTH), min_size=6, max_size=20)
polygons = st.lists(outlines.map(lambda p: p[: len(p) // 2 * 2]), min_size=1, max_size=3)


@repeatable
@given(polygons)
def test_any_polygons_are_cocos_at_scale_one(segmentation):
    place = WHOLE.place(HEIGHT, WIDTH)
    ours = stored_mask(segmentation, (HEIGHT, WIDTH), place)
    assert ours == by_coco(segmentation, (HEIGHT, WIDTH))


TEXT = by_coco([[3, 3, 30, 4, 9, 33]], (HEIGHT, WIDTH)).decode()
MALFORMED = [
    *[None, True, 0, 3.5, "", "text", [], {}, [[]], [None], ["x"], [{}], [[None] * 6]],
    *[[[1, 2, 3, 4]], [[1, 2, 3, 4, 5]], [[1, 2, 3, 4, 5, 6, 7]], [1, 2, 3, 4, 5, 6]],
    *[[[1, 2, 3, 4, 5], [1, 2]], [[1, 2, 3, 4], "x"], [[[1, 2], [3, 4], [5, 6]]]],
    *[[[float("nan")] * 6], [[float("inf")] * 6], [[1e300] * 6], [[10**400] * 6], [[1e30] * 6]],
    [[0, 0, WIDTH, HEIGHT] * 60_000],
    *[{"counts": counts} for counts in (None, 5, {}, [], [1.0], ["1"], [True], b"abc")],
    *[{"counts": [n]} for n in (-1, HEIGHT * WIDTH - 1, HEIGHT * WIDTH + 1, 2**32, 2**64, 10**400)],
    {"counts": [HEIGHT * WIDTH + 1, -1]},
    {"counts": [2**32 + HEIGHT * WIDTH, -(2**32)]},
    *[{"counts": text} for text in ("", "0", "zzzz", "\0\0", "\N{GRINNING FACE}", "o" * 200_000)],
    {"counts": TEXT + "0"},
    {"counts": TEXT[:-1]},
    {"counts": TEXT + "o"},
]


@pytest.mark.parametrize("segmentation", MALFORMED, ids=lambda s: repr(s)[:40])
@pytest.mark.parametrize("geometry", [WHOLE, CUT], ids=["whole", "cut"])
def test_a_malformed_segmentation_has_an_empty_mask(segmentation, geometry):
    assert stored_mask(segmentation, (HEIGHT, WIDTH), geometry.place(HEIGHT, WIDTH)) == b""


DAMAGED = [
    *([], [1, 2], [1, 2, 3, 4], [1, 2, 3, 4, 5, 6, 7], [[1, 2], [3, 4], [5, 6]], None, "x", {}),
    *(
        [float("nan")] * 6,
        [0, 0, float("inf"), 0, 9, 9],
        [1e30, 0, -1e30, 5, 1e30, 9],
        [10**400] * 6,
    ),
    [0, 0, WIDTH, HEIGHT] * 60_000,
]


@pytest.mark.parametrize("damaged", DAMAGED, ids=lambda polygon: repr(polygon)[:40])
@pytest.mark.parametrize("geometry", [WHOLE, CUT], ids=["whole", "cut"])
def test_a_damaged_polygon_is_left_out_alone(damaged, geometry):
    place = geometry.place(HEIGHT, WIDTH)
    others = [[3, 3, 30, 4, 9, 33], [40, 5, 50, 5, 50, 30, 40, 30]]
    expected = stored_mask(others, (HEIGHT, WIDTH), place)
    assert area_of(expected, place.size) > 0
    for position in range(3):
        polygons = [*others[:position], damaged, *others[position:]]
        assert stored_mask(polygons, (HEIGHT, WIDTH), place) == expected


@pytest.mark.parametrize(
    ("polygon", "pixels"),
    [
        ([540, 100, 1400, 100, 1400, 288, 540, 288], 18_800),
        ([-50, -50, 9000, -50, 9000, 9000, -50, 9000], 307_200),
        ([-200_000, -50, 200_000, -50, 200_000, 240, -200_000, 240], 153_600),
        ([700, 100, 1400, 100, 1400, 288, 700, 288], 0),
    ],
)
def test_polygons_far_outside_are_cocos(polygon, pixels):
    mask = stored_mask([polygon], (480, 640), WHOLE.place(480, 640))
    assert mask == by_coco([polygon], (480, 640)) and area_of(mask, (480, 640)) == pixels


far_sides = st.tuples(*[st.floats(-1e9, 1e9) | st.integers(-5, 60)] * 2).map(sorted)


@repeatable
@given(far_sides, far_sides)
def test_a_rectangle_is_clipped_to_its_image(across, down):
    """Beyond what COCO's code can draw, as well: it is the rectangle's part near the image."""
    (left, right), (upper, lower) = across, down
    place = WHOLE.place(HEIGHT, WIDTH)
    near = [*np.clip([left, right], -9, WIDTH + 9), *np.clip([upper, lower], -9, HEIGHT + 9)]
    masks = [
        stored_mask([[x0, y0, x1, y0, x1, y1, x0, y1]], (HEIGHT, WIDTH), place)
        for x0, x1, y0, y1 in ([left, right, upper, lower], near)
    ]
    assert masks[0] == masks[1] != b""


far_points = st.lists(
    st.tuples(*[st.floats(-3000, 3000) | st.integers(-5, 60)] * 2), min_size=3, max_size=8
)


@repeatable
@given(far_points)
def test_a_clipped_outline_differs_along_the_edge_at_most(points):
    polygon = [float(number) for point in points for number in point]
    place = WHOLE.place(HEIGHT, WIDTH)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored_objects_module, "_LONGEST_OUTLINE", 8 * 4 * (HEIGHT + WIDTH))
        ours = pixels_of(stored_mask([polygon], (HEIGHT, WIDTH), place), (HEIGHT, WIDTH))
    theirs = pixels_of(by_coco([polygon], (HEIGHT, WIDTH)), (HEIGHT, WIDTH))
    down, across = np.nonzero(ours != theirs)
    begin = np.array(points, np.float64)
    edge = np.roll(begin, -1, axis=0) - begin
    away = np.stack([across, down], axis=1)[:, None] + 0.5 - begin
    share = (away * edge).sum(axis=2) / np.maximum((edge**2).sum(axis=1), 1e-9)
    distance = np.linalg.norm(away - np.clip(share, 0, 1)[..., None] * edge, axis=2)
    assert (distance.min(axis=1) <= 1.5).all()


@pytest.mark.parametrize("size", [(20_000, 20_000), (1, 100_000)])
def test_images_too_large_to_be_stored_have_empty_masks(size):
    place = CUT.place(*size)
    whole = {"size": list(size), "counts": [0, size[0] * size[1]]}
    polygon = [[0, 0, size[1], 0, size[1], size[0]]]
    assert stored_mask(whole, size, place) == stored_mask(polygon, size, place) == b""


numbers = st.one_of(st.integers(), st.floats(), st.integers(-100, 100), st.booleans(), st.none())
json_values = st.recursive(
    st.one_of(numbers, st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=8), st.dictionaries(st.sampled_from(["counts", "size"]), inner)
    ),
    max_leaves=25,
)
almost_polygons = st.lists(st.lists(numbers, min_size=5, max_size=9), max_size=3)
almost_runs = st.fixed_dictionaries(
    {"counts": st.one_of(st.lists(numbers, max_size=6), st.text(max_size=30), json_values)}
)


@settings(repeatable, max_examples=500)
@given(st.one_of(json_values, almost_polygons, almost_runs), geometries)
def test_no_segmentation_crashes(segmentation, geometry):
    place = geometry.place(HEIGHT, WIDTH)
    mask = stored_mask(segmentation, (HEIGHT, WIDTH), place)
    if mask:
        assert pixels_of(mask, place.size).shape == place.size


@repeatable
@given(st.text(st.characters(min_codepoint=48, max_codepoint=111), max_size=40), st.data())
def test_no_damaged_compressed_counts_crash(noise, data):
    at = data.draw(st.integers(0, len(TEXT)))
    keep = data.draw(st.integers(0, 6))
    damaged = TEXT[:at] + noise + TEXT[at + keep :]
    place = WHOLE.place(HEIGHT, WIDTH)
    mask = stored_mask({"size": [HEIGHT, WIDTH], "counts": damaged}, (HEIGHT, WIDTH), place)
    if mask:
        assert pixels_of(mask, place.size).shape == place.size
