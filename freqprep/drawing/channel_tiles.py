"""Channels as grey tiles: one alone, and those of an image side by side."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from freqprep.spectrum.channels import Selection

_TILE = 96
_NARROWEST = 44
_CAPTION = 14
_GAP = 4
_COLUMNS = 16
_PERCENTILE = 99.0


def channel_tile(channel: np.ndarray, side: int) -> tuple[Image.Image, float]:
    """Draw one channel in grey: zero is grey, the ends of its range are black and white.

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
        What white stands for, black for its negative: the 99th percentile of the magnitude.
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
        Of the blocks that the image covers.
    selection : Selection
        Of the same C channels.

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
