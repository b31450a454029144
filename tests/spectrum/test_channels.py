"""Channel names, orders and selections, against the published lists written out."""

import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import freqprep
from freqprep.errors import UnknownChannelError
from freqprep.spectrum.channels import (
    NAMES,
    STORED_ORDER,
    STORED_POSITION,
    ZIGZAG,
    Selection,
    channels,
    combine,
    lowest,
    ranges,
    square,
    square_split,
    triangle,
    triangle_split,
    zigzag,
)

repeatable = settings(derandomize=True, deadline=None, max_examples=100)

SQUARE_16 = [0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27]
LUMA_22 = [0, 1, 2, 3, 4, 8, 9, 10, 11, 12, 16, 17, 18, 19, 20, 24, 25, 26, 27, 32, 33, 34]
LUMA_32 = [
    *[0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13, 16, 17, 18, 19, 20, 21],
    *[24, 25, 26, 27, 28, 29, 32, 33, 34, 35, 40, 41, 42, 43],
]
LUMA_44 = [
    *[0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 16, 17, 18, 19, 20, 21],
    *[24, 25, 26, 27, 28, 29, 32, 33, 34, 35, 36, 37, 40, 41, 42, 43, 44, 45],
    *[48, 49, 50, 51, 52, 53],
]
PUBLISHED = {
    "paper-6": ([0, 1, 8, 9], [0]),
    "square-24": (SQUARE_16, [0, 1, 8, 9]),
    "learned-24": ([0, 1, 2, 3, 4, 5, 8, 9, 10, 16, 17, 18, 24, 32], [0, 1, 3, 8, 24]),
    "paper-32": (LUMA_22, [0, 1, 2, 8, 9]),
    "paper-48": (LUMA_32, [0, 1, 2, 8, 9, 10, 16, 17]),
    "paper-64": (LUMA_44, [0, 1, 2, 8, 9, 10, 16, 17, 24, 25]),
}
"""Frequencies of luma, and of each chroma component."""

NESTED = ["paper-6", "square-24", "paper-32", "paper-48", "paper-64", "all"]
LUMA_RINGS, CHROMA_RINGS = [4, 16, 22, 32, 44, 64], [1, 4, 5, 8, 10, 64]

KNOWN = [*PUBLISHED, "all", "square-Y+C", "triangle-N", "zigzag-Y+Cb+Cr"]


def walked_zigzag() -> list[int]:
    """Walk the 8x8 square along its diagonals, turning at the edges."""
    v = h = 0
    walk = [0]
    upwards = True
    while (v, h) != (7, 7):
        if upwards and h == 7:
            v, upwards = v + 1, False
        elif upwards and v == 0:
            h, upwards = h + 1, False
        elif not upwards and v == 7:
            h, upwards = h + 1, True
        elif not upwards and h == 0:
            v, upwards = v + 1, True
        else:
            v, h = (v - 1, h + 1) if upwards else (v + 1, h - 1)
        walk.append(8 * v + h)
    return walk


def indices_of(luma: list[int], chroma: list[int]) -> list[int]:
    return luma + [64 + k for k in chroma] + [128 + k for k in chroma]


def stored_ranges(selection: Selection) -> list[tuple[int, int]]:
    return ranges(STORED_POSITION[index] for index in selection.indices)


def test_zigzag_is_the_walk_along_the_diagonals():
    assert list(ZIGZAG) == walked_zigzag()
    assert list(ZIGZAG[:10]) == [0, 1, 8, 16, 9, 2, 3, 10, 17, 24]


def test_names_are_component_then_vertical_then_horizontal():
    assert len(NAMES) == len(set(NAMES)) == 192
    assert [NAMES[i] for i in (0, 1, 8, 63, 64, 129)] == [
        *["y_0_0", "y_0_1", "y_1_0", "y_7_7", "cb_0_0", "cr_0_1"]
    ]
    for index, name in enumerate(NAMES):
        component, v, h = name.split("_")
        assert index == 64 * ("y", "cb", "cr").index(component) + 8 * int(v) + int(h)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_selections_are_those_published(name):
    selection = channels(name)
    luma, chroma = PUBLISHED[name]
    assert list(selection.indices) == indices_of(luma, chroma)
    assert len(selection) == int(name.split("-")[1]) == len(luma) + 2 * len(chroma)
    assert selection.name == name


def test_the_public_name_gives_indices_and_names():
    selection = freqprep.channels("square-24")
    assert list(selection.indices) == indices_of(SQUARE_16, [0, 1, 8, 9])
    assert selection.names[:5] == ("y_0_0", "y_0_1", "y_0_2", "y_0_3", "y_1_0")
    assert selection.names[16:] == (
        *("cb_0_0", "cb_0_1", "cb_1_0", "cb_1_1", "cr_0_0", "cr_0_1", "cr_1_0", "cr_1_1"),
    )


def test_all_is_raster_order():
    assert channels("all").indices == tuple(range(192))


def test_the_stored_order_is_a_permutation_with_its_inverse():
    assert sorted(STORED_ORDER) == list(range(192))
    assert [STORED_ORDER[p] for p in STORED_POSITION] == list(range(192))
    assert [STORED_POSITION[k] for k in STORED_ORDER] == list(range(192))


@pytest.mark.parametrize("component", [0, 1, 2])
def test_every_published_set_is_a_prefix_of_its_component(component):
    order = [k - 64 * component for k in STORED_ORDER[64 * component : 64 * component + 64]]
    previous = 0
    for name, ring in zip(NESTED, CHROMA_RINGS if component else LUMA_RINGS, strict=True):
        published = PUBLISHED.get(name, (range(64), range(64)))[min(component, 1)]
        assert sorted(order[:ring]) == list(published)
        steps = [walked_zigzag().index(k) for k in order[previous:ring]]
        assert steps == sorted(steps)  # zigzag inside each ring
        previous = ring


@pytest.mark.parametrize("name", NESTED[:-1])
def test_every_nested_selection_is_three_ranges_in_the_store(name):
    ours = stored_ranges(channels(name))
    luma, chroma = (len(part) for part in PUBLISHED[name])
    assert ours == [(0, luma), (64, 64 + chroma), (128, 128 + chroma)]


def test_all_channels_are_one_range_in_the_store():
    assert stored_ranges(channels("all")) == [(0, 192)]


@pytest.mark.parametrize("count", range(65))
def test_lowest_takes_the_smallest_sums_of_v_and_h(count):
    chosen = lowest(count)
    sums = [sum(divmod(k, 8)) for k in range(64)]
    assert len(set(chosen)) == count
    assert list(chosen) == sorted(chosen)
    left = set(range(64)) - set(chosen)
    assert max((sums[k] for k in chosen), default=0) <= min((sums[k] for k in left), default=14)
    assert set(chosen) == set(walked_zigzag()[:count])


@pytest.mark.parametrize("side", range(9))
def test_a_square_has_the_frequencies_below_its_side(side):
    assert list(square(side)) == [8 * v + h for v in range(side) for h in range(side)]


def test_the_published_squares_are_squares():
    assert square_split(4, 2).indices == channels("square-24").indices
    assert channels("square-4+2") == square_split(4, 2)
    assert square_split(2, 1).indices == channels("paper-6").indices


@repeatable
@given(st.integers(0, 64), st.integers(0, 64))
def test_any_split_of_a_triangle(luma, chroma):
    selection = triangle_split(luma, chroma)
    parts = [sorted(walked_zigzag()[:n]) for n in (luma, chroma, chroma)]
    assert selection.indices == combine(*parts)
    assert selection.indices == zigzag(luma, chroma, chroma).indices


@repeatable
@given(st.integers(0, 8), st.integers(0, 8))
def test_any_split_of_squares(luma, chroma):
    assert len(square_split(luma, chroma)) == luma**2 + 2 * chroma**2


@repeatable
@given(st.integers(0, 64), st.integers(0, 64), st.integers(0, 64))
def test_any_split_by_name(luma, cb, cr):
    name = f"zigzag-{luma}+{cb}+{cr}"
    if luma + cb + cr == 0:
        with pytest.raises(UnknownChannelError, match="empty"):
            channels(name)
        return
    selection = channels(name)
    assert selection.name == name
    counts = [sum(k // 64 == component for k in selection.indices) for component in range(3)]
    assert counts == [luma, cb, cr]


@pytest.mark.parametrize("count", range(1, 193))
def test_a_triangle_has_as_many_channels_as_it_says(count):
    selection = channels(f"triangle-{count}")
    assert selection.indices == triangle(count).indices
    assert len(set(selection.indices)) == len(selection) == count
    luma, cb, cr = ([k % 64 for k in selection.indices if k // 64 == c] for c in range(3))
    assert cb == cr
    assert len(luma) >= len(cb) or count == 191  # 191 is odd, and both chroma are full
    assert set(luma) == set(walked_zigzag()[: len(luma)])


def test_a_triangle_of_24_is_split_as_the_published_24():
    assert triangle(24).indices == zigzag(16, 4, 4).indices


@repeatable
@given(st.lists(st.integers(0, 191), min_size=1, unique=True))
def test_explicit_channels_keep_their_order(indices):
    names = [NAMES[index] for index in indices]
    for asked in (indices, tuple(indices), np.array(indices), names, ",".join(names)):
        selection = channels(asked)
        assert selection.indices == tuple(indices)
        assert all(type(index) is int for index in selection.indices)
        assert selection.names == tuple(names)
    assert channels(channels(indices)).indices == tuple(indices)


@pytest.mark.parametrize("bare", [24, np.int64(24), None, 1.5])
def test_a_bare_number_is_no_selection(bare):
    with pytest.raises(UnknownChannelError, match="give a list"):
        channels(bare)
    assert channels([np.int64(65)]).names == ("cb_0_1",)


def test_space_around_names_is_passed_over():
    assert channels(" y_0_0 , cb_0_0 ").indices == (0, 64)
    assert channels(" square-24\n").indices == channels("square-24").indices


@pytest.mark.parametrize(
    "asked",
    [
        *["", " ", "nothing", "square-25", "SQUARE-24", "y_0_8", "y_0_0,", "y_0_0;y_0_1", "Y_0_0"],
        *["triangle-0", "triangle-193", "triangle-", "triangle--3", "triangle-99999"],
        *["zigzag-65+0+0", "zigzag-1+1", "zigzag-1+1+-1", "24"],
        *[-1, 192, True],
    ],
)
def test_what_does_not_exist_is_named_with_what_does(asked):
    with pytest.raises(UnknownChannelError) as error:
        channels(asked)
    for known in KNOWN:
        assert known in str(error.value)


TWICE, EMPTY = "name each once", "name at least one, such as y_0_0, or a selection"
INDICES = "raster indices are Y, then Cb, then Cr, 8 * v + h inside each"


@pytest.mark.parametrize(
    ("asked", "said", "remedy"),
    [
        ("cb_0_1,y_0_0,y_0_1,y_0_0,cb_0_1", "twice: cb_0_1, y_0_0", TWICE),
        *((asked, "twice: y_0_0", TWICE) for asked in ("y_0_0,y_0_0", [0, 4, 0], [0, "y_0_0"])),
        *((asked, "no channels", EMPTY) for asked in ([], (), "square-0+0", "zigzag-0+0+0")),
        *((a, f"index {a[0]!r} ", INDICES) for a in ([192], [-1], [0.5], [True], [None], [[1]])),
    ],
)
def test_the_remedy_is_that_of_the_fault(asked, said, remedy):
    with pytest.raises(UnknownChannelError, match=re.escape(said)) as error:
        channels(asked)
    assert error.value.remedy.startswith(remedy) and "known selections" not in str(error.value)


@repeatable
@given(st.sets(st.integers(0, 191)))
def test_ranges_cover_exactly_and_do_not_touch(positions):
    runs = ranges(positions)
    assert [p for first, stop in runs for p in range(first, stop)] == sorted(positions)
    assert all(stop < following for (_, stop), (following, _) in pairwise(runs))


@pytest.mark.parametrize("given", [b"square-24", bytearray(b"y_0_0")])
def test_bytes_are_no_list_of_channels(given):
    with pytest.raises(UnknownChannelError, match="names no channels"):
        channels(given)
