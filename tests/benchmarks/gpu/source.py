"""A store to train from: of real images where they are, otherwise of random ones like them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from freqprep.convert.request import Request
from freqprep.convert.run import convert
from tests.benchmarks.replicas import replicate

_HEIGHT, _WIDTH = 375, 500  # the most frequent size in ImageNet
_CONTRAST = 55  # grey levels
_CLASSES = 10


def make_store(data: Path, folder: Path, images: int, copies: int) -> tuple[Path, str]:
    """Convert ImageNet's files, each ``copies`` times, and say what they are.

    Without them, ``images`` random pictures take their place.
    """
    source, target = folder / "source", folder / "s.zarr"
    if (data / "imagenet").is_dir():
        replicate(data / "imagenet", source, copies)
        what = "ImageNet's"
    else:
        replicate(random_photographs(folder / "random", images), source, copies)
        what = "random"
    convert(Request("imagefolder", source, target))
    return target, what


def random_photographs(folder: Path, images: int) -> Path:
    """Write JPEGs with the spectrum of photographs: amplitudes fall as 1 / frequency."""
    rows, columns = np.fft.fftfreq(_HEIGHT)[:, None], np.fft.rfftfreq(_WIDTH)[None]
    amplitude = 1 / np.hypot(np.hypot(rows, columns), 1 / _WIDTH)
    for number in range(images):
        noise = np.random.default_rng(number).standard_normal((3, _HEIGHT, _WIDTH))
        plane = np.fft.irfft2(amplitude * np.fft.rfft2(noise), (_HEIGHT, _WIDTH))
        plane *= _CONTRAST / plane.std(axis=(1, 2), keepdims=True)
        colour = plane[:1] + plane / 4  # mostly grey, as photographs are
        pixels = np.clip(128 + colour, 0, 255).astype(np.uint8).transpose(1, 2, 0)
        path = folder / "train" / f"{number % _CLASSES}" / f"{number}.JPEG"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, quality=92)
    return folder
