"""The compiled coder against NumPy's: the same codes and the same sums, to the bit."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from freqprep.compilation import can_compile
from freqprep.errors import ImageDefect
from freqprep.images.decode import decode, place_pixels
from freqprep.images.geometry import Geometry
from freqprep.spectrum.channels import CHANNELS
from freqprep.spectrum.code_sums import ERROR_UNIT, squared_error
from freqprep.spectrum.coding import make_coder
from freqprep.spectrum.dct import dct_matrix, grid_of
from freqprep.spectrum.numpy_coding import NumpyCoder
from freqprep.spectrum.quantization import LARGEST_STEP, PRECISIONS, SMALLEST_STEP, Precision

pytestmark = pytest.mark.skipif(not can_compile(), reason="Numba is not installed")

SMALLEST = Precision("smallest", "int8", (SMALLEST_STEP,) * CHANNELS)
OWN = {
    "smallest": SMALLEST,
    "smallest-16": Precision("smallest-16", "int16", SMALLEST.steps),
    "largest": Precision("largest", "int8", (LARGEST_STEP,) * CHANNELS),
    "mixed": Precision("mixed", "int8", tuple(2.0 ** (k % 15 - 4) for k in range(CHANNELS))),
}
ALL = {**PRECISIONS, **OWN}
FIT, CROP = Geometry("fit", 512, None, "apply"), Geometry("crop", 224, 256, "apply")
# Files of each data set; the largest are sampled.
EVERY = {"imagenet": 2, "imagenette": 30, "flowers17": 14, "coco": 2, "bccd": 3}


def assert_same(
    precision: Precision, pixels: np.ndarray, grid: tuple[int, int] | None = None
) -> None:
    grid = grid or grid_of(*pixels.shape[:2])
    found = []
    for compiled in (False, True):
        coder = make_coder(precision, compiled)
        shard = np.full((CHANNELS, 3, *grid), 77, precision.dtype)
        sums = coder.encode(pixels, shard[:, 1])
        assert (shard[:, ::2] == 77).all()
        found.append((shard[:, 1], sums))
    (codes, sums), (other_codes, other) = found
    np.testing.assert_array_equal(codes, other_codes)
    np.testing.assert_array_equal(sums.moments.total, other.moments.total)
    np.testing.assert_array_equal(sums.moments.total_squares, other.moments.total_squares)
    assert sums.moments.count == other.moments.count
    assert sums.saturated == other.saturated
    assert sums.luma_squared_error == other.luma_squared_error


def checkerboard(period: int) -> np.ndarray:
    y, x = np.mgrid[:83, :101] // period
    return np.repeat(((x + y) % 2 * 255).astype(np.uint8)[..., None], 3, axis=2)


EXTREMES = {
    "black": np.zeros((40, 24, 3), np.uint8),
    "white": np.full((9, 700, 3), 255, np.uint8),
    **{f"checkerboard {period}": checkerboard(period) for period in (1, 2, 4, 8)},
    "sign of a basis function": np.where(dct_matrix() > 0, 255, 0)
    .astype(np.uint8)
    .reshape(64, 8, 8, 1)
    .transpose(1, 0, 2, 3)
    .reshape(8, 512, 1),
}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("pixels", EXTREMES.values(), ids=EXTREMES)
def test_extremes_are_coded_alike(name, pixels):
    assert_same(ALL[name], pixels)


def test_clipped_codes_are_among_the_extremes():
    out = np.zeros((CHANNELS, 1, 64), np.int8)
    coder = NumpyCoder(PRECISIONS["int8"])
    assert coder.encode(EXTREMES["sign of a basis function"], out).saturated


@settings(max_examples=60)
@given(
    shape=st.tuples(st.integers(1, 90), st.integers(1, 90), st.sampled_from([1, 3])),
    more=st.tuples(st.integers(0, 3), st.integers(0, 70)),
    name=st.sampled_from(list(ALL)),
    turned=st.integers(0, 7),
    smooth=st.booleans(),
    data=st.data(),
)
def test_any_pixels_are_coded_alike(shape, more, name, turned, smooth, data):
    noise = data.draw(arrays(np.uint8, shape)) if not smooth else None
    y, x, c = np.mgrid[: shape[0], : shape[1], : shape[2]]
    waves = (128 + 127 * np.sin(y / 7 + x / (5 + c))).astype(np.uint8)
    pixels = waves if noise is None else noise
    pixels = pixels.swapaxes(0, 1) if turned & 4 else pixels
    pixels = pixels[:: -1 if turned & 2 else 1, :: -1 if turned & 1 else 1]
    rows, columns = grid_of(*pixels.shape[:2])
    assert_same(ALL[name], pixels, (rows + more[0], columns + more[1]))


@settings(max_examples=20)
@given(
    steps=st.lists(st.integers(-4, 10), min_size=CHANNELS, max_size=CHANNELS),
    codes=st.sampled_from(["int8", "int16"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_steps_give_the_same_codes(steps, codes, seed):
    precision = Precision("any", codes, tuple(2.0**step for step in steps))
    pixels = np.random.default_rng(seed).integers(0, 256, (33, 70, 3), np.uint8)
    assert_same(precision, pixels)


def test_a_buffer_of_any_strides_is_filled():
    pixels = EXTREMES["checkerboard 2"]
    coder = make_coder(PRECISIONS["int8"], compiled=True)
    plain = np.full((CHANNELS, 12, 16), 77, np.int8)
    strided = np.zeros((16, 24, 2 * CHANNELS), np.int8).transpose(2, 1, 0)[::-2, ::2]
    coder.encode(pixels, plain)
    coder.encode(pixels, strided)
    np.testing.assert_array_equal(strided, plain)


def test_a_large_image_is_coded_alike():
    """Sums of int8 codes outgrow the runs that are added in 32 bits."""
    assert_same(PRECISIONS["int8"], np.full((1100, 1000, 1), 255, np.uint8))
    assert_same(PRECISIONS["int16"], np.zeros((1100, 1000, 1), np.uint8))


@pytest.mark.parametrize("folder", EVERY)
def test_real_images_are_coded_alike(data: Path, folder):
    """All precisions in turn, and both geometries."""
    files = [path for path in sorted((data / folder).rglob("*")) if path.suffix != ".json"]
    images = [path for path in files if path.is_file()][:: EVERY[folder]]
    precisions = list(PRECISIONS.values())
    compared = 0
    for number, path in enumerate(images):
        try:
            decoded = decode(path.read_bytes())
        except ImageDefect:
            continue
        geometry = CROP if number % 3 == 2 else FIT
        pixels = place_pixels(decoded, geometry.place(*decoded.size))
        assert_same(precisions[number % len(precisions)], pixels, geometry.grid)
        compared += 1
    assert compared > 50


def test_every_entry_of_the_matrix_is_one_of_the_first_column_with_a_sign():
    """Folding twice is exact because of this."""
    matrix = dct_matrix().reshape(8, 8, 8, 8)
    factors = matrix[:, :, 0, 0]
    kinds = np.array(
        [[abs(f) for f in line] for line in _SIGNED_FREQUENCIES]
    )  # which factor stands in column y of frequency v
    signs = np.sign(np.array(_SIGNED_FREQUENCIES) + 0.5)
    expected = factors[kinds[:, None, :, None], kinds[None, :, None, :]]
    np.testing.assert_array_equal(
        matrix, expected * signs[:, None, :, None] * signs[None, :, None, :]
    )


_EVEN = {0: (0, 0, 0, 0), 2: (2, 6, -6, -2), 4: (4, -4, -4, 4), 6: (6, -2, 2, -6)}
_ODD = {1: (1, 3, 5, 7), 3: (3, -7, -1, -5), 5: (5, -1, 7, 3), 7: (7, -5, 3, -1)}
_SIGNED_FREQUENCIES = [
    (*_EVEN[v], *_EVEN[v][::-1]) if v % 2 == 0 else (*_ODD[v], *(-f for f in _ODD[v][::-1]))
    for v in range(8)
]


@given(arrays(np.uint32, (6, 64)), st.integers(1, 6))
def test_the_squared_error_does_not_depend_on_the_runs(sums, parts):
    steps = 2.0 ** (np.arange(64) % 5)
    exact = sum(
        int(total) * int(step) ** 2
        for total, step in zip(sums.astype(object).sum(axis=0), steps, strict=True)
    )
    split = np.array_split(sums.astype(np.float64), parts)
    found = squared_error(np.stack([part.sum(axis=0) for part in split]), steps)
    assert found == exact * ERROR_UNIT**2
