"""Mixup and cutmix: targets have the shares of the pixels, and chance is a function."""

import numpy as np
import pytest
import torch
from pixel_side import to_blocks
from scipy import stats

from freqprep.augment.mixup_cutmix import cutmix, mix, mixup
from freqprep.errors import UsageError

KEY = {"seed": 3, "epoch": 1, "step": 4}
TARGETS = torch.eye(5)


def constant(planes: int = 2, rows: int = 6, columns: int = 9) -> torch.Tensor:
    """Image i is i everywhere."""
    return torch.arange(5.0)[:, None, None, None].expand(5, planes, rows, columns).clone()


def test_mixup_blends_each_image_and_its_target_with_the_one_before():
    inputs, targets = mixup(constant(), TARGETS, 0.4, **KEY)
    share = float(targets[1, 1])
    assert 0 < share < 1
    for image in range(5):
        before = (image - 1) % 5
        expected = share * image + (1 - share) * before
        torch.testing.assert_close(inputs[image], torch.full((2, 6, 9), expected))
        torch.testing.assert_close(
            targets[image], share * TARGETS[image] + (1 - share) * TARGETS[before]
        )


def test_mixup_of_coefficients_is_that_of_pixels():
    pixels = np.random.default_rng(0).normal(size=(4, 3, 16, 24))
    of_pixels, _ = mixup(torch.from_numpy(pixels), torch.eye(4), 1.0, **KEY)
    of_blocks, _ = mixup(torch.from_numpy(to_blocks(pixels)), torch.eye(4), 1.0, **KEY)
    np.testing.assert_allclose(of_blocks.numpy(), to_blocks(of_pixels.numpy()), atol=1e-12)


@pytest.mark.parametrize("step", range(40))
def test_cutmix_pastes_one_box_and_counts_its_area(step):
    data = constant()
    inputs, targets = cutmix(data, TARGETS, 1.0, seed=0, epoch=0, step=step)
    pasted = inputs != data
    assert torch.equal(pasted, pasted[:1, :1].expand_as(pasted))
    assert torch.equal(inputs[pasted], data.roll(1, 0)[pasted])
    where = pasted[0, 0].nonzero()
    if len(where):
        height, width = (where.max(0).values - where.min(0).values + 1).tolist()
        assert len(where) == height * width
    share = 1 - len(where) / 54
    torch.testing.assert_close(targets, share * TARGETS + (1 - share) * TARGETS.roll(1, 0))
    assert torch.equal(data, constant())


def test_the_share_is_beta_and_depends_on_every_number():
    def share(**key):
        return float(mixup(constant(1, 1, 1), TARGETS, 0.5, **{**KEY, **key})[1][0, 0])

    shares = [share(step=step) for step in range(1000)]
    assert stats.kstest(shares, stats.beta(0.5, 0.5).cdf).pvalue > 1e-3
    assert share() == share()
    assert len({share(), share(seed=4), share(epoch=2), share(step=5)}) == 4


def test_boxes_are_everywhere():
    hit = sum(
        cutmix(constant(), TARGETS, 1.0, seed=0, epoch=0, step=step)[0] != constant()
        for step in range(300)
    )[0, 0]
    assert (hit > 20).all() and (hit < 200).all()


def test_a_recipe_mixes_what_it_asks_for():
    labels, key = torch.tensor([4, 0, 1, 2, 3]), (3, 1, 4)
    one_hot = TARGETS[labels]
    inputs, targets = mix(constant(), labels, 5, 0, 0, key)
    assert torch.equal(inputs, constant()) and targets is labels
    for alphas, change in (((0.2, 0), mixup), ((0, 0.2), cutmix)):
        found = mix(constant(), labels, 5, *alphas, key)
        expected = change(constant(), one_hot, 0.2, **KEY)
        assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))
    blended = [
        bool((mix(constant(), labels, 5, 1.0, 1.0, (0, 0, step))[0] % 1 > 0).any())
        for step in range(200)
    ]
    assert 70 < sum(blended) < 130


@pytest.mark.parametrize("alpha", [-1, float("nan"), float("inf"), 0])
def test_an_alpha_that_is_not_above_zero_is_refused(alpha):
    with pytest.raises(UsageError, match="alpha must be above 0"):
        mixup(constant(), TARGETS, alpha, **KEY)
