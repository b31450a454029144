"""Small synthetic pictures, their files, and their decoded pixels."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from freqprep.errors import ImageDefect
from freqprep.images.decode import REASONS, Decoded, decode

HEIGHT, WIDTH = 24, 40
"""Height and width of `picture`."""


def picture() -> np.ndarray:
    """Smooth RGB picture without symmetry."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([6 * x, 10 * y, 255 - 3 * x - 4 * y], axis=-1).clip(0, 255).astype(np.uint8)


def saved(image: Image.Image | np.ndarray, file_format: str = "PNG", **options: Any) -> bytes:
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def pixels(decoded: Decoded) -> np.ndarray:
    """Pixels as Pillow returns them: (h, w, 3), or (h, w) for grey."""
    return decoded.pixels[..., 0] if decoded.pixels.shape[2] == 1 else decoded.pixels


def defect(data: bytes, **options: Any) -> ImageDefect:
    with pytest.raises(ImageDefect) as error:
        decode(data, **options)
    assert error.value.reason in REASONS
    assert error.value.detail
    return error.value


def as_grey(decoded: Decoded) -> np.ndarray:
    """Luma of a decoded image, after a check that it is grey."""
    data = pixels(decoded)
    if decoded.pixels.shape[2] == 3:
        assert (data[..., 1:] == 128).all()
        return data[..., 0]
    assert decoded.pixels.shape[2] == 1
    return data
