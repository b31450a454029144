"""The channels of one image side by side."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from freqprep.spectrum.channels import Selection

_TILE = 96
_CAPTION = 14
_GAP = 4
_COLUMNS = 16
_PERCENTILE = 99.0


def contact_sheet(coefficients: np.ndarray, selection: Selection) -> np.ndarray:
    """Draw each channel as a grey tile with its name and its range.

    Grey is zero; white and black are plus and minus the number below the tile, the 99th
    percentile of the channel's magnitude.

    Parameters
    ----------
    coefficients : ndarray of float32, shape (C, rows, columns)
    selection : Selection
        Of the same C channels.

    Returns
    -------
    ndarray of uint8, shape (height, width)
    """
    columns = min(_COLUMNS, len(selection))
    rows = math.ceil(len(selection) / columns)
    cell_width, cell_height = _TILE + _GAP, _TILE + 2 * _CAPTION + _GAP
    sheet = Image.new("L", (columns * cell_width + _GAP, rows * cell_height + _GAP), 255)
    draw = ImageDraw.Draw(sheet)
    for number, (name, channel) in enumerate(zip(selection.names, coefficients, strict=True)):
        x = _GAP + number % columns * cell_width
        y = _GAP + number // columns * cell_height
        largest = max(float(np.percentile(np.abs(channel), _PERCENTILE)), 1.0)
        grey = np.clip(128 + channel / largest * 127, 0, 255).astype(np.uint8)
        tile = Image.fromarray(grey).resize((_TILE, _TILE), Image.Resampling.NEAREST)
        draw.text((x, y), name, fill=0)
        sheet.paste(tile, (x, y + _CAPTION))
        draw.text((x, y + _CAPTION + _TILE), f"+-{largest:.0f}", fill=96)
    return np.asarray(sheet)
