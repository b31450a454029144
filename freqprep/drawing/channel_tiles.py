"""Channels as grey tiles: a single tile, a contact sheet, and a grid by frequency."""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np
from PIL import Image, ImageDraw

from freqprep.spectrum import BLOCK
from freqprep.spectrum.channels import Selection

_TILE = 96
_NARROWEST = 44
_CAPTION = 14
_GAP = 4
_COLUMNS = 16
_PERCENTILE = 99.0

_GRID_TILE = 64
_FRAME = 3
_GREY = (128, 128, 128)
_FRAME_COLOUR = (255, 140, 0)


def channel_tile(channel: np.ndarray, side: int) -> tuple[Image.Image, float]:
    """Draw one channel in grey: zero is mid-grey, the ends of its range are black and white.

    Parameters
    ----------
    channel : ndarray of float32, shape (rows, columns)
        Coefficients of the blocks to show.
    side : int
        Longer side of the tile, pixels; the shorter one follows the blocks.

    Returns
    -------
    tile : Image
    largest : float
        Value of white, and of black with a minus: the 99th percentile of the magnitude.
    """
    largest = max(float(np.percentile(np.abs(channel), _PERCENTILE)), 1.0)
    grey = np.clip(128 + channel / largest * 127, 0, 255).astype(np.uint8)
    height, width = grey.shape
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    how = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BOX
    return Image.fromarray(grey).resize(size, how), largest


def contact_sheet(coefficients: np.ndarray, selection: Selection) -> np.ndarray:
    """Draw each channel as a `channel_tile` with its name above and its range below.

    Parameters
    ----------
    coefficients : ndarray of float32, shape (C, rows, columns)
        Coefficients of the blocks that the image covers.
    selection : Selection
        The same C channels.

    Returns
    -------
    ndarray of uint8, shape (height, width)
    """
    drawn = [channel_tile(channel, _TILE) for channel in coefficients]
    width, height = drawn[0][0].size
    columns = min(_COLUMNS, len(selection))
    rows = math.ceil(len(selection) / columns)
    cell_width, cell_height = max(width, _NARROWEST) + _GAP, height + 2 * _CAPTION + _GAP
    sheet = Image.new("L", (columns * cell_width + _GAP, rows * cell_height + _GAP), 255)
    draw = ImageDraw.Draw(sheet)
    for number, (name, (tile, largest)) in enumerate(zip(selection.names, drawn, strict=True)):
        x = _GAP + number % columns * cell_width
        y = _GAP + number // columns * cell_height
        draw.text((x, y), name, fill=0)
        sheet.paste(tile, (x, y + _CAPTION))
        draw.text((x, y + _CAPTION + height), f"+-{largest:.0f}", fill=96)
    return np.asarray(sheet)


def frequency_grid(coefficients: np.ndarray, framed: Collection[int]) -> np.ndarray:
    """Draw the 64 channels of one component as 8x8 tiles, some of them in a frame.

    Vertical frequency goes down, horizontal across.

    Parameters
    ----------
    coefficients : ndarray of float32, shape (64, rows, columns)
        Coefficients of the blocks that the image covers, raster order.
    framed : collection of int
        Frequencies to frame, raster indices 0..63.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
    """
    tiles = [channel_tile(channel, _GRID_TILE)[0] for channel in coefficients]
    width, height = tiles[0].size
    across, down = width + 2 * _GAP, height + 2 * _GAP
    sheet = Image.new("RGB", (BLOCK * across, BLOCK * down), _GREY)
    draw = ImageDraw.Draw(sheet)
    for k, tile in enumerate(tiles):
        v, h = divmod(k, BLOCK)
        x, y = h * across, v * down
        if k in framed:
            box = (x, y, x + across - 1, y + down - 1)
            draw.rectangle(box, outline=_FRAME_COLOUR, width=_FRAME)
        sheet.paste(tile, (x + _GAP, y + _GAP))
    return np.asarray(sheet)
