"""The block DCT: exact in its own arithmetic, and close to scipy's."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.fft import dctn, idctn

from freqprep.spectrum.dct import (
    MATRIX_UNIT,
    ForwardDCT,
    dct_matrix,
    dct_matrix_1d,
    forward,
    grid_of,
    inverse,
    pad_to_blocks,
)

repeatable = settings(derandomize=True, deadline=None, max_examples=60)

ENTRY_ERROR = MATRIX_UNIT / 2
"""Rounding moves no entry of the matrix further."""

planes = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=40))
whole_planes = st.tuples(st.integers(1, 4), st.integers(1, 4)).flatmap(
    lambda grid: arrays(np.uint8, (8 * grid[0], 8 * grid[1]))
)
step_tables = arrays(np.float32, 64, elements=st.sampled_from([1.0, 2.0, 4.0, 8.0, 16.0]))


def blocks_of(plane: np.ndarray) -> np.ndarray:
    """(h, w) -> float64 (rows, columns, 8, 8), the last partial blocks filled by numpy's pad."""
    height, width = plane.shape
    missing = ((0, -height % 8), (0, -width % 8))
    whole = np.pad(plane.astype(np.float64), missing, mode="edge")
    return np.stack([np.stack(np.split(row, whole.shape[1] // 8, axis=1))
                     for row in np.split(whole, whole.shape[0] // 8)])  # fmt: skip


def by_scipy(plane: np.ndarray) -> np.ndarray:
    """Coefficients (64, rows, columns) by scipy, float64."""
    blocks = blocks_of(plane)
    coefficients = dctn(blocks - 128, axes=(2, 3), norm="ortho")
    return coefficients.reshape(*blocks.shape[:2], 64).transpose(2, 0, 1)


def in_integers(plane: np.ndarray) -> np.ndarray:
    """Coefficients in units of the matrix, with integers alone: int64 (64, rows, columns)."""
    matrix = (dct_matrix() / MATRIX_UNIT).astype(np.int64)
    blocks = blocks_of(plane).astype(np.int64) - 128
    return np.einsum("kp,rcp->krc", matrix, blocks.reshape(*blocks.shape[:2], 64))


def test_the_one_dimensional_matrix_is_scipys():
    expected = dctn(np.eye(8), axes=(0,), norm="ortho")
    np.testing.assert_allclose(dct_matrix_1d(), expected, atol=1e-15)


def test_the_matrix_is_scipys_rounded_to_its_unit():
    basis = dctn(np.eye(64).reshape(64, 8, 8), axes=(1, 2), norm="ortho").reshape(64, 64).T
    matrix = dct_matrix()
    units = matrix / MATRIX_UNIT
    assert (units == np.rint(units)).all()
    assert np.abs(matrix - basis).max() <= ENTRY_ERROR + 1e-15


@repeatable
@given(planes)
def test_forward_is_exact_in_its_own_arithmetic(plane):
    coefficients = forward(plane)
    assert coefficients.dtype == np.float32
    assert coefficients.shape == (64, *grid_of(*plane.shape))
    exact = in_integers(plane)
    assert (coefficients.astype(np.float64) / MATRIX_UNIT == exact).all()


def test_forward_is_exact_at_the_extremes():
    # Each frequency at its largest and smallest: black where its basis falls, white elsewhere.
    patterns = np.where(dct_matrix() > 0, 255, 0).astype(np.uint8).reshape(64, 8, 8)
    plane = np.concatenate([*patterns, *(255 - patterns)], axis=1)
    coefficients = forward(plane)
    assert (coefficients.astype(np.float64) / MATRIX_UNIT == in_integers(plane)).all()
    rng = np.random.default_rng(0)
    noise = rng.choice(np.array([0, 255], np.uint8), (512, 512))
    assert (forward(noise).astype(np.float64) / MATRIX_UNIT == in_integers(noise)).all()


@repeatable
@given(planes)
def test_forward_is_scipys_within_the_rounding_of_the_matrix(plane):
    # 64 entries each off by at most ENTRY_ERROR, times the pixels they multiply.
    allowed = ENTRY_ERROR * np.abs(blocks_of(plane) - 128).sum(axis=(2, 3)) + 1e-9
    assert (np.abs(forward(plane) - by_scipy(plane)) <= allowed).all()


@repeatable
@given(planes)
def test_padding_repeats_the_edge(plane):
    height, width = plane.shape
    missing = ((0, -height % 8), (0, -width % 8))
    padded = np.pad(plane, missing, mode="edge")
    np.testing.assert_array_equal(pad_to_blocks(plane), padded)
    np.testing.assert_array_equal(forward(plane), forward(padded))
    colours = np.stack([plane, 255 - plane, plane // 2], axis=2)
    expected = np.pad(colours, (*missing, (0, 0)), mode="edge")
    np.testing.assert_array_equal(pad_to_blocks(colours), expected)


@repeatable
@given(st.integers(1, 10_000), st.integers(1, 10_000))
def test_the_grid_covers_the_image_and_no_more(height, width):
    for side, blocks in zip((height, width), grid_of(height, width), strict=True):
        assert 8 * (blocks - 1) < side <= 8 * blocks


@repeatable
@given(planes, st.sampled_from(["negative", "fortran", "transposed", "interleaved", "spaced"]))
def test_strides_change_nothing(plane, layout):
    expected = forward(np.ascontiguousarray(plane))
    odd: np.ndarray
    if layout == "negative":
        odd = np.ascontiguousarray(plane[::-1, ::-1])[::-1, ::-1]
    elif layout == "fortran":
        odd = np.asfortranarray(plane)
    elif layout == "transposed":
        odd = np.ascontiguousarray(plane.T).T
    elif layout == "interleaved":
        odd = np.stack([255 - plane, plane, plane // 3], axis=2)[..., 1]
    else:
        wide = np.zeros((2 * plane.shape[0], 3 * plane.shape[1]), np.uint8)
        wide[::2, ::3] = plane
        odd = wide[::2, ::3]
    before = odd.copy()
    np.testing.assert_array_equal(forward(odd), expected)
    np.testing.assert_array_equal(odd, before)


def test_a_read_only_plane_is_transformed():
    plane = np.arange(100, dtype=np.uint8).reshape(10, 10)
    expected = forward(plane)
    plane.flags.writeable = False
    np.testing.assert_array_equal(forward(plane), expected)


@repeatable
@given(planes, step_tables)
def test_dividing_by_steps_is_exact(plane, steps):
    transform = ForwardDCT.divided_by(steps)
    assert sorted(transform.frequencies) == list(range(64))
    expected = forward(plane) / steps[:, None, None]
    np.testing.assert_array_equal(transform(plane), expected[transform.frequencies])


@repeatable
@given(whole_planes)
def test_energy_is_kept(plane):
    # Parseval. A squared coefficient is off by at most 2 |c| e + e^2, e as above.
    pixels = plane.astype(np.float64) - 128
    coefficients = forward(plane).astype(np.float64)
    errors = ENTRY_ERROR * np.abs(blocks_of(plane) - 128).sum(axis=(2, 3)) + 1e-9
    allowed = (2 * np.abs(coefficients) * errors + errors**2).sum() + 1e-6
    assert abs((coefficients**2).sum() - (pixels**2).sum()) <= allowed


@repeatable
@given(planes)
def test_the_inverse_gives_the_pixels_back(plane):
    height, width = plane.shape
    pixels = inverse(forward(plane))
    assert pixels.dtype == np.float64
    np.testing.assert_array_equal(np.rint(pixels), pad_to_blocks(plane))
    assert (np.rint(pixels)[:height, :width] == plane).all()


@repeatable
@given(st.integers(0, 2**32), st.integers(1, 3), st.integers(1, 3))
def test_the_inverse_is_scipys(seed, rows, columns):
    rng = np.random.default_rng(seed)
    coefficients = rng.normal(0, 100, (64, rows, columns)).astype(np.float32)
    blocks = coefficients.astype(np.float64).transpose(1, 2, 0).reshape(rows, columns, 8, 8)
    expected = idctn(blocks, axes=(2, 3), norm="ortho") + 128
    plane = expected.transpose(0, 2, 1, 3).reshape(8 * rows, 8 * columns)
    allowed = ENTRY_ERROR * np.abs(coefficients).sum(axis=0).max() + 1e-9
    np.testing.assert_allclose(inverse(coefficients), plane, rtol=0, atol=allowed)


@repeatable
@given(planes)
def test_dc_is_eight_times_the_mean_less_128(plane):
    expected = 8 * (blocks_of(plane).mean(axis=(2, 3)) - 128)
    np.testing.assert_array_equal(forward(plane)[0], expected)
    assert expected.min() >= -1024 and expected.max() <= 1016


@pytest.mark.parametrize(("value", "dc"), [(0, -1024), (128, 0), (255, 1016)])
def test_a_flat_plane_has_dc_alone(value, dc):
    coefficients = forward(np.full((13, 21), value, np.uint8))
    assert (coefficients[0] == dc).all()
    # The rounded basis functions sum to 0: rounding keeps their symmetry, but not exactly this.
    assert np.abs(coefficients[1:]).max() <= 64 * 128 * ENTRY_ERROR


def test_index_runs_along_rows_first():
    rightwards = np.tile(np.arange(0, 80, 10, dtype=np.uint8), (8, 1))
    ramp = forward(rightwards)[:, 0, 0]
    assert ramp[1] < -100 and ramp[8] == 0
    downwards = forward(rightwards.T)[:, 0, 0]
    assert downwards[8] < -100 and downwards[1] == 0


def signs(vertical: bool) -> np.ndarray:
    v, h = np.divmod(np.arange(64), 8)
    return np.where((v if vertical else h) % 2, -1, 1)[:, None, None]


@repeatable
@given(whole_planes)
def test_a_mirror_image_has_mirrored_blocks_and_odd_h_negated(plane):
    expected = forward(plane)[:, :, ::-1] * signs(vertical=False)
    np.testing.assert_array_equal(forward(plane[:, ::-1]), expected)


@repeatable
@given(whole_planes)
def test_an_image_upside_down_has_odd_v_negated(plane):
    expected = forward(plane)[:, ::-1] * signs(vertical=True)
    np.testing.assert_array_equal(forward(plane[::-1]), expected)


@repeatable
@given(whole_planes)
def test_a_transposed_image_swaps_v_and_h(plane):
    swapped = np.arange(64).reshape(8, 8).T.ravel()
    expected = forward(plane)[swapped].transpose(0, 2, 1)
    np.testing.assert_array_equal(forward(plane.T), expected)


@repeatable
@given(whole_planes, st.data())
def test_a_crop_at_block_borders_is_a_slice(plane, data: Any):
    rows, columns = grid_of(*plane.shape)
    top, left = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, columns - 1))
    cropped = forward(plane[8 * top :, 8 * left :])
    np.testing.assert_array_equal(cropped, forward(plane)[:, top:, left:])
