"""RoIAlign against a loop over single points, and against torchvision's own in Python."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from freqprep.models import roi_align as module
from freqprep.models.roi_align import roi_align
from freqprep.models.torchvision_ops import import_torchvision

RATIOS = (-1, 0, 1, 2)


def at(image, y, x):
    """Bilinear value of an image (channels, rows, columns) at a point."""
    rows, columns = image.shape[1:]
    if not (-1 <= y <= rows and -1 <= x <= columns):
        return np.zeros(len(image))
    y, x = min(max(y, 0), rows - 1), min(max(x, 0), columns - 1)
    top, left = min(int(y), max(rows - 2, 0)), min(int(x), max(columns - 2, 0))
    bottom, right = min(top + 1, rows - 1), min(left + 1, columns - 1)
    v, u = y - top, x - left
    upper = (1 - u) * image[:, top, left] + u * image[:, top, right]
    lower = (1 - u) * image[:, bottom, left] + u * image[:, bottom, right]
    return (1 - v) * upper + v * lower


def brute_force(images, regions, scale, height, width, ratio, aligned):
    """Point after point, in float64."""
    pooled = np.zeros((len(regions), images.shape[1], height, width))
    for k, (index, *corners) in enumerate(np.asarray(regions, float)):
        x1, y1, x2, y2 = np.array(corners) * scale - (0.5 if aligned else 0)
        least = -math.inf if aligned else 1
        tall, wide = max(y2 - y1, least) / height, max(x2 - x1, least) / width
        n, m = (ratio, ratio) if ratio > 0 else (math.ceil(tall), math.ceil(wide))
        for row in range(height):
            for column in range(width):
                values = [
                    at(
                        images[int(index)],
                        y1 + (row + (i + 0.5) / n) * tall,
                        x1 + (column + (j + 0.5) / m) * wide,
                    )
                    for i in range(n)
                    for j in range(m)
                ]
                pooled[k, :, row, column] = np.mean(values, 0) if values else 0
    return pooled


def some_regions(count, seed, images=2, spread=20.0):
    """Regions in a map of about 12 x 16, a few of them outside it and a few empty."""
    rng = np.random.default_rng(seed)
    corner = rng.uniform(-6, spread, (count, 2))
    size = rng.uniform(0, 14, (count, 2)) * (rng.random((count, 2)) > 0.1)
    index = rng.integers(0, images, (count, 1))
    return torch.from_numpy(np.hstack([index, corner, corner + size]))


def some_images(seed, *shape):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("ratio", RATIOS)
def test_every_point_is_where_brute_force_has_it(ratio, aligned):
    images, regions = some_images(1, 2, 3, 12, 16), some_regions(20, 2)
    expected = brute_force(images.numpy(), regions, 0.8, 3, 2, ratio, aligned)
    for dtype, error in ((torch.float64, 1e-12), (torch.float32, 1e-4)):
        pooled = roi_align(images.to(dtype), regions.to(dtype), 0.8, 3, 2, ratio, aligned)
        assert pooled.dtype == dtype and pooled.shape == (20, 3, 3, 2)
        np.testing.assert_allclose(pooled.numpy(), expected, rtol=0, atol=error)


@given(
    corner=st.tuples(*[st.integers(-8, 16)] * 2),
    size=st.tuples(*[st.integers(0, 16)] * 2),
    shape=st.tuples(*[st.integers(1, 5)] * 2),
    scale=st.sampled_from([1.0, 0.5, 0.25]),
    ratio=st.sampled_from(RATIOS),
    aligned=st.booleans(),
)
def test_halves_and_borders_are_those_of_brute_force(corner, size, shape, scale, ratio, aligned):
    """Corners on multiples of half a place: points on centres, borders and just outside."""
    corner, size = np.array(corner) / 2, np.array(size) / 2
    images = some_images(3, 1, 1, *shape)
    regions = np.concatenate([[0], corner, corner + size])[None]
    expected = brute_force(images.numpy(), regions, scale, 2, 2, ratio, aligned)
    pooled = roi_align(images, torch.from_numpy(regions), scale, 2, 2, ratio, aligned)
    np.testing.assert_allclose(pooled.numpy(), expected, rtol=0, atol=1e-12)


@pytest.fixture(scope="module")
def operators():
    import_torchvision()
    return sys.modules["torchvision.ops.roi_align"]


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("ratio", RATIOS)
def test_torchvisions_own_python_gives_the_same_values_and_gradients(operators, ratio, aligned):
    reference = operators._roi_align.__wrapped__  # as written, without torch.compile
    regions = some_regions(12, 5)  # within the map: torchvision's has no zeros beyond its border
    corners, furthest = regions[:, 1:].view(-1, 2, 2), torch.tensor([16.0, 12.0])
    corners[:, 0] = corners[:, 0].clamp(min=0).minimum(furthest - 1)
    corners[:, 1] = corners[:, 1].maximum(corners[:, 0] + 0.5).minimum(furthest)
    results = []
    for function in (roi_align, reference):
        images = some_images(4, 2, 3, 12, 16).float().requires_grad_()
        pooled = function(images, regions.float(), 1.0, 3, 4, ratio, aligned)
        pooled.square().sum().backward()
        results.append((pooled.detach(), images.grad))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("ratio", [-1, 2])
def test_gradients_are_the_derivatives(ratio, aligned):
    images = some_images(6, 2, 2, 4, 5).requires_grad_()
    regions = some_regions(5, 7, spread=3)

    def pool(images):
        return roi_align(images, regions, 0.5, 2, 3, ratio, aligned)

    assert torch.autograd.gradcheck(pool, images)


def test_few_regions_at_a_time_change_nothing(monkeypatch):
    images, regions = some_images(8, 2, 3, 12, 16), some_regions(30, 9)
    whole = roi_align(images, regions, 1.0, 2, 2, -1, False)
    monkeypatch.setattr(module, "_LARGEST", 100)
    assert torch.equal(roi_align(images, regions, 1.0, 2, 2, -1, False), whole)
    backwards = roi_align(images, regions.flip(0), 1.0, 2, 2, -1, False)
    assert torch.equal(backwards.flip(0), whole)


def test_no_regions_no_numbers_and_other_layouts():
    images = some_images(10, 2, 3, 12, 16).float()
    assert roi_align(images, torch.zeros(0, 5), 1.0, 7, 7, 2, False).shape == (0, 3, 7, 7)
    regions = torch.tensor([[0, math.nan, 0, 5, 5], [0, 0, 0, math.inf, 5], [1.0, 2, 2, 9, 9]])
    for ratio in RATIOS:
        pooled = roi_align(images, regions, 1.0, 2, 2, ratio, False)
        assert not pooled[0].any() and pooled.isfinite().all()
        assert torch.equal(pooled[2:], roi_align(images, regions[2:], 1.0, 2, 2, ratio, False))
    last = images.contiguous(memory_format=torch.channels_last)
    again = roi_align(last, regions[2:], 1.0, 2, 2, 2, False)
    torch.testing.assert_close(again, roi_align(images, regions[2:], 1.0, 2, 2, 2, False))
    half = roi_align(images.bfloat16(), regions[2:], 1.0, 2, 2, 2, False)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), again, rtol=0.02, atol=0.02)


def test_wrong_regions_are_refused():
    images = torch.zeros(2, 1, 4, 4)
    with pytest.raises(RuntimeError, match=r"regions \(k, 5\), not \(3, 4\)"):
        roi_align(images, torch.zeros(3, 4), 1.0, 2, 2, 2, False)
    for index in (-1.0, 2.0, math.nan):
        with pytest.raises(RuntimeError, match="other than 2 images"):
            roi_align(images, torch.tensor([[index, 0, 0, 1, 1]]), 1.0, 2, 2, 2, False)


def test_torchvision_uses_it_everywhere(operators, monkeypatch):
    """Its function, its layers and its heads; torch.compile is never asked."""
    if operators._has_ops is sys.modules["torchvision.extension"]._has_ops:
        pytest.skip("torchvision's compiled operators load here")

    def never(*_, **__):
        raise AssertionError("torch.compile was called")

    monkeypatch.setattr(torch, "compile", never)
    torchvision = import_torchvision()
    images, regions = some_images(11, 1, 3, 12, 16).float(), some_regions(6, 12, 1).float()
    expected = roi_align(images, regions, 0.5, 2, 2, 2, False)
    boxes = [regions[:, 1:]]
    assert torch.equal(torchvision.ops.roi_align(images, boxes, 2, 0.5, 2), expected)
    assert torch.equal(torchvision.ops.RoIAlign(2, 0.5, 2)(images, regions), expected)
    pool = torchvision.ops.MultiScaleRoIAlign(["0"], 2, 2)
    assert torch.equal(pool({"0": images}, boxes, [(24, 32)]), expected)
    heads = torchvision.models.detection.roi_heads
    masks = torch.ones(1, 12, 16, dtype=torch.uint8)
    box = torch.tensor([[1.0, 1, 9, 9]])
    projected = heads.project_masks_on_boxes(masks, box, torch.tensor([0]), 4)
    assert torch.equal(projected, torch.ones(1, 4, 4))


def test_a_failed_import_before_ours_does_no_harm():
    """What a user meets who imports torchvision first, and what follows."""
    script = """
try:
    import torchvision
except RuntimeError as error:
    assert "torchvision::nms" in str(error)
from freqprep.models.torchvision_ops import import_torchvision
torchvision = import_torchvision()
import torch
box = torch.tensor([[0.0, 0, 4, 4]])
assert torchvision.ops.roi_align(torch.ones(1, 2, 8, 8), [box], 2).eq(1).all()
assert torchvision.ops.nms(box, torch.ones(1), 0.5).tolist() == [0]
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
