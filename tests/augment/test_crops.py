"""Boxes: torchvision's sampling and roundings, and never a pixel beyond the valid ones."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from freqprep.augment.crops import (
    CROP_DRAWS,
    aligned_crop,
    random_resized_crop,
    resized_center_crop,
)
from freqprep.augment.randomness import uniforms
from freqprep.errors import UsageError
from freqprep.images.geometry import short_side_size
from freqprep.models.torchvision_ops import import_torchvision

import_torchvision()
from torchvision.transforms import v2  # noqa: E402
from torchvision.transforms.v2 import _geometry  # noqa: E402

sides = st.integers(1, 700)
sizes = st.tuples(sides, sides)
SCALES = [(0.08, 1.0), (0.5, 0.6), (1.0, 1.0), (0.001, 0.002)]
RATIOS = [(3 / 4, 4 / 3), (1.0, 1.0), (0.1, 0.2)]


def by_hand(size, draws, scale, ratio):
    """The documented algorithm, one image and one try at a time."""
    height, width = size
    for attempt in range(10):
        area = height * width * (scale[0] + (scale[1] - scale[0]) * draws[attempt])
        low, high = math.log(ratio[0]), math.log(ratio[1])
        aspect = math.exp(low + (high - low) * draws[10 + attempt])
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return int(draws[20] * (height - h + 1)), int(draws[21] * (width - w + 1)), h, w
    h, w = height, width
    if width / height < ratio[0]:
        h = round(width / ratio[0])
    elif width / height > ratio[1]:
        w = round(height * ratio[1])
    return (height - h) // 2, (width - w) // 2, h, w


@given(sizes, st.integers(0, 2**32), st.sampled_from(SCALES), st.sampled_from(RATIOS))
def test_a_random_crop_is_the_documented_one(size, row, scale, ratio):
    draws = uniforms(0, 0, np.array([row]), CROP_DRAWS)
    found = random_resized_crop(np.array([size]), 64, draws, scale, ratio)
    box = (*found.start[0], *found.length[0])
    assert box == by_hand(size, draws[0], scale, ratio)
    assert (found.start >= 0).all() and (found.start + found.length <= [size]).all()
    assert (found.resized == 64).all() and (found.offset == 0).all()


class Dice:
    """torch as torchvision's transform sees it: random numbers come from a list."""

    log, exp, tensor = torch.log, torch.exp, torch.tensor

    def __init__(self, draws: np.ndarray) -> None:
        self.tries = iter(draws[:20].reshape(2, 10).T.ravel())
        self.places = iter(draws[20:])

    def empty(self, _count):
        def uniform(low, high):
            return torch.as_tensor(low + (high - low) * next(self.tries), dtype=torch.float64)

        return SimpleNamespace(uniform_=uniform)

    def randint(self, low, high, size):
        assert low == 0 and size == (1,)
        return torch.tensor(int(next(self.places) * high))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("ratio", RATIOS)
def test_a_random_crop_is_torchvisions_for_the_same_numbers(monkeypatch, scale, ratio):
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 600, (60, 2))
    draws = uniforms(3, 1, np.arange(len(sizes)), CROP_DRAWS)
    found = random_resized_crop(sizes, 32, draws, scale, ratio)
    transform = v2.RandomResizedCrop(32, scale, ratio)
    transform._log_ratio = torch.log(torch.tensor(ratio, dtype=torch.float64))
    for image, (height, width) in enumerate(sizes.tolist()):
        monkeypatch.setattr(_geometry, "torch", Dice(draws[image]))
        params = transform.make_params([torch.empty(3, height, width, device="meta")])
        box = [params[name] for name in ("top", "left", "height", "width")]
        assert [*found.start[image], *found.length[image]] == box


def test_random_crops_have_torchvisions_law():
    sizes = np.tile([[60, 80]], (4000, 1))
    found = random_resized_crop(sizes, 32, uniforms(0, 0, np.arange(4000), CROP_DRAWS))
    ours = np.concatenate([found.start, found.length], axis=1)
    transform = v2.RandomResizedCrop(32)
    picture = [torch.empty(3, 60, 80, device="meta")]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        params = [transform.make_params(picture) for _ in range(4000)]
    theirs = np.array([[p[n] for n in ("top", "left", "height", "width")] for p in params])
    for one, other in zip(ours.T, theirs.T, strict=True):
        assert stats.ks_2samp(one, other).pvalue > 1e-3


@given(sizes, st.integers(1, 300), st.integers(0, 200))
def test_the_centre_is_torchvisions(size, side, more):
    resize = side + more
    found = resized_center_crop(np.array([size]), resize, side)
    expected = _geometry.F.resize(torch.empty(1, *size, device="meta"), [resize]).shape[1:]
    assert tuple(found.resized[0]) == expected == short_side_size(*size, resize)
    rows, columns = torch.arange(expected[0]), torch.arange(expected[1])
    corner = [
        v2.functional.center_crop(torch.broadcast_to(place, (1, *expected)), [side, side])[0, 0, 0]
        for place in (rows[:, None], columns[None])
    ]
    assert found.offset[0].tolist() == [int(first) for first in corner]
    assert (found.start == 0).all() and (found.length == [size]).all()


def test_a_centre_larger_than_the_resized_image_is_refused():
    with pytest.raises(UsageError, match=r"a centre of 65 pixels .* of 64"):
        resized_center_crop(np.array([[50, 50]]), 64, 65)


@given(st.tuples(st.integers(24, 90), st.integers(24, 90)), st.integers(0, 1000))
def test_aligned_crops_are_whole_valid_blocks(size, row):
    draws = uniforms(0, 0, np.array([row]), 2)
    found = aligned_crop(np.array([size]), 24, draws)
    assert found.on_blocks
    assert (found.start % 8 == 0).all()
    assert (found.start >= 0).all() and (found.start + 24 <= np.array([size]) // 8 * 8).all()


def test_aligned_crops_reach_every_place_equally():
    sizes = np.tile([[47, 33]], (9000, 1))
    start = aligned_crop(sizes, 24, uniforms(0, 0, np.arange(9000), 2)).start
    counts = np.unique(start, axis=0, return_counts=True)[1]
    assert len(counts) == 3 * 2  # 5 blocks high and 4 wide, 3 of them taken
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize(
    ("size", "side", "message"),
    [
        ((40, 31), 32, "an image of 40x31 pixels has no 32x32 of whole blocks"),
        ((40, 40), 20, "20 pixels is not whole blocks"),
        ((0, 0), 8, "image 0 of the batch has no pixels"),
    ],
)
def test_images_that_are_too_small_for_aligned_crops_are_named(size, side, message):
    with pytest.raises(UsageError, match=message):
        aligned_crop(np.array([size]), side, np.zeros((1, 2)))
