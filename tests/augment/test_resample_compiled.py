"""The compiled form against the form in torch, and its own laws: bits, memory, independence."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from freqprep.augment import resample as front
from freqprep.augment.color_transforms import to_rgb
from freqprep.augment.crops import CROP_DRAWS, Windows, aligned_crop
from freqprep.augment.crops import random_resized_crop as random_crop
from freqprep.augment.randomness import uniforms
from freqprep.augment.resample import Resampler
from freqprep.augment.resample_plan import plan_of
from freqprep.compilation import can_compile
from freqprep.spectrum.channels import channels

if not can_compile():
    pytest.skip("Numba is not installed", allow_module_level=True)

from freqprep.augment import resample_compiled
from freqprep.augment.resample_compiled import resample

SELECTIONS = [
    "all",
    "paper-64",
    "square-24",
    "learned-24",
    "zigzag-9+2+0",
    "cr_0_3,y_2_0,y_0_7",
    "cb_7_7,y_7_0,y_0_0",
]


def random_codes(rng, n, read, grid, dtype) -> np.ndarray:
    """Codes that fall with frequency, as those of photographs do."""
    k = np.array(read.indices) % 64
    largest = np.iinfo(dtype).max / 4 / (1 + k // 8 + k % 8)
    codes = rng.uniform(-1, 1, (n, len(read), *grid)) * largest[:, None, None]
    return np.rint(codes).astype(dtype)


def random_windows(rng, n, grid, largest) -> Windows:
    """Any box of the stored pixels, resized to any rectangle, of which any part is kept."""
    limits = 8 * np.array(grid)
    length = rng.integers(1, limits + 1, (n, 2))
    start = rng.integers(0, limits - length + 1)
    new = rng.integers(1, largest + 1, (n, 2))
    kept = rng.integers(1, new + 1)
    return Windows(start, length, new, rng.integers(0, new - kept + 1), kept)


def on_torch(read, steps, grid, used, codes, windows, flip, canvas, normalisation):
    """In float64 from the form in torch: normalised, and zero beyond what is kept of an image."""
    resampler = Resampler(read, steps, grid, used)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("freqprep.augment.resample.can_compile", lambda: False)
        out = resampler(torch.from_numpy(codes), windows, flip, canvas)
    if normalisation is None:
        return out.double().numpy()
    if used is None:
        out = to_rgb(out).clamp(0, 255)
    mean, std = (np.asarray(values)[:, None, None] for values in normalisation)
    out = (out.double().numpy() - mean) / std
    block = 1 if used is None else 8
    for image, (height, width) in zip(out, -(-windows.kept // block), strict=True):
        image[:, height:] = 0
        image[:, :, width:] = 0
    return out.transpose(0, 2, 3, 1)


def as_float(bits: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(bits.view(np.int16)).view(torch.bfloat16).float()


@settings(max_examples=150)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 9),
    grid=st.sampled_from([(1, 1), (2, 3), (6, 9), (9, 16), (3, 35), (7, 64)]),
    largest=st.sampled_from([1, 7, 40, 150, 500]),
    spare=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    read=st.sampled_from(SELECTIONS),
    used=st.sampled_from([*SELECTIONS, None]),
    dtype=st.sampled_from([np.int8, np.int16]),
    threads=st.integers(1, 3),
    plain=st.booleans(),
)
def test_any_batch_equals_the_form_in_torch(
    seed, n, grid, largest, spare, read, used, dtype, threads, plain
):
    rng = np.random.default_rng(seed)
    read, used = channels(read), used and channels(used)
    block, planes = (8, len(used)) if used else (1, 3)
    # Coefficients of up to some hundreds.
    steps = rng.choice([1, 2, 8], len(read)).astype(np.float32)
    steps /= 1 if dtype == np.int8 else 256
    codes, windows = random_codes(rng, n, read, grid, dtype), random_windows(rng, n, grid, largest)
    flip = rng.random(n) < 0.5
    canvas = block * (-(-windows.kept.max(axis=0) // block) + spare)
    canvas = (int(canvas[0]), int(canvas[1]))
    normalisation = None
    if not plain:
        normalisation = rng.normal(0, 20, planes), rng.uniform(50, 100, planes)
    expected = on_torch(read, steps, grid, used, codes, windows, flip, canvas, normalisation)
    plan = plan_of(read, steps, used)
    arguments = (codes, windows, flip, plan, canvas, normalisation)
    found = resample(*arguments, False, threads)
    assert found.dtype == np.float32 and found.shape == expected.shape and found.flags.c_contiguous
    # float32's rounding, more of it in the form in torch
    assert np.abs(found - expected).max() < (2e-3 if plain else 5e-5)
    if not plain:
        half = resample(*arguments, True, threads)
        assert half.dtype == np.uint16
        assert torch.equal(as_float(half), torch.from_numpy(found).bfloat16().float())


@pytest.mark.parametrize("used", ["square-24", "all", "learned-24", "cr_1_1,y_0_0,y_0_7"])
def test_normalisation_is_torchs_to_the_bit(batch, used):
    codes, windows, flip, read, steps = batch
    plan = plan_of(read, steps, channels(used))
    rng = np.random.default_rng(4)
    mean = rng.normal(0, 20, plan.planes).astype(np.float32)
    std = rng.uniform(1, 100, plan.planes).astype(np.float32)
    plain = resample(codes, windows, flip, plan, (96, 96), None, False, 1)
    found = resample(codes, windows, flip, plan, (96, 96), (mean, std), False, 1)
    moments = (torch.from_numpy(values)[:, None, None] for values in (mean, std))
    expected = torch.from_numpy(plain).sub_(next(moments)).div_(next(moments))
    assert torch.equal(torch.from_numpy(found).permute(0, 3, 1, 2), expected)


@pytest.fixture(scope="module")
def batch():
    """40 images of random sizes and crops; int8 codes of 64 channels."""
    rng = np.random.default_rng(0)
    n, grid, read = 40, (20, 24), channels("paper-64")
    codes = random_codes(rng, n, read, grid, np.int8)
    sizes = rng.integers(1, 8 * np.array(grid) + 1, (n, 2))
    windows = random_crop(sizes, 96, uniforms(0, 0, np.arange(n), CROP_DRAWS))
    return codes, windows, rng.random(n) < 0.5, read, np.full(64, 4, np.float32)


@pytest.mark.parametrize("used", ["square-24", "all", None])
@pytest.mark.parametrize("plain", [True, False])
def test_an_image_is_the_same_to_the_bit_in_any_batch_on_any_number_of_threads(batch, used, plain):
    codes, windows, flip, read, steps = batch
    used = used and channels(used)
    plan = plan_of(read, steps, used)
    normalisation = None if plain else (np.full(plan.planes, 1.5), np.full(plan.planes, 0.3))

    def run(images, threads):
        one = codes[images], windows.take(images), flip[images]
        return resample(*one, plan, (104, 112), normalisation, False, threads)

    everything = slice(None)
    together = run(everything, 1)
    for threads in (2, 3, 64):
        assert np.array_equal(run(everything, threads), together)
    order = np.random.default_rng(1).permutation(len(codes))
    assert np.array_equal(run(order, 2), together[order])
    for image in (0, 7, 39):
        assert np.array_equal(run([image], 1)[0], together[image])
    with ThreadPoolExecutor(4) as callers:
        for found in callers.map(lambda _: run(everything, 2), range(8)):
            assert np.array_equal(found, together)


def test_whole_blocks_are_copied_to_the_bit_beside_images_that_are_resized():
    rng = np.random.default_rng(2)
    n, grid, read = 12, (9, 12), channels("all")
    codes = random_codes(rng, n, read, grid, np.int8)
    steps = rng.choice([4, 8], 192).astype(np.float32)
    used = channels("cr_1_1,y_0_0,y_0_7,y_3_2")
    windows = aligned_crop(np.tile([[72, 90]], (n, 1)), 40, uniforms(0, 0, np.arange(n), 2))
    flip = np.arange(n) % 2 == 1
    resampler = Resampler(read, steps, grid, used)
    expected = resampler(torch.from_numpy(codes), windows, flip).numpy()
    windows = replace(windows, resized=windows.resized + (np.arange(n) == 0)[:, None])
    found = resample(codes, windows, flip, plan_of(read, steps, used), (40, 40), None, False, 1)
    assert np.array_equal(found[1:], expected[1:])
    assert not np.array_equal(found[0], expected[0])


@pytest.mark.parametrize("used", ["square-24", None])
def test_large_sides_and_factors(used):
    # 8,000 pixels to 8, one pixel to 400, 8 to 400: long runs of blocks and short ones.
    rng = np.random.default_rng(3)
    read, grid = channels("y_0_0,y_0_1,y_1_0,cb_0_0"), (4, 1000)
    used = used and channels(used)
    codes = random_codes(rng, 3, read, grid, np.int16)
    steps = np.full(4, 1 / 256, np.float32)
    windows = Windows(
        *(
            np.array(pairs)
            for pairs in (
                [[0, 0], [3, 17], [1, 7992]],
                [[32, 8000], [1, 8], [30, 8]],
                [[24, 8], [400, 400], [32, 400]],
                [[0, 0], [0, 0], [8, 8]],
                [[24, 8], [400, 400], [24, 360]],
            )
        )
    )
    flip = np.array([True, False, True])
    plan = plan_of(read, steps, used)
    found = resample(codes, windows, flip, plan, (400, 400), None, False, 2)
    expected = on_torch(read, steps, grid, used, codes, windows, flip, (400, 400), None)
    assert np.abs(found - expected).max() < 1e-3


def test_an_empty_batch_is_an_empty_result():
    nothing = Windows(*[np.zeros((0, 2), np.int64)] * 5)
    read = channels("paper-6")
    plan = plan_of(read, np.ones(6), read)
    codes = np.zeros((0, 6, 2, 2), np.int8)
    found = resample(codes, nothing, np.zeros(0, bool), plan, (24, 16), None, False, 2)
    assert found.shape == (0, 6, 3, 2)


def test_a_note_is_given_while_it_compiles_and_only_then(monkeypatch, long_blocks):
    monkeypatch.setattr(resample_compiled, "is_compiling", lambda: True)
    monkeypatch.setattr(front, "_compiled", set())
    read = channels("square-24")
    codes = torch.zeros((1, 24, 2, 2), dtype=torch.int8)
    side = np.array([[16, 16]])
    windows = Windows(np.zeros_like(side), side, side, np.zeros_like(side), side)
    crop = Resampler(read, np.ones(24, np.float32), (2, 2), read)
    crop(codes, windows)
    assert long_blocks == ["compiling the augmentation, once on this machine"]
    crop(codes, windows)
    assert len(long_blocks) == 1
    monkeypatch.setattr(resample_compiled, "is_compiling", lambda: False)
    crop(codes.short(), windows)
    assert len(long_blocks) == 1
