"""Sample images rebuilt from some channels, and all channels of an image as small tiles."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from freqprep.drawing.channel_tiles import channel_tile
from freqprep.progress import Progress
from freqprep.report.report_data import ReportData
from freqprep.report.sampling import sample_rows
from freqprep.spectrum import BLOCK, COMPONENTS, FREQUENCIES
from freqprep.spectrum.channels import CHANNELS, Selection
from freqprep.spectrum.dct import grid_of
from freqprep.spectrum.fidelity import psnr
from freqprep.store.split import Split

LONG_SIDE = 360
"""Largest side of a picture on the page, pixels."""

_QUALITY = 88
_TILE = 64
_GAP = 4
_FRAME = 3
_BACKGROUND = (128, 128, 128)
_OUTLINE = (255, 140, 0)


@dataclass(frozen=True)
class Reconstruction:
    """One image from some of its channels.

    Attributes
    ----------
    name : str
        Which channels.
    selection : Selection
    pixels : ndarray of uint8, shape (h, w, 3)
    psnr : float
        dB, of 8-bit RGB against the image from all 192; infinite where nothing differs.
    """

    name: str
    selection: Selection
    pixels: np.ndarray
    psnr: float


@dataclass(frozen=True)
class SampleImage:
    """An image of the split.

    Attributes
    ----------
    row : int
    key : str
    reconstructions : tuple of Reconstruction
        Fewest channels first, all 192 last.
    """

    row: int
    key: str
    reconstructions: tuple[Reconstruction, ...]


def sample_images(report: ReportData, split: Split) -> list[SampleImage]:
    """The sample images, each from the selections that the subject shows."""
    rows, shown = sample_rows(split), report.shown()
    found = []
    with Progress("pictures", len(rows) * len(shown), unit="picture") as progress:
        for row in rows:
            reference = split.image(row)
            reconstructions = []
            for name, selection in shown:
                everything = len(selection) == CHANNELS
                pixels = reference if everything else split.image(row, selection)
                reconstructions.append(
                    Reconstruction(name, selection, pixels, _psnr(pixels, reference))
                )
                progress.update(1)
            found.append(SampleImage(row, split.keys[row], tuple(reconstructions)))
    return found


def _psnr(one: np.ndarray, other: np.ndarray) -> float:
    difference = one.astype(np.float64) - other
    return float(psnr((difference**2).sum(), difference.size))


def gallery(split: Split, row: int, chosen: Iterable[int]) -> list[np.ndarray]:
    """All channels of an image: for each component 8x8 tiles, chosen ones in a frame.

    Grey is zero; white and black are plus and minus the 99th percentile of the channel's
    magnitude. Vertical frequency goes down, horizontal across.

    Returns
    -------
    list of ndarray of uint8, shape (height, width, 3)
        Y, Cb, Cr.
    """
    rows, columns = grid_of(*(int(side) for side in split.sizes[row]))
    coefficients = split.read([row])[0, :, :rows, :columns]
    wanted = set(chosen)
    sheets = []
    for component in range(len(COMPONENTS)):
        first = component * FREQUENCIES
        tiles = [
            channel_tile(channel, _TILE)[0] for channel in coefficients[first : first + FREQUENCIES]
        ]
        marked = {k for k in range(FREQUENCIES) if first + k in wanted}
        sheets.append(_sheet(tiles, marked))
    return sheets


def _sheet(tiles: list[Image.Image], marked: set[int]) -> np.ndarray:
    width, height = tiles[0].size
    across, down = width + 2 * _GAP, height + 2 * _GAP
    sheet = Image.new("RGB", (BLOCK * across, BLOCK * down), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    for k, tile in enumerate(tiles):
        v, h = divmod(k, BLOCK)
        x, y = h * across, v * down
        if k in marked:
            box = (x, y, x + across - 1, y + down - 1)
            draw.rectangle(box, outline=_OUTLINE, width=_FRAME)
        sheet.paste(tile, (x + _GAP, y + _GAP))
    return np.asarray(sheet)


def as_jpeg(pixels: np.ndarray, long_side: int = LONG_SIDE) -> tuple[str, int, int]:
    """An image as a ``data:`` address, not larger than a long side; its width and height."""
    picture = Image.fromarray(pixels)
    picture.thumbnail((long_side, long_side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    # Not optimized: Pillow's buffer for that is too small for noise.
    picture.save(buffer, "JPEG", quality=_QUALITY, subsampling=0)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f"data:image/jpeg;base64,{data}", picture.width, picture.height
