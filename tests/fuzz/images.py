"""Mutants of image files; what is accepted is compared with OpenCV's decoder."""

from __future__ import annotations

import contextlib
import io
import os
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import synthetic
from fuzz import sealed
from fuzz.campaign import NASTY
from fuzz.mutation import mutant
from PIL import Image

from freqprep.errors import ImageDefect
from freqprep.images.decode import decode

MOST_BYTES = 200_000
TOLERANCE = 3.0
"""Grey levels, the mean over an image: of a colour conversion and of upsampling."""


def seeds() -> list[bytes]:
    """Made files of each format, and the hostile ones beside the project where they are."""
    picture, grey = synthetic.pixels(1, 40, 56), synthetic.pixels(2, 33, 21)[..., 0]
    jpeg = [{}, {"progressive": True}, {"subsampling": 0}, {"optimize": True, "quality": 30}]
    tiff = (None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd")
    made = [synthetic.encoded(picture, "JPEG", **options) for options in jpeg]
    made += [synthetic.encoded(image, form) for image in (picture, grey) for form in _FORMS]
    made += [synthetic.encoded(picture, "WEBP", lossless=True)]
    made += [synthetic.encoded(picture, "TIFF", compression=how) for how in tiff]
    fax = io.BytesIO()
    Image.fromarray(grey > 100).save(fax, "TIFF", compression="group4")
    there = sorted(NASTY.rglob("*")) if NASTY.is_dir() else []
    nasty = [path.read_bytes() for path in there if path.is_file()]
    return [*made, fax.getvalue(), *(data for data in nasty if len(data) < MOST_BYTES)]


_FORMS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")


def run(files: list[bytes], chance: random.Random, _folder: Path) -> str:
    """Decode a mutant; return what became of it."""
    file = chance.choice(files)
    data = sealed.png(file, chance) if file.startswith(sealed.PNG) else mutant(file, chance)
    try:
        decoded = decode(data, "keep")
    except ImageDefect as defect:
        return f"rejected: {defect.reason}"
    return compare(data, decoded.rgb())


def compare(data: bytes, ours: np.ndarray) -> str:
    """Compare pixels with OpenCV's of the same file; raise AssertionError if they differ."""
    try:
        import cv2
    except ImportError:
        return "accepted"
    file = np.frombuffer(data, np.uint8)
    plain = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    with _stderr_aside():  # its libraries print
        try:
            stored, theirs = (cv2.imdecode(file, how) for how in (cv2.IMREAD_UNCHANGED, plain))
        except cv2.error:  # its own limits
            stored = theirs = None
    if stored is None or theirs is None:
        return "accepted, not by OpenCV"
    if stored.dtype != np.uint8 or (stored.ndim == 3 and stored.shape[2] == 4):
        return "accepted, with alpha or 16 bits"
    theirs = theirs[..., ::-1]
    assert theirs.shape == ours.shape, f"{ours.shape} pixels, of OpenCV {theirs.shape}"
    off = float(np.abs(theirs.astype(int) - ours).mean())
    assert off <= TOLERANCE, "pixels differ from OpenCV's"
    return "accepted, as by OpenCV"


@contextlib.contextmanager
def _stderr_aside() -> Iterator[None]:
    before, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
        os.close(null)
