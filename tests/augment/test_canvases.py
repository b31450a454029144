"""Rectangles, and images of different sizes on one canvas: each is what it is alone."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pixel_side import filled_up, from_blocks, resized, to_blocks

from freqprep.augment.crops import Windows
from freqprep.augment.resample import Resampler
from freqprep.spectrum.channels import Selection, channels

GRID = (6, 9)
ALL = channels("all")
CLOSE = 5e-3  # of coefficients up to some thousands: float32's rounding and nothing else
pytestmark = pytest.mark.usefixtures("form")


def random_codes(seed: int, n: int, read: Selection = ALL) -> np.ndarray:
    """Codes that fall with frequency, as those of photographs do."""
    rng = np.random.default_rng(seed)
    k = np.array(read.indices) % 64
    codes = rng.uniform(-1, 1, (n, len(read), *GRID)) * (100 / (1 + k // 8 + k % 8))[:, None, None]
    return np.rint(codes).astype(np.int8)


def steps_of(read: Selection) -> np.ndarray:
    return np.random.default_rng(5).choice([1, 4, 8], len(read)).astype(np.float32)


def dense(codes, read, windows, flip, canvas, used):
    """In float64: inverse DCT, crop, torch's resize, flip, the edge repeated, DCT."""
    coefficients = np.zeros((len(codes), 192, *GRID))
    coefficients[:, list(read.indices)] = codes * steps_of(read)[:, None, None].astype(float)
    images = [resized(one, windows, i) for i, one in enumerate(from_blocks(coefficients))]
    images = [one[..., ::-1] if f else one for one, f in zip(images, flip, strict=True)]
    out = np.stack([filled_up(one, *canvas) for one in images])
    return out if used is None else to_blocks(out)[:, list(used.indices)]


def windows_of(rng: np.random.Generator, n: int, largest: int) -> Windows:
    """Any box of the stored pixels, resized to any rectangle, of which any part is kept."""
    limits = 8 * np.array(GRID)
    length = rng.integers(1, limits + 1, (n, 2))
    start = rng.integers(0, limits - length + 1)
    new = rng.integers(1, largest + 1, (n, 2))
    kept = rng.integers(1, new + 1)
    return Windows(start, length, new, rng.integers(0, new - kept + 1), kept)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 11),
    largest=st.sampled_from([5, 40, 150]),
    spare=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    read=st.sampled_from(["all", "paper-64", "square-24"]),
    used=st.sampled_from(["square-24", "cr_0_3,y_2_0,y_0_7", None]),
)
def test_each_image_of_a_mixed_batch_equals_its_own_dense_form(seed, n, largest, spare, read, used):
    rng = np.random.default_rng(seed)
    windows, flip = windows_of(rng, n, largest), rng.random(n) < 0.5
    read, used = channels(read), used and channels(used)
    codes = random_codes(seed, n, read)
    height, width = (8 * int(side) for side in -(-windows.kept.max(axis=0) // 8) + spare)
    resample = Resampler(read, steps_of(read), GRID, used)
    found = resample(torch.from_numpy(codes), windows, flip, (height, width)).numpy()
    expected = dense(codes, read, windows, flip, (height, width), used)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < CLOSE


@pytest.mark.parametrize("used", ["paper-6", None])
def test_without_a_canvas_it_is_the_most_that_is_kept(used):
    windows = windows_of(np.random.default_rng(1), 7, 60)
    used = used and channels(used)
    resample = Resampler(ALL, steps_of(ALL), GRID, used)
    codes = torch.from_numpy(random_codes(1, 7))
    most = windows.kept.max(axis=0)
    block = 1 if used is None else 8
    canvas = tuple((-(-most // block) * block).tolist())
    found = resample(codes, windows)
    assert found.shape[2:] == tuple(side // block for side in canvas)
    assert torch.equal(found, resample(codes, windows, canvas=canvas))


def test_a_larger_canvas_changes_nothing_that_was_there():
    windows = windows_of(np.random.default_rng(2), 5, 70)
    used = channels("square-24")
    resample = Resampler(ALL, steps_of(ALL), GRID, used)
    codes = torch.from_numpy(random_codes(2, 5))
    small, large = resample(codes, windows), resample(codes, windows, canvas=(160, 136))
    assert large.shape[2:] == (20, 17)
    rows, columns = small.shape[2:]
    assert (large[:, :, :rows, :columns] - small).abs().max() < CLOSE
    # Beyond, each block repeats the last row or column of pixels: no frequency along that axis.
    along = np.array(used.indices) % 64
    assert (large[:, along // 8 > 0, rows:].abs() < CLOSE).all()
    assert (large[:, along % 8 > 0, :, columns:].abs() < CLOSE).all()


def test_whole_blocks_on_a_larger_canvas_are_not_taken_for_moved_ones():
    size = np.array([[16, 24]])
    windows = Windows(np.zeros_like(size), size, size, np.zeros_like(size), size)
    codes, flip = random_codes(3, 1), np.array([True])
    resample = Resampler(ALL, steps_of(ALL), GRID, channels("square-24"))
    for canvas in ((16, 24), (24, 24), (16, 40)):
        found = resample(torch.from_numpy(codes), windows, flip, canvas).numpy()
        expected = dense(codes, ALL, windows, flip, canvas, channels("square-24"))
        assert np.abs(found - expected).max() < CLOSE
