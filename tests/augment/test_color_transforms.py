"""Colour changes equal torchvision's on pixels that need no clamp, in either basis."""

import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from pixel_side import to_blocks  # noqa: E402

from freqprep.augment import color_transforms  # noqa: E402
from freqprep.models.torchvision_ops import import_torchvision  # noqa: E402
from freqprep.spectrum.channels import channels  # noqa: E402
from freqprep.spectrum.color import TO_RGB  # noqa: E402

import_torchvision()
from torchvision.transforms.v2 import functional  # noqa: E402

N = 6
GREY_WEIGHTS = 0.03  # grey levels: torchvision gives red 0.2989
CHANGES = {
    "brightness": (color_transforms.brightness, functional.adjust_brightness),
    "contrast": (color_transforms.contrast, functional.adjust_contrast),
    "saturation": (color_transforms.saturation, functional.adjust_saturation),
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


def factors() -> torch.Tensor:
    return torch.linspace(0.7, 1.4, N, dtype=torch.float64)


def by_torchvision(rgb, change):
    return torch.stack(
        [255 * change(one / 255, float(f)) for one, f in zip(rgb, factors(), strict=True)]
    )


def test_rgb_is_the_inverse_of_ycbcr(pictures):
    rgb, ycbcr = pictures
    torch.testing.assert_close(color_transforms.to_rgb(ycbcr), rgb)
    assert (color_transforms.to_rgb(ycbcr.float()) - rgb).abs().max() < 1e-4


@pytest.mark.parametrize("name", CHANGES)
def test_on_pixels(pictures, name):
    ours, theirs = CHANGES[name]
    found = color_transforms.to_rgb(ours(pictures[1], factors(), color_transforms.Basis.of(None)))
    exact = 1e-6 if name == "brightness" else GREY_WEIGHTS
    assert (found - by_torchvision(pictures[0], theirs)).abs().max() < exact


def test_grey_on_pixels(pictures):
    rgb, ycbcr = pictures
    chosen = torch.arange(N) % 2 == 0
    found = color_transforms.to_rgb(
        color_transforms.grey(ycbcr, chosen, color_transforms.Basis.of(None))
    )
    assert torch.equal(found[~chosen], color_transforms.to_rgb(ycbcr)[~chosen])
    expected = functional.rgb_to_grayscale(rgb[chosen], 3)
    assert (found[chosen] - expected).abs().max() < GREY_WEIGHTS


@pytest.mark.parametrize("name", [*CHANGES, "grey"])
@pytest.mark.parametrize("used", SELECTIONS)
def test_on_coefficients_it_is_the_same_as_on_pixels(pictures, name, used):
    used = channels(used)
    change = CHANGES[name][0] if name in CHANGES else color_transforms.grey
    factor = factors() if name in CHANGES else torch.arange(N) % 2 == 0

    def coefficients(pixels):
        return torch.from_numpy(to_blocks(pixels.numpy())[:, list(used.indices)])

    data = coefficients(pictures[1])
    before = data.clone()
    found = change(data, factor, color_transforms.Basis.of(used))
    expected = coefficients(change(pictures[1], factor, color_transforms.Basis.of(None)))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)
    assert torch.equal(data, before)


def test_the_order_does_not_matter(pictures):
    results = []
    for order in itertools.permutations(CHANGES):
        data = pictures[1]
        for name in order:
            data = CHANGES[name][0](data, factors(), color_transforms.Basis.of(None))
        results.append(data)
    for other in results[1:]:
        torch.testing.assert_close(other, results[0], rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", CHANGES)
def test_a_factor_of_one_changes_nothing(pictures, name):
    data = pictures[1].float()
    found = CHANGES[name][0](data, torch.ones(N), color_transforms.Basis.of(None))
    assert torch.equal(found, data)
