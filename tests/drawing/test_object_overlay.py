"""Objects on a picture: where something is drawn, where nothing is, and nothing crashes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freqprep.drawing.object_overlay import draw_objects

HEIGHT, WIDTH = 120, 160
GREY = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)


def changed(boxes, captions=None, masks=None, colours=None, crowd=None, picture=GREY):
    """Where pixels differ from the picture's, and the picture drawn on."""
    count = len(boxes)
    colours = np.arange(count) if colours is None else np.asarray(colours)
    crowd = None if crowd is None else np.asarray(crowd)
    drawn = draw_objects(
        picture, np.array(boxes, float), captions or [""] * count, masks, colours, crowd
    )
    assert drawn.shape == picture.shape and drawn.dtype == np.uint8
    return (drawn != picture).any(axis=2), drawn


def ring(left: int, top: int, width: int, height: int) -> np.ndarray:
    """The pixels of a box's edge, a pixel wide."""
    found = np.zeros((HEIGHT, WIDTH), bool)
    found[top : top + height, left : left + width] = True
    found[top + 1 : top + height - 1, left + 1 : left + width - 1] = False
    return found


def disc(row: int, column: int, radius: int) -> np.ndarray:
    rows, columns = np.ogrid[:HEIGHT, :WIDTH]
    return (rows - row) ** 2 + (columns - column) ** 2 <= radius**2


def test_a_box_is_its_outline():
    where, drawn = changed([[20, 30, 50, 40]])
    np.testing.assert_array_equal(where, ring(20, 30, 50, 40))
    assert len(np.unique(drawn[where], axis=0)) == 1


def test_edges_are_rounded_to_pixels():
    where, _ = changed([[19.6, 30.4, 50.3, 39.8]])
    np.testing.assert_array_equal(where, ring(20, 30, 50, 40))


def test_lines_are_wider_on_larger_pictures():
    large = np.zeros((960, 1200, 3), np.uint8)
    where, _ = changed([[100, 100, 200, 200]], picture=large)
    assert where[200, 100:104].all() and not where[200, 104:290].any()


def test_boxes_are_open_where_they_leave_the_picture():
    where, _ = changed([[-20, -30, 60, 50]])
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[19, :40] = expected[:20, 39] = True
    np.testing.assert_array_equal(where, expected)


@pytest.mark.parametrize(
    "box", [[-50, 10, 50, 20], [WIDTH, 0, 9, 9], [0, -1e300, 5, 5], [1e308, 1e308, 1e308, 1e308]]
)
def test_what_lies_outside_is_not_drawn(box):
    where, _ = changed([box], ["somewhere else"])
    assert not where.any()


def test_objects_without_size_are_still_seen():
    where, _ = changed([[40, 50, 0, 0], [60, 70, -5, 0]])
    assert np.argwhere(where).tolist() == [[50, 40], [70, 60]]


def test_masks_are_tinted_and_outlined():
    random = np.random.RandomState(0)
    picture = random.randint(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    mask = disc(60, 80, 30)
    where, drawn = changed([[0, 0, 4, 4]], masks=[mask], picture=picture)
    paint = drawn[0, 0]
    inner = disc(60, 80, 28)
    expected = np.rint(0.55 * picture[inner] + 0.45 * paint.astype(float))
    assert np.abs(drawn[inner] - expected).max() <= 1
    assert (drawn[60, 50] == paint).all() and (drawn[90, 80] == paint).all()
    assert not where[~mask & ~ring(0, 0, 4, 4)].any()


def test_crowds_are_hatched_and_dashed():
    mask = disc(60, 80, 30)
    solid, _ = changed([[10, 10, 140, 100]], masks=[mask])
    hatched, _ = changed([[10, 10, 140, 100]], masks=[mask], crowd=[True])
    for part in (disc(60, 80, 25), ring(10, 10, 140, 100)):
        assert solid[part].all()
        assert 0.3 < hatched[part].mean() < 0.7


def test_classes_have_colours():
    boxes = [[20 * number, 10, 9, 9] for number in range(8)]
    _, drawn = changed(boxes, colours=[0, 1, 2, 3, 4, 5, 0, 79])
    paints = [tuple(drawn[10, 20 * number].tolist()) for number in range(8)]
    assert paints[0] == paints[6] and len(set(paints)) == 7


def test_small_objects_lie_on_large_ones():
    small, large = [30, 30, 20, 20], [30, 30, 100, 80]
    for boxes, colours in (([small, large], [0, 1]), ([large, small], [1, 0])):
        _, drawn = changed(boxes, colours=colours)
        _, alone = changed([small], colours=[0])
        assert (drawn[30, 40] == alone[30, 40]).all()


def painted(picture: np.ndarray, box: list[float], caption: str) -> np.ndarray:
    plain, _ = changed([box], picture=picture)
    where, _ = changed([box], [caption], picture=picture)
    return where & ~plain


def test_captions_are_whole_wherever_the_box_is():
    amount = painted(GREY, [70, 60, 1, 1], "zebra").sum()
    assert amount > 200
    for x in (-3, 0, 70, WIDTH - 1):
        for y in (-3, 0, 60, HEIGHT - 1):
            assert abs(painted(GREY, [x, y, 4, 4], "zebra").sum() - amount) < 40


def test_captions_keep_off_one_another_where_there_is_room():
    box = [40.0, 50.0, 60.0, 40.0]
    one = painted(GREY, box, "zebra").sum()
    outline, _ = changed([box])
    two, _ = changed([box, box], ["zebra", "zebra"], colours=[0, 0])
    assert (two & ~outline).sum() > 1.8 * one


@pytest.mark.parametrize(
    "caption",
    [
        "two\nlines",
        "\u732b\u3068\u72ac",
        "\ud800",
        "\0\x1b[31m",
        "\u202emirrored",
        "\U0001f600",
        "x" * 10**5,
    ],
    ids=ascii,
)
def test_any_text_is_one_line_inside_the_picture(caption):
    where = painted(GREY, [40, 50, 30, 30], caption)
    rows = np.flatnonzero(where.any(axis=1))
    assert 5 < rows[-1] - rows[0] < 25
    assert (where.any(axis=0)).sum() > 3


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (200, 3), (24, 32)])
def test_small_pictures_are_drawn_on(size):
    picture = np.full((*size, 3), 128, np.uint8)
    where, _ = changed([[0, 0, 9, 9]], ["zebra"], [np.ones(size, bool)], picture=picture)
    assert where.any()


anything = st.floats(allow_nan=False, allow_infinity=False)


@settings(derandomize=True, max_examples=100)
@given(
    st.lists(st.tuples(st.lists(anything, min_size=4, max_size=4), st.text()), max_size=6),
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
    st.booleans(),
)
def test_no_objects_crash(objects, size, crowd):
    picture = np.zeros((*size, 3), np.uint8)
    boxes = [box for box, _ in objects]
    captions = [caption for _, caption in objects]
    masks = [np.zeros(size, bool)] * len(objects)
    changed(boxes, captions, masks, crowd=[crowd] * len(objects), picture=picture)
    assert not picture.any()


def test_lists_of_other_lengths_are_refused():
    with pytest.raises(ValueError, match="2 boxes"):
        draw_objects(GREY, np.zeros((2, 4)), ["one"], None, np.zeros(2, int))
