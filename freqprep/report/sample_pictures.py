"""Sample images reconstructed from some channels, and all channels of an image as tiles."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from freqprep.drawing.channel_tiles import frequency_grid
from freqprep.progress import Progress
from freqprep.report.report_data import ReportData
from freqprep.report.sampling import sample_rows
from freqprep.spectrum import FREQUENCIES
from freqprep.spectrum.channels import CHANNELS, Selection
from freqprep.spectrum.dct import grid_of
from freqprep.spectrum.fidelity import psnr
from freqprep.store.split import Split

LONG_SIDE = 360
"""Long side of a picture on the page, pixels."""

_QUALITY = 88


@dataclass(frozen=True)
class Reconstruction:
    """Image reconstructed from some of its channels.

    Attributes
    ----------
    name : str
        Description of the selection.
    selection : Selection
    pixels : ndarray of uint8, shape (h, w, 3)
    psnr : float
        PSNR in 8-bit RGB against the image from all channels stored, dB; may be infinite.
    """

    name: str
    selection: Selection
    pixels: np.ndarray
    psnr: float


@dataclass(frozen=True)
class SampleImage:
    """Image of the split, reconstructed from several selections.

    Attributes
    ----------
    row : int
    key : str
    reconstructions : tuple of Reconstruction
        Reconstructions, fewest channels first, all that are stored last.
    """

    row: int
    key: str
    reconstructions: tuple[Reconstruction, ...]


def sample_images(report: ReportData, split: Split) -> list[SampleImage]:
    """Reconstruct the sample images, each from the selections of `ReportData.shown`."""
    rows, shown = sample_rows(split), report.shown()
    images = []
    with Progress("pictures", len(rows) * len(shown), unit="picture") as progress:
        for row in rows:
            reference = split.image(row)
            reconstructions = []
            for name, selection in shown:
                everything = len(selection) == report.stored
                pixels = reference if everything else split.image(row, selection)
                reconstructions.append(
                    Reconstruction(name, selection, pixels, _psnr(pixels, reference))
                )
                progress.update(1)
            images.append(SampleImage(row, split.keys[row], tuple(reconstructions)))
    return images


def _psnr(one: np.ndarray, other: np.ndarray) -> float:
    difference = one.astype(np.float64) - other
    return float(psnr((difference**2).sum(), difference.size))


def gallery(split: Split, row: int, chosen: Iterable[int]) -> list[np.ndarray]:
    """Draw all channels of an image, the chosen ones framed; those not stored are grey.

    Returns
    -------
    list of ndarray of uint8, shape (height, width, 3)
        Y, Cb, Cr.
    """
    rows, columns = grid_of(*(int(side) for side in split.sizes[row]))
    coefficients = np.zeros((CHANNELS, rows, columns), np.float32)
    stored = np.sort(split.attributes.channels)
    coefficients[stored] = split.read([row])[0, :, :rows, :columns]
    framed = set(chosen)
    return [
        frequency_grid(
            coefficients[first : first + FREQUENCIES],
            {index - first for index in framed if first <= index < first + FREQUENCIES},
        )
        for first in range(0, CHANNELS, FREQUENCIES)
    ]


def as_jpeg(pixels: np.ndarray, long_side: int = LONG_SIDE) -> tuple[str, int, int]:
    """Encode an image as a ``data:`` URL; return it with its width and height.

    Images whose long side is larger are shrunk.
    """
    picture = Image.fromarray(pixels)
    picture.thumbnail((long_side, long_side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    # Not optimized: Pillow's buffer for that is too small for noise.
    picture.save(buffer, "JPEG", quality=_QUALITY, subsampling=0)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f"data:image/jpeg;base64,{data}", picture.width, picture.height
