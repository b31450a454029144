"""Crops from stored codes against torchvision on the pixels that were stored."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pixel_side import Stored, from_blocks, resized
from synthetic import encoded

from freqprep.augment.color_transforms import to_rgb
from freqprep.augment.crops import (
    CROP_DRAWS,
    Windows,
    random_resized_crop,
    resized_center_crop,
)
from freqprep.augment.randomness import uniforms
from freqprep.augment.resample import Resampler
from freqprep.models.torchvision_ops import import_torchvision
from freqprep.spectrum.channels import channels
from freqprep.spectrum.color import TO_RGB

import_torchvision()
from torchvision.transforms.v2 import functional  # noqa: E402

LIMITS = {"int16": 0.5, "int8": 1.5}  # grey levels
CROPS_EACH = 3
pytestmark = pytest.mark.usefixtures("form")


def from_codes(images: list[Stored], windows: Windows, side: int) -> np.ndarray:
    """RGB in 0..255, not rounded."""
    codes = np.stack([image.codes for image in images])
    resample = Resampler(channels("all"), images[0].steps, codes.shape[2:], None)
    return to_rgb(resample(torch.from_numpy(codes), windows)).clamp(0, 255).numpy()


def by_torchvision(images: list[Stored], windows: Windows, side: int) -> np.ndarray:
    out = []
    for image, start, length, size in zip(
        images, windows.start, windows.length, windows.resized, strict=True
    ):
        rgb = torch.from_numpy(image.rgb.astype(np.float32))
        box = functional.crop(rgb, *start.tolist(), *length.tolist())
        whole = functional.resize(box, size.tolist(), antialias=True)
        out.append(functional.center_crop(whole, [side, side]).clamp(0, 255).numpy())
    return np.stack(out)


def error(images: list[Stored], windows: Windows, side: int) -> float:
    """Pooled RMS in grey levels."""
    difference = from_codes(images, windows, side) - by_torchvision(images, windows, side)
    return float(np.sqrt(np.square(difference, dtype=np.float64).mean()))


def random_error(images: list[Stored], side: int) -> float:
    images = [image for image in images for _ in range(CROPS_EACH)]
    sizes = np.array([image.size for image in images])
    draws = uniforms(0, 0, np.arange(len(images)), CROP_DRAWS)
    return error(images, random_resized_crop(sizes, side, draws), side)


def grey_noise(seed: int) -> np.ndarray:
    """Smooth colours under white noise: every luma code is rounded, as in no photograph."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(40, 216, (3, 3, 3), dtype=np.uint8))
    size = (90 - 3 * seed, 70 + seed)
    smooth = np.asarray(small.resize(size, Image.Resampling.BILINEAR), np.int16)
    return (smooth + rng.integers(-30, 31, (*smooth.shape[:2], 1))).astype(np.uint8)


@pytest.fixture(scope="module", params=LIMITS)
def synthetic_images(request) -> tuple[str, list[Stored]]:
    files = [encoded(grey_noise(seed), "PNG") for seed in range(8)]
    return request.param, [Stored.of(data, request.param, 96) for data in files]


@pytest.fixture(scope="module", params=LIMITS)
def real_images(request, data: Path) -> tuple[str, list[Stored]]:
    files = sorted((data / "imagenet/train").rglob("*.JPEG"))[::25]
    return request.param, [Stored.of(path.read_bytes(), request.param, 512) for path in files]


@pytest.mark.parametrize("side", [48, 96, 150])
def test_random_resized_crops_of_synthetic_images(synthetic_images, side):
    precision, images = synthetic_images
    assert random_error(images, side) < LIMITS[precision]


@pytest.mark.parametrize("side", [224, 448])
def test_random_resized_crops_of_real_images(real_images, side):
    precision, images = real_images
    assert random_error(images, side) < LIMITS[precision]


def test_the_evaluation_crop_of_real_images(real_images):
    precision, images = real_images
    sizes = np.array([image.size for image in images])
    assert error(images, resized_center_crop(sizes, 256, 224), 224) < LIMITS[precision]


def test_the_error_is_that_of_the_codes_alone(synthetic_images):
    # The same crop of the pixels that the codes stand for: float32's rounding is left.
    _, images = synthetic_images
    sizes = np.array([image.size for image in images])
    windows = random_resized_crop(sizes, 64, uniforms(1, 0, np.arange(len(images)), CROP_DRAWS))
    found = from_codes(images, windows, 64)
    for number, image in enumerate(images):
        kept = from_blocks(image.codes * image.steps[:, None, None])
        ycbcr = resized(kept, windows, number)
        rgb = np.clip(np.einsum("ij,jhw->ihw", TO_RGB, ycbcr) + 128, 0, 255)
        assert np.abs(found[number] - rgb).max() < 1e-3
