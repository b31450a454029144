"""The contact sheet: one tile a channel, grey where the channel is zero."""

from itertools import pairwise

import numpy as np
import pytest

from freqprep.contact_sheet import contact_sheet
from freqprep.spectrum.channels import Selection, channels

TILE = 96


def tiles_of(sheet: np.ndarray) -> list[tuple[int, int]]:
    """Corners of the squares that are grey all over, row by row."""
    sums = np.zeros((sheet.shape[0] + 1, sheet.shape[1] + 1), np.int64)
    sums[1:, 1:] = (sheet == 128).cumsum(axis=0).cumsum(axis=1)
    inside = sums[TILE:, TILE:] - sums[:-TILE, TILE:] - sums[TILE:, :-TILE] + sums[:-TILE, :-TILE]
    return [(int(y), int(x)) for y, x in zip(*np.nonzero(inside == TILE**2), strict=True)]


@pytest.mark.parametrize("name", ["y_0_0", "paper-6", "square-24", "paper-64", "all"])
def test_there_is_one_tile_for_each_channel(name):
    selection = channels(name)
    sheet = contact_sheet(np.zeros((len(selection), 5, 7), np.float32), selection)
    assert sheet.dtype == np.uint8 and sheet.ndim == 2
    corners = tiles_of(sheet)
    assert len(corners) == len(selection)
    for (y, x), (lower, right) in pairwise(corners):
        assert lower >= y + TILE or (lower == y and right >= x + TILE)
    assert sheet.min() < 50  # the names


def test_tiles_are_in_the_order_of_the_selection():
    selection = channels(["cr_7_7", "y_0_0", "cb_0_1"])
    levels = np.array([1.0, 0.0, -1.0], np.float32)
    sheet = contact_sheet(np.tile(levels[:, None, None], (1, 4, 4)), selection)
    ((y, x),) = tiles_of(sheet)
    middle = y + TILE // 2
    assert sheet[middle, x - TILE // 2] == 255
    assert sheet[middle, x + TILE // 2] == 128
    assert sheet[middle, x + TILE + TILE // 2] == 1


def test_every_name_is_drawn():
    blank = np.zeros((1, 4, 4), np.float32)
    drawn = {name: contact_sheet(blank, channels([name])) for name in ("y_0_0", "y_0_1", "cb_0_0")}
    texts = {sheet.tobytes() for sheet in drawn.values()}
    assert len(texts) == len(drawn)


@pytest.mark.parametrize("scale", [1.0, 37.0, 1000.0])
def test_a_channel_fills_the_range_of_grey(scale):
    ramp = np.linspace(-scale, scale, 64, dtype=np.float32).reshape(1, 8, 8)
    sheet = contact_sheet(ramp, channels("y_0_0"))
    # 1 (minus the range) to 255, and as many levels between as there are values.
    levels = np.unique(sheet[sheet > 0])
    assert (levels[0], levels[-1]) == (1, 255)
    assert len(levels) >= 60


def test_a_channel_of_almost_nothing_stays_grey():
    tiny = np.full((1, 4, 4), 1e-3, np.float32)
    assert len(tiles_of(contact_sheet(tiny, channels("y_0_0")))) == 1


def test_channels_and_names_must_agree():
    with pytest.raises(ValueError, match="argument"):
        contact_sheet(np.zeros((2, 4, 4), np.float32), Selection((0, 1, 2)))
