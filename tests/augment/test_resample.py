"""Crop, resize and flip on coefficients equal the same on pixels, transformed back."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pixel_side import from_blocks, resized, to_blocks

from freqprep.augment.axis import Axis, Tiling
from freqprep.augment.crops import (
    CROP_DRAWS,
    Windows,
    aligned_crop,
    random_resized_crop,
)
from freqprep.augment.randomness import uniforms
from freqprep.augment.resample import Resampler
from freqprep.errors import UsageError
from freqprep.spectrum.channels import Selection, channels
from freqprep.spectrum.resizing import resize_matrix

GRID = (9, 12)
ALL = channels("all")
CLOSE = 1e-3  # of coefficients up to 500: float32's rounding and nothing else
pytestmark = pytest.mark.usefixtures("form")


def random_codes(seed: int, n: int, read: Selection = ALL, grid=GRID) -> np.ndarray:
    """Codes that fall with frequency, as those of photographs do."""
    rng = np.random.default_rng(seed)
    k = np.array(read.indices) % 64
    largest = 100 / (1 + k // 8 + k % 8)
    codes = rng.uniform(-1, 1, (n, len(read), *grid)) * largest[:, None, None]
    return np.rint(codes).astype(np.int8)


def crops(seed: int, n: int, side: int, grid=GRID, scale=(0.08, 1.0)) -> tuple[Windows, np.ndarray]:
    """Boxes in images of random valid sizes; every other one is mirrored."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 8 * np.array(grid) + 1, (n, 2))
    draws = uniforms(seed, 0, np.arange(n), CROP_DRAWS)
    return random_resized_crop(sizes, side, draws, scale), np.arange(n) % 2 == 1


def on_pixels(codes, steps, read, windows, flip, side, used):
    """Dense, in float64: inverse DCT, crop, torch's resize, flip, DCT."""
    coefficients = np.zeros((len(codes), 192, *codes.shape[2:]))
    coefficients[:, list(read.indices)] = codes * steps[:, None, None].astype(float)
    pixels = from_blocks(coefficients)
    out = np.stack([resized(p, windows, i) for i, p in enumerate(pixels)])
    out[flip] = out[flip, ..., ::-1]
    return out if used is None else to_blocks(out)[:, list(used.indices)]


def largest_difference(read, used, side, codes, windows, flip):
    steps = np.random.default_rng(5).choice([1, 4, 8], len(read)).astype(np.float32)
    resample = Resampler(read, steps, codes.shape[2:], used)
    found = resample(torch.from_numpy(codes), windows, flip).numpy()
    expected = on_pixels(codes, steps, read, windows, flip, side, used)
    assert found.shape == expected.shape and found.dtype == np.float32
    return np.abs(found - expected).max()


@pytest.mark.parametrize("side", [8, 24, 72, 200])
@pytest.mark.parametrize(
    ("read", "used"),
    [
        ("all", "all"),
        ("all", "square-24"),
        ("paper-64", "learned-24"),
        ("square-24", "square-24"),
        ("cr_0_3,y_2_0,y_0_7", "y_1_1,cr_7_0,y_0_0"),
        ("y_0_0,y_3_1", "y_0_1"),
        ("cb_0_0", "y_0_0,cb_0_0"),
    ],
)
def test_coefficients_equal_the_dense_form(side, read, used):
    read, used = channels(read), channels(used)
    windows, flip = crops(side, 11, side)
    codes = random_codes(side, 11, read)
    assert largest_difference(read, used, side, codes, windows, flip) < CLOSE


@pytest.mark.parametrize("side", [1, 7, 30, 65, 136])
@pytest.mark.parametrize("read", ["all", "square-24", "y_0_0"])
def test_pixels_equal_the_dense_form_at_any_side(side, read):
    windows, flip = crops(side, 9, side)
    codes = random_codes(side, 9, channels(read))
    assert largest_difference(channels(read), None, side, codes, windows, flip) < CLOSE


@settings(max_examples=60)
@given(st.data())
def test_any_box_resized_and_cut_in_any_way(data):
    def axis(limit):
        length = data.draw(st.integers(1, limit))
        new = data.draw(st.integers(side, 4 * side))
        return (
            data.draw(st.integers(0, limit - length)),
            length,
            new,
            data.draw(st.integers(0, new - side)),
            side,
        )

    side = 8 * data.draw(st.integers(1, 4))
    pairs = zip(axis(8 * GRID[0]), axis(8 * GRID[1]), strict=True)
    windows = Windows(*(np.array([pair]) for pair in pairs))
    flip = np.array([data.draw(st.booleans())])
    codes = random_codes(data.draw(st.integers(0, 99)), 1)
    used = channels("square-24") if data.draw(st.booleans()) else None
    assert largest_difference(ALL, used, side, codes, windows, flip) < CLOSE


@given(st.integers(1, 600), st.integers(1, 200), st.integers(0, 99), st.booleans())
def test_weights_are_those_of_resizing(length, side, start, mirrored):
    windows = Windows(*(np.full((1, 2), n) for n in (start, length, side, 0, side)))
    grid, tiling = 90, Tiling.of(side)
    axis = Axis.of(windows, 0, np.array([mirrored]), tiling, grid)
    weights = axis.weights()[0].numpy()
    found = np.zeros((tiling.tiles, weights.shape[1], 8 * grid))
    for tile, first in enumerate(axis.first[0]):
        found[tile, :, 8 * first : 8 * first + weights.shape[2]] = weights[tile]
    found = found.reshape(-1, 8 * grid)[:side]
    expected = np.zeros((side, 8 * grid))
    expected[:, start : start + length] = resize_matrix(length, side)
    np.testing.assert_allclose(found, expected[::-1] if mirrored else expected, atol=1e-5)


def test_what_lies_beyond_the_valid_pixels_has_no_say():
    # Fine steps, so that a block whose padding alone was changed keeps its valid pixels.
    rng = np.random.default_rng(0)
    pixels = rng.uniform(-100, 100, (1, 3, 72, 96))
    changed = pixels.copy()
    changed[:, :, 43:] += 60
    changed[:, :, :, 50:] -= 60
    one, other = (np.rint(to_blocks(p) * 16).astype(np.int16) for p in (pixels, changed))
    rows = np.arange(40)
    windows = random_resized_crop(
        np.tile([[43, 50]], (40, 1)), 64, uniforms(0, 0, rows, CROP_DRAWS), scale=(0.5, 1)
    )
    resample = Resampler(ALL, np.full(192, 1 / 16, np.float32), GRID, None)
    results = [
        resample(torch.from_numpy(codes).expand(40, -1, -1, -1), windows) for codes in (one, other)
    ]
    assert (results[0] - results[1]).abs().max() < 0.3  # 60 would be seen at once
    beyond = one.copy()
    beyond[:, :, 6:], beyond[:, :, :, 7:] = 32767, -32768
    again = resample(torch.from_numpy(beyond).expand(40, -1, -1, -1), windows)
    torch.testing.assert_close(again, results[0], rtol=0, atol=1e-3)


@pytest.mark.parametrize("used", ["square-24", None])
def test_an_image_does_not_depend_on_its_neighbours(used):
    read = channels("paper-64")
    windows, flip = crops(1, 7, 48)
    codes = torch.from_numpy(random_codes(1, 7, read))
    used = used and channels(used)
    resample = Resampler(read, np.ones(64, np.float32), GRID, used)
    together = resample(codes, windows, flip)
    scale = together.abs().max()
    for image in range(7):
        one = slice(image, image + 1)
        alone = resample(codes[one], windows.take(one), flip[one])
        assert (together[one] - alone).abs().max() < 1e-6 * scale
    order = np.array([3, 0, 6, 1, 5, 2, 4])
    shuffled = resample(codes[torch.from_numpy(order)], windows.take(order), flip[order])
    assert (shuffled - together[torch.from_numpy(order)]).abs().max() < 1e-6 * scale


def test_the_same_batch_gives_the_same_bits_also_under_autocast():
    windows, flip = crops(2, 20, 72)
    codes = torch.from_numpy(random_codes(2, 20))
    resample = Resampler(ALL, np.ones(192, np.float32), GRID, channels("square-24"))
    first = resample(codes, windows, flip)
    assert torch.equal(first, resample(codes.clone(), windows, flip))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(first, resample(codes, windows, flip))


def test_codes_that_are_not_contiguous_are_the_same_codes():
    windows, flip = crops(3, 5, 24)
    codes = torch.from_numpy(random_codes(3, 5))
    strided = codes.transpose(0, 1).contiguous().transpose(0, 1)
    resample = Resampler(ALL, np.ones(192, np.float32), GRID, channels("square-24"))
    assert torch.equal(resample(codes, windows, flip), resample(strided, windows, flip))


@pytest.mark.parametrize("used", ["square-24", "cr_1_1,y_0_0,y_0_7,y_3_2"])
def test_aligned_crops_are_slices_to_the_bit(used):
    read, used = channels("all"), channels(used)
    codes = random_codes(4, 30)
    steps = np.random.default_rng(0).choice([4, 8], 192).astype(np.float32)
    sizes = np.tile([[72, 90]], (30, 1))
    windows = aligned_crop(sizes, 40, uniforms(0, 0, np.arange(30), 2))
    flip = np.arange(30) % 3 == 0
    found = Resampler(read, steps, GRID, used)(torch.from_numpy(codes), windows, flip).numpy()
    sign = (-1.0) ** (np.array(used.indices) % 8)
    for image, (top, left) in enumerate(windows.start // 8):
        block = codes[image, list(used.indices), top : top + 5, left : left + 5]
        block = block * steps[list(used.indices)][:, None, None]
        if flip[image]:
            block = block[..., ::-1] * sign[:, None, None]
        np.testing.assert_array_equal(found[image], block)
    assert largest_difference(read, used, 40, codes, windows, flip) < CLOSE


def test_an_empty_batch_is_an_empty_result():
    nothing = np.zeros((0, 2), np.int64)
    windows = Windows(*[nothing] * 5)
    for used, shape in ((None, (0, 3, 24, 24)), (channels("paper-6"), (0, 6, 3, 3))):
        resample = Resampler(ALL, np.ones(192, np.float32), GRID, used)
        codes = torch.zeros((0, 192, *GRID), dtype=torch.int8)
        assert resample(codes, windows, canvas=(24, 24)).shape == shape


def test_wrong_shapes_and_windows_are_refused():
    with pytest.raises(UsageError, match="3 steps for 192 channels"):
        Resampler(ALL, np.ones(3), GRID, ALL)
    resample = Resampler(ALL, np.ones(192), GRID, ALL)
    codes = torch.zeros((1, 192, *GRID), dtype=torch.int8)

    def window(start, length, new, offset):
        return Windows(*(np.full((1, 2), n) for n in (start, length, new, offset, 24)))

    for canvas in ((20, 24), (24, 16), (30, 24)):
        with pytest.raises(UsageError, match=r"does not hold 24x24 in whole blocks"):
            resample(codes, window(0, 24, 24, 0), canvas=canvas)

    with pytest.raises(UsageError, match=r"\(1, 24, 9, 12\).*expected \(1, 192, 9, 12\)"):
        resample(codes[:, :24], window(0, 8, 24, 0))
    for wrong in (
        window(-1, 8, 24, 0),
        window(70, 8, 24, 0),
        window(0, 0, 24, 0),
        window(0, 8, 23, 0),
        window(0, 8, 30, 7),
        window(0, 8, 30, -1),
    ):
        with pytest.raises(UsageError, match="a window that reaches beyond 72x96"):
            resample(codes, wrong)
