"""RGB and YCbCr: the JFIF formulas, rounded, and back within one grey level."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from freqprep.spectrum.color import rgb_to_ycbcr, ycbcr_to_rgb

repeatable = settings(derandomize=True, deadline=None, max_examples=100)

FIXED_POINT = 3 * 255 * 2.0**-17
"""Three weights each off by half a unit of 2**-16, times at most 255."""

colours = st.tuples(*[st.integers(0, 255)] * 3)


def by_jfif(rgb: np.ndarray) -> np.ndarray:
    """The formulas of JFIF, float64, not rounded: Cb and Cr reach 255.5."""
    red, green, blue = np.moveaxis(rgb.astype(np.float64), -1, 0)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return np.stack([luma, (blue - luma) / 1.772 + 128, (red - luma) / 1.402 + 128], axis=-1)


def assert_is_jfif_rounded(rgb: np.ndarray) -> None:
    exact, ours = by_jfif(rgb), rgb_to_ycbcr(rgb)
    assert ours.dtype == np.uint8
    rounded = np.minimum(np.floor(exact + 0.5), 255)
    undecided = np.abs(exact + 0.5 - np.rint(exact + 0.5)) <= FIXED_POINT + 1e-9
    assert (undecided | (ours == rounded)).all()
    assert np.abs(ours - np.minimum(exact, 255)).max() <= 0.5 + FIXED_POINT + 1e-9


def test_a_lattice_of_colours_follows_the_jfif_formulas():
    levels = np.array([*range(0, 256, 5), 1, 2, 127, 128, 129, 253, 254], np.uint8)
    assert_is_jfif_rounded(np.array(list(itertools.product(levels, repeat=3)), np.uint8))


@repeatable
@given(arrays(np.uint8, array_shapes(max_dims=3, max_side=9).map(lambda shape: (*shape, 3))))
def test_any_shape_follows_the_jfif_formulas(rgb):
    before = rgb.copy()
    assert rgb_to_ycbcr(rgb).shape == rgb.shape
    assert_is_jfif_rounded(rgb)
    np.testing.assert_array_equal(rgb, before)


def test_primaries():
    rgb = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0]], np.uint8)
    expected = [[76, 85, 255], [150, 44, 21], [29, 255, 107], [226, 1, 149]]
    # Yellow's Cb, 128 - 127.5, is a tie: it goes up.
    assert rgb_to_ycbcr(rgb).tolist() == expected


def test_greys_have_no_chroma():
    grey = np.arange(256, dtype=np.uint8)
    ycbcr = rgb_to_ycbcr(np.stack([grey] * 3, axis=-1))
    np.testing.assert_array_equal(ycbcr[:, 0], grey)
    assert (ycbcr[:, 1:] == 128).all()
    np.testing.assert_allclose(ycbcr_to_rgb(ycbcr), np.stack([grey] * 3, axis=-1), atol=1e-9)


@repeatable
@given(colours)
def test_floats_go_there_and_back(colour):
    rgb = np.array(colour, np.float64)
    np.testing.assert_allclose(ycbcr_to_rgb(by_jfif(rgb)), rgb, rtol=0, atol=1e-9)


def test_rounded_colours_come_back_within_one():
    # Blue is worst: Y off by 0.5 and Cb by 0.5 times 1.772 make 1.386, so 1 after rounding.
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (200_000, 3), dtype=np.uint8)
    rgb[:8] = list(itertools.product([0, 255], repeat=3))
    back = ycbcr_to_rgb(rgb_to_ycbcr(rgb))
    assert back.dtype == np.float64
    assert np.abs(back - rgb).max() <= 0.5 + 1.772 / 2 + 3 * FIXED_POINT
    assert np.abs(np.clip(np.rint(back), 0, 255) - rgb).max() <= 1
