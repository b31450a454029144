"""PSNR: its definition, and the same number from pixels and from coefficients."""

import math

import numpy as np
import pytest

from freqprep.spectrum.dct import forward, inverse
from freqprep.spectrum.fidelity import psnr


@pytest.mark.parametrize(
    ("mean_squared_error", "expected"),
    [(255.0**2, 0.0), (1.0, 48.1308036), (0.25, 54.1514035), (65.025, 30.0)],
)
def test_known_values(mean_squared_error, expected):
    assert psnr(mean_squared_error * 640, 640) == pytest.approx(expected, abs=1e-6)


def test_no_error_is_infinite_and_no_pixels_is_undefined():
    assert psnr(0, 10) == math.inf
    assert math.isnan(psnr(0, 0))


def test_arrays_give_one_value_for_each_sum():
    errors, pixels = np.array([[64.0, 0.0], [6400.0, 1.0]]), np.array([[64, 64], [64, 1]])
    ours = psnr(errors, pixels)
    assert ours.shape == (2, 2)
    for index in np.ndindex(2, 2):
        assert ours[index] == psnr(errors[index], pixels[index])


def test_ten_times_the_error_costs_ten_decibels():
    assert psnr(37.0, 640) - psnr(370.0, 640) == pytest.approx(10)


def test_coefficients_and_pixels_agree():
    rng = np.random.default_rng(3)
    plane = rng.integers(0, 256, (64, 96), dtype=np.uint8)
    coefficients = forward(plane).astype(np.float64)
    stored = np.rint(coefficients / 8) * 8
    of_coefficients = psnr(((stored - coefficients) ** 2).sum(), plane.size)
    of_pixels = psnr(((inverse(stored) - plane) ** 2).sum(), plane.size)
    # The matrix is orthogonal up to its rounding, 2**-15 an entry.
    assert of_coefficients == pytest.approx(of_pixels, abs=0.01)
