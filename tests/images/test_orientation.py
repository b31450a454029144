"""EXIF orientation: applied, kept, or chosen by the size that an annotation states."""

from typing import Any

import numpy as np
import pytest
from pictures import as_grey, defect, picture, pixels, saved
from PIL import Image

from freqprep.images.decode import decode
from freqprep.spectrum.color import rgb_to_ycbcr

ORIENTATION = 0x0112


def turned(upright: np.ndarray, orientation: int) -> np.ndarray:
    """The stored pixels whose EXIF orientation makes them upright."""
    return {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]


def oriented(stored: np.ndarray, orientation: int, file_format: str, **options: Any) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return saved(np.ascontiguousarray(stored), file_format, exif=exif, **options)


CARRIERS = [
    ("PNG", {}),
    ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
    ("WEBP", {"lossless": True}),
    ("JPEG", {"quality": 100, "subsampling": 0}),
    ("JPEG", {"quality": 100, "progressive": True}),
]


def flat_blocks() -> np.ndarray:
    """Grey, one value in each 8x8 block: lossless even as a JPEG."""
    values = np.arange(15, dtype=np.uint8).reshape(3, 5) * 16 + 8
    return np.kron(values, np.ones((8, 8), np.uint8))


@pytest.mark.parametrize(("file_format", "options"), CARRIERS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_eight_orientations_give_one_upright_picture(file_format, options, orientation):
    upright = flat_blocks()
    stored = turned(upright, orientation)
    data = oriented(np.dstack([stored] * 3), orientation, file_format, **options)
    decoded = decode(data, "apply")
    assert decoded.orientation == orientation
    np.testing.assert_array_equal(as_grey(decoded), upright)
    kept = decode(data, "keep")
    assert kept.orientation == 1
    np.testing.assert_array_equal(as_grey(kept), stored)


@pytest.mark.parametrize(("file_format", "options"), CARRIERS)
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("asked", ["apply", "keep"])
def test_a_stated_size_decides_the_orientation(file_format, options, orientation, asked):
    upright = flat_blocks()
    stored = turned(upright, orientation)
    data = oriented(stored, orientation, file_format, **options)
    as_stored = decode(data, asked, stored.shape)
    assert as_stored.orientation == 1
    np.testing.assert_array_equal(as_grey(as_stored), stored)
    if upright.shape != stored.shape:
        as_shown = decode(data, asked, upright.shape)
        assert as_shown.orientation == orientation
        np.testing.assert_array_equal(as_grey(as_shown), upright)
    neither = defect(data, orientation=asked, stated_size=(24, 41))
    assert neither.reason == "size_mismatch"
    assert "41 x 24" in neither.detail


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_changes_nothing(orientation):
    decoded = decode(oriented(picture(), orientation, "PNG"))
    assert decoded.orientation == 1
    np.testing.assert_array_equal(pixels(decoded), rgb_to_ycbcr(picture()))


def test_a_broken_exif_block_changes_nothing():
    for exif in (b"Exif\0\0", b"Exif\0\0MM\0\x2a\xff\xff\xff\xff", b"Exif\0\0garbage"):
        assert decode(saved(picture(), "JPEG", exif=exif)).orientation == 1
