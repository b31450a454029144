"""Colour changes equal torchvision's on pixels that need no clamp, in either basis."""

import itertools

import numpy as np
import pytest
import torch
from pixel_side import to_blocks

from freqprep.augment.color_transforms import Basis, ColorChange, to_rgb
from freqprep.models.torchvision_ops import import_torchvision
from freqprep.spectrum.channels import channels
from freqprep.spectrum.color import TO_RGB

import_torchvision()
from torchvision.transforms.v2 import functional  # noqa: E402

N = 6
GREY_WEIGHTS = 0.03  # grey levels: torchvision gives red 0.2989
CHANGES = {
    "brightness": functional.adjust_brightness,
    "contrast": functional.adjust_contrast,
    "saturation": functional.adjust_saturation,
}
SELECTIONS = ["all", "square-24", "cb_0_0,y_2_1,y_0_0", "y_0_1,cr_0_0", "y_1_1"]


@pytest.fixture(scope="module")
def pictures() -> tuple[torch.Tensor, torch.Tensor]:
    """RGB in the middle of the range, and the same as Y - 128, Cb - 128, Cr - 128."""
    rgb = torch.from_numpy(np.random.default_rng(0).uniform(80, 160, (N, 3, 32, 40)))
    back = torch.from_numpy(np.linalg.inv(TO_RGB))
    ycbcr = torch.einsum("ij,njhw->nihw", back, rgb)
    ycbcr[:, 0] -= 128
    return rgb, ycbcr


def factors() -> np.ndarray:
    return np.linspace(0.7, 1.4, N)


def change(name: str, factor=None) -> ColorChange:
    if name == "grey":
        return ColorChange.none(N).grey(np.arange(N) % 2 == 0)
    return getattr(ColorChange.none(N), name)(factors() if factor is None else factor)


def applied(data: torch.Tensor, colors: ColorChange, used=None) -> torch.Tensor:
    gains, constants = (colors.luma, colors.chroma), (colors.constant, colors.share)
    rows = (torch.from_numpy(np.stack(pair)) for pair in (gains, constants))
    return Basis(used).apply(data.clone(), *rows)


def by_torchvision(rgb, change):
    return torch.stack(
        [255 * change(one / 255, float(f)) for one, f in zip(rgb, factors(), strict=True)]
    )


def test_rgb_is_the_inverse_of_ycbcr(pictures):
    rgb, ycbcr = pictures
    torch.testing.assert_close(to_rgb(ycbcr), rgb)
    assert (to_rgb(ycbcr.float()) - rgb).abs().max() < 1e-4


@pytest.mark.parametrize("name", CHANGES)
def test_on_pixels(pictures, name):
    found = to_rgb(applied(pictures[1], change(name)))
    exact = 1e-6 if name == "brightness" else GREY_WEIGHTS
    assert (found - by_torchvision(pictures[0], CHANGES[name])).abs().max() < exact


def test_grey_on_pixels(pictures):
    rgb, ycbcr = pictures
    chosen = torch.arange(N) % 2 == 0
    found = to_rgb(applied(ycbcr, change("grey")))
    assert torch.equal(found[~chosen], to_rgb(ycbcr)[~chosen])
    expected = functional.rgb_to_grayscale(rgb[chosen], 3)
    assert (found[chosen] - expected).abs().max() < GREY_WEIGHTS


@pytest.mark.parametrize("name", [*CHANGES, "grey"])
@pytest.mark.parametrize("used", SELECTIONS)
def test_on_coefficients_it_is_the_same_as_on_pixels(pictures, name, used):
    used = channels(used)

    def coefficients(pixels):
        return torch.from_numpy(to_blocks(pixels.numpy())[:, list(used.indices)])

    found = applied(coefficients(pictures[1]), change(name), used)
    expected = coefficients(applied(pictures[1], change(name)))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


def test_changes_one_after_the_other_are_one_change_in_any_order(pictures):
    results = []
    for order in itertools.permutations(CHANGES):
        data, colors = pictures[1], ColorChange.none(N)
        for name in order:
            data, colors = applied(data, change(name)), getattr(colors, name)(factors())
        results += [data, applied(pictures[1], colors)]
    for other in results[1:]:
        torch.testing.assert_close(other, results[0], rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", CHANGES)
def test_a_factor_of_one_changes_nothing(pictures, name):
    assert torch.equal(applied(pictures[1], change(name, np.ones(N))), pictures[1])
