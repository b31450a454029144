"""The form for devices equals the tiled form, the reference, for windows of any kind."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from freqprep.augment.color_transforms import ColorChange
from freqprep.augment.crops import CROP_DRAWS, Windows, random_resized_crop
from freqprep.augment.normalisation import Normalisation
from freqprep.augment.randomness import uniforms
from freqprep.augment.resample import Resampler
from freqprep.spectrum.channels import Selection, channels

GRID = (6, 9)
READS = ["all", "paper-64", "square-24", "cb_0_0", "y_0_0,y_1_0,cr_0_0,cr_1_0,cb_0_1"]
USES = ["square-24", "cr_0_3,y_2_0,y_0_7", "learned-24", None]


def random_codes(seed: int, n: int, read: Selection, grid=GRID) -> torch.Tensor:
    """Codes that fall with frequency, as those of photographs do."""
    rng = np.random.default_rng(seed)
    k = np.array(read.indices) % 64
    codes = rng.uniform(-1, 1, (n, len(read), *grid)) * (100 / (1 + k // 8 + k % 8))[:, None, None]
    return torch.from_numpy(np.rint(codes).astype(np.int8))


def windows_of(rng: np.random.Generator, n: int, largest: int, grid=GRID) -> Windows:
    """Any box of the stored pixels, resized to any rectangle, of which any part is kept."""
    limits = 8 * np.array(grid)
    length = rng.integers(1, limits + 1, (n, 2))
    start = rng.integers(0, limits - length + 1)
    new = rng.integers(1, largest + 1, (n, 2))
    kept = rng.integers(1, new + 1)
    return Windows(start, length, new, rng.integers(0, new - kept + 1), kept)


def colors_of(rng: np.random.Generator, n: int) -> ColorChange:
    bright, contrast, saturation = 1 + 0.4 * (2 * rng.random((3, n)) - 1)
    change = ColorChange.none(n).contrast(contrast).brightness(bright).saturation(saturation)
    return change.grey(rng.random(n) < 0.3)


def both_forms(monkeypatch, read, used, normalisation, call) -> tuple[torch.Tensor, torch.Tensor]:
    steps = np.random.default_rng(5).choice([1, 4, 8], len(read)).astype(np.float32)
    resample = Resampler(read, steps, GRID, used, normalisation)
    expected = call(resample)
    with monkeypatch.context() as patch:
        patch.setattr(Resampler, "_on_host", lambda *_: False)
        return call(resample), expected


@settings(max_examples=100)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(0, 11),
    largest=st.sampled_from([5, 40, 150]),
    spare=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    read=st.sampled_from(READS),
    used=st.sampled_from(USES),
    colored=st.booleans(),
    dtype=st.sampled_from([None, torch.float32, torch.bfloat16]),
)
def test_it_equals_the_tiled_form(seed, n, largest, spare, read, used, colored, dtype):
    rng = np.random.default_rng(seed)
    windows, flip = windows_of(rng, n, largest), rng.random(n) < 0.5
    read, used = channels(read), used and channels(used)
    planes = 3 if used is None else len(used)
    mean, std = rng.uniform(-50, 50, planes), rng.uniform(40, 80, planes)
    normalisation = None if dtype is None else Normalisation(mean, std, used is None, dtype)
    codes, colors = random_codes(seed, n, read), colors_of(rng, n) if colored else None
    least = windows.kept.max(axis=0, initial=1)
    canvas = tuple((8 * (-(-least // 8) + spare)).tolist())
    with pytest.MonkeyPatch.context() as patch:
        found, expected = both_forms(
            patch,
            read,
            used,
            normalisation,
            lambda form: form(codes, windows, flip, canvas, colors),
        )
    assert found.shape == expected.shape and found.dtype == expected.dtype
    assert found.is_contiguous() or normalisation is not None
    close = 5e-3 if dtype is None else 1e-3 if dtype == torch.float32 else 1e-2
    scale = 1 if dtype is None else expected.abs().clamp(min=1)
    assert ((found - expected).abs() / scale < close).all()


@pytest.mark.parametrize("used", ["square-24", None])
def test_a_network_s_input_is_in_its_memory_format_and_zero_beyond_images(used, monkeypatch):
    rng = np.random.default_rng(1)
    windows, read, used = windows_of(rng, 7, 60), channels("paper-64"), used and channels(used)
    planes = 3 if used is None else 24
    normalisation = Normalisation(np.ones(planes), np.full(planes, 50.0), used is None)
    codes, canvas = random_codes(1, 7, read), (72, 64)
    for found in both_forms(
        monkeypatch, read, used, normalisation, lambda form: form(codes, windows, None, canvas)
    ):
        assert found.is_contiguous(memory_format=torch.channels_last)
        block = 1 if used is None else 8
        for image, (rows, columns) in zip(found, -(-windows.kept // block), strict=True):
            assert not image[:, rows:].any() and not image[:, :, columns:].any()
            assert image[:, :rows, :columns].any()


def test_a_batch_larger_than_the_workspace_is_cut(monkeypatch):
    from freqprep.augment import resample_dense

    read, used = channels("paper-64"), channels("square-24")
    sizes = np.tile(8 * np.array(GRID), (9, 1))
    windows = random_resized_crop(sizes, 40, uniforms(0, 0, np.arange(9), CROP_DRAWS))
    codes, flip = random_codes(2, 9, read), np.arange(9) % 2 == 0
    monkeypatch.setattr(resample_dense, "_WORKSPACE", 3 * 16 * 40 * 8 * sum(GRID))
    found, expected = both_forms(
        monkeypatch, read, used, None, lambda form: form(codes, windows, flip)
    )
    assert (found - expected).abs().max() < 5e-3
