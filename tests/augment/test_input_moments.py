"""Moments of an input are those of all its positions in all measured images."""

import numpy as np
import pytest
import torch

import freqprep
from freqprep.augment import ClassifierInput
from freqprep.augment.crops import Windows
from freqprep.augment.input_moments import measure_moments, sample_rows
from freqprep.spectrum.channels import channels

READ = channels("square-24")


@pytest.fixture(scope="module")
def split(store):
    return freqprep.open_store(store)["train"]


def spec_of(names: str) -> ClassifierInput:
    used = channels(names)
    return ClassifierInput(
        kind="frequency",
        read=READ.names,
        channels=used.names,
        side=16,
        resize=16,
        mean=(3.0,) * len(used),
        std=(7.0,) * len(used),
    )


def windows_of(split, rows, resized: np.ndarray) -> Windows:
    sizes = split.sizes[rows].astype(np.int64)
    return Windows(np.zeros_like(sizes), sizes, resized, np.zeros_like(resized), resized)


def test_the_sample_is_the_first_images(split):
    valid = np.flatnonzero(split.valid)
    assert not split.valid.all()
    np.testing.assert_array_equal(sample_rows(split, 20), valid[:20])
    np.testing.assert_array_equal(sample_rows(split, 10_000), valid)


@pytest.mark.parametrize("alike", [True, False])
def test_moments_are_those_of_all_positions_together(split, alike):
    spec, rows = spec_of("paper-6"), sample_rows(split, 140)  # read in two parts
    sides = np.full((len(rows), 2), 16)
    if not alike:  # in whole blocks, so that nothing is padded
        sides = 8 * np.random.default_rng(0).integers(1, 4, sides.shape)
    windows = windows_of(split, rows, sides)
    mean, std = measure_moments(spec, split, rows, windows)
    resample, codes = spec.resampler(split.attributes.encoding), split.read_codes(rows, READ).copy()
    values = np.concatenate(
        [
            resample(torch.from_numpy(codes[one]), windows.take(one))[0].flatten(1).numpy()
            for one in (slice(image, image + 1) for image in range(len(rows)))
        ],
        axis=1,
        dtype=np.float64,
    )
    assert values.shape == (6, sides.prod(axis=1).sum() // 64)
    np.testing.assert_allclose(mean, values.mean(axis=1), rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(std, values.std(axis=1), rtol=1e-5)


def test_moments_have_six_digits(split):
    rows = sample_rows(split, 8)
    windows = windows_of(split, rows, np.full((8, 2), 16))
    for values in measure_moments(spec_of("paper-6"), split, rows, windows):
        assert values == tuple(float(f"{value:.5e}") for value in values)
