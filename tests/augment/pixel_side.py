"""The other side of every comparison: pixels, in float64, by other means than the package's."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.fft import dctn, idctn

from freqprep.augment.crops import Windows
from freqprep.images.decode import decode, place_pixels
from freqprep.images.encoder import Encoder
from freqprep.images.encoding import Encoding
from freqprep.images.geometry import Geometry
from freqprep.spectrum.channels import STORED_POSITION
from freqprep.spectrum.color import ycbcr_to_rgb
from freqprep.spectrum.quantization import PRECISIONS


def from_blocks(coefficients: np.ndarray) -> np.ndarray:
    """(..., 192, rows, columns) -> (..., 3, 8 * rows, 8 * columns): pixels less 128."""
    *some, _, rows, columns = coefficients.shape
    blocks = coefficients.reshape(*some, 3, 8, 8, rows, columns).astype(np.float64)
    pixels = idctn(blocks, axes=(-4, -3), norm="ortho")
    return np.moveaxis(pixels, (-4, -3), (-3, -1)).reshape(*some, 3, 8 * rows, 8 * columns)


def to_blocks(pixels: np.ndarray) -> np.ndarray:
    """The way back of `from_blocks`."""
    *some, _, height, width = pixels.shape
    blocks = pixels.reshape(*some, 3, height // 8, 8, width // 8, 8)
    blocks = np.moveaxis(blocks, (-3, -1), (-4, -3))
    return dctn(blocks, axes=(-4, -3), norm="ortho").reshape(*some, 192, height // 8, width // 8)


def resized(pixels: np.ndarray, windows: Windows, image: int) -> np.ndarray:
    """torch's antialiased bilinear resize of a box of (3, h, w), and the part that is kept."""
    (top, left), (height, width) = windows.start[image], windows.length[image]
    out = torch.from_numpy(pixels[:, top : top + height, left : left + width].copy())[None]
    for side in windows.resized[image].tolist()[::-1]:
        # One axis after the other: torch errs where a single column is made higher.
        size = (out.shape[2], side)
        out = torch.nn.functional.interpolate(out, size, mode="bilinear", antialias=True)
        out = out.transpose(2, 3).contiguous()
    (down, right), (tall, wide) = windows.offset[image], windows.kept[image]
    return out[0, :, down : down + tall, right : right + wide].numpy()


def filled_up(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """The last row and column repeated."""
    beyond = ((0, 0), (0, height - pixels.shape[1]), (0, width - pixels.shape[2]))
    return np.pad(pixels, beyond, mode="edge")


@dataclass(frozen=True)
class Stored:
    """An image as a store has it, and the pixels it was made from.

    ``codes`` are (192, rows, columns) in raster order, ``ycbcr`` (3, height, width) float64.
    """

    codes: np.ndarray
    ycbcr: np.ndarray
    steps: np.ndarray

    @classmethod
    def of(cls, data: bytes, precision: str, size: int) -> "Stored":
        geometry = Geometry("fit", size, None, "apply")
        encoding = Encoding(geometry, PRECISIONS[precision])
        codes = np.zeros((192, *geometry.grid), encoding.dtype)
        Encoder(encoding).encode(data, None, codes)
        decoded = decode(data)
        pixels = place_pixels(decoded, geometry.place(*decoded.size)).astype(np.float64)
        if pixels.shape[2] == 1:
            pixels = np.concatenate([pixels, np.full((*pixels.shape[:2], 2), 128.0)], axis=2)
        return cls(
            codes[list(STORED_POSITION)],
            pixels.transpose(2, 0, 1),
            PRECISIONS[precision].step_table,
        )

    @property
    def size(self) -> tuple[int, int]:
        height, width = self.ycbcr.shape[1:]
        return height, width

    @property
    def rgb(self) -> np.ndarray:
        """(3, height, width), not rounded, not clipped."""
        return ycbcr_to_rgb(self.ycbcr.transpose(1, 2, 0)).transpose(2, 0, 1)
