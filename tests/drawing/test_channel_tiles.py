"""The contact sheet: one tile a channel, grey where the channel is zero."""

from itertools import pairwise

import numpy as np
import pytest

from freqprep.drawing.channel_tiles import channel_tile, contact_sheet
from freqprep.spectrum.channels import Selection, channels

TILE = 96


def tiles_of(sheet: np.ndarray, height: int = TILE, width: int = TILE) -> list[tuple[int, int]]:
    """Corners of the tiles that are grey all over, row by row."""
    sums = np.zeros((sheet.shape[0] + 1, sheet.shape[1] + 1), np.int64)
    sums[1:, 1:] = (sheet == 128).cumsum(axis=0).cumsum(axis=1)
    above, below = sums[:-height], sums[height:]
    inside = below[:, width:] - above[:, width:] - below[:, :-width] + above[:, :-width]
    found = np.nonzero(inside == height * width)
    return [(int(y), int(x)) for y, x in zip(*found, strict=True)]


@pytest.mark.parametrize("name", ["y_0_0", "paper-6", "square-24", "paper-64", "all"])
def test_there_is_one_tile_for_each_channel(name):
    selection = channels(name)
    sheet = contact_sheet(np.zeros((len(selection), 6, 6), np.float32), selection)
    assert sheet.dtype == np.uint8 and sheet.ndim == 2
    corners = tiles_of(sheet)
    assert len(corners) == len(selection)
    for (y, x), (lower, right) in pairwise(corners):
        assert lower >= y + TILE or (lower == y and right >= x + TILE)
    assert sheet.min() < 50  # the names


@pytest.mark.parametrize(
    ("blocks", "tile"), [((38, 57), (64, 96)), ((57, 38), (96, 64)), ((1, 96), (1, 96))]
)
def test_a_tile_has_the_shape_of_the_image(blocks, tile):
    selection = channels("square-24")
    sheet = contact_sheet(np.zeros((24, *blocks), np.float32), selection)
    assert len(tiles_of(sheet, *tile)) == 24
    assert not tiles_of(sheet, tile[0] + 1, tile[1]) and not tiles_of(sheet, tile[0], tile[1] + 1)


def test_the_names_of_a_narrow_image_do_not_run_into_one_another():
    wide = contact_sheet(np.zeros((2, 96, 96), np.float32), channels(["cb_7_7", "cr_7_7"]))
    narrow = contact_sheet(np.zeros((2, 96, 1), np.float32), channels(["cb_7_7", "cr_7_7"]))
    assert (narrow[:17] < 128).sum() == (wide[:17] < 128).sum() > 20


@pytest.mark.parametrize("grid", [(2, 2), (64, 64), (300, 200)])
def test_a_tile_is_as_large_as_asked_for(grid):
    ramp = np.linspace(-5, 5, grid[0] * grid[1], dtype=np.float32).reshape(grid)
    tile, largest = channel_tile(ramp, 64)
    assert tile.size == (round(64 * grid[1] / max(grid)), 64)
    assert largest == np.float32(np.percentile(abs(ramp), 99))


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
