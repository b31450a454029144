"""Scores against brute force over all codes, numpy, scipy and Pillow."""

import numpy as np
import pytest
from brute import rgb_error
from PIL import Image
from scipy import stats

from freqprep.importance import redundancy, scores
from freqprep.importance.gain import greedy_gain, reconstruction_psnr
from freqprep.importance.ranking import SCORES
from freqprep.importance.visibility import SHORT_SIDE, scale_of, transfer
from freqprep.spectrum.channels import CHANNELS, published
from freqprep.spectrum.dct import inverse
from freqprep.spectrum.resizing import resize_matrix


def test_moments(sums, steps, reference):
    values = reference.all_coefficients
    assert np.allclose(scores.mean(sums, steps), values.mean(axis=1), rtol=0, atol=1e-9)
    assert np.allclose(scores.std(sums, steps), values.std(axis=1), rtol=1e-9)
    assert np.allclose(scores.energy(sums, steps), (values**2).mean(axis=1), rtol=1e-12)
    share = (values**2).sum(axis=1) / (values**2).sum()
    assert np.allclose(scores.energy_share(sums, steps), share, rtol=1e-12)


def test_zeros_and_entropy(sums, steps, reference):
    codes = reference.all_codes
    assert np.allclose(scores.zero_fraction(sums, steps), (codes == 0).mean(axis=1), rtol=1e-12)
    expected = [stats.entropy(np.unique(c, return_counts=True)[1], base=2) for c in codes]
    assert np.allclose(scores.entropy(sums, steps), expected, atol=1e-12)


@pytest.mark.parametrize("groups", [(0,), (1, 4, 6), tuple(range(8))])
def test_a_part_scores_as_its_images_alone(sums, steps, reference, groups):
    part, images = sums.part(groups), reference.part(groups)
    assert np.allclose(scores.std(part, steps), images.all_coefficients.std(axis=1), rtol=1e-9)
    zeros = (images.all_codes == 0).mean(axis=1)
    assert np.allclose(scores.zero_fraction(part, steps), zeros, rtol=1e-12)
    expected = np.corrcoef(images.activity.T)
    assert np.allclose(redundancy.correlation(part), expected, atol=1e-2)


def test_visible_is_the_energy_that_a_resize_leaves(split, sums, steps, reference):
    """Against the definition, image by image, with the transfer of its own scale."""
    weight = np.repeat([3.0, 0.344136**2 + 1.772**2, 1.402**2 + 0.714136**2], 64)
    seen = np.zeros(CHANNELS)
    for size, coefficients in zip(reference.sizes, reference.coefficients, strict=True):
        left = np.tile(transfer()[scale_of(size.min())], 3)
        seen += weight * left * (coefficients**2).sum(axis=1)
    assert np.allclose(scores.visible(sums, steps), seen / sums.blocks.sum(), rtol=1e-5)


@pytest.mark.parametrize("short", [1024, 512, 375, 256, 128])
def test_the_transfer_is_what_pillow_leaves(short):
    """Random blocks of one frequency, resized by Pillow: energy a pixel, before to after."""
    rng = np.random.default_rng(short)
    for k in (0, 1, 2, 9, 18, 27, 40):
        coefficients = np.zeros((64, short // 8, short // 8), np.float32)
        coefficients[k] = rng.normal(0, 30, coefficients.shape[1:])
        picture = inverse(coefficients) - 128
        resized = Image.fromarray(picture.astype(np.float32)).resize((SHORT_SIDE, SHORT_SIDE), 2)
        ratio = (np.asarray(resized) ** 2).mean() / (picture**2).mean()
        expected = transfer()[scale_of(np.array(short)), k]
        assert ratio == pytest.approx(expected, rel=0.12, abs=0.01), k


@pytest.mark.parametrize(("length", "resized"), [(100, 37), (37, 100), (64, 64), (1, 5), (9, 1)])
def test_resizing_is_pillows(length, resized):
    row = np.random.default_rng(0).normal(0, 50, length).astype(np.float32)
    expected = np.asarray(
        Image.fromarray(row[None]).resize((resized, 1), Image.Resampling.BILINEAR)
    )
    assert np.allclose(resize_matrix(length, resized) @ row, expected[0], atol=1e-3)


@pytest.mark.parametrize("name", ["paper-6", "square-24", "learned-24", "paper-64"])
def test_psnr_is_that_of_the_pixels(split, sums, steps, name):
    chosen = published(name).indices
    expected = 10 * np.log10(255**2 / rgb_error(split, chosen))
    assert reconstruction_psnr(sums, steps, chosen) == pytest.approx(expected, abs=2e-3)


def test_all_channels_are_exact(sums, steps):
    assert reconstruction_psnr(sums, steps, range(CHANNELS)) == np.inf


def test_gain_takes_the_best_channel_each_time(sums, steps):
    gains, order = greedy_gain(sums, steps)
    assert sorted(order) == list(range(CHANNELS))
    for count in (0, 1, 2, 5, 23, 100):
        left = [k for k in range(CHANNELS) if k not in order[:count]]
        quality = {k: reconstruction_psnr(sums, steps, (*order[:count], k)) for k in left}
        assert quality[order[count]] == pytest.approx(max(quality.values()), abs=1e-9)
    assert (gains >= 0).all()


def test_gains_add_up_to_the_psnr_over_what_rounding_leaves(sums, steps):
    """Grey to all channels: the ratio of the whole error to that of the rounding."""
    gains, _ = greedy_gain(sums, steps)
    gram = np.array([3.0, 0.344136**2 + 1.772**2, 1.402**2 + 0.714136**2])
    rounding = (gram.repeat(64) * steps**2 / 12).sum() / 192
    nothing = 255**2 / 10 ** (reconstruction_psnr(sums, steps, ()) / 10)
    expected = 10 * np.log10((nothing + rounding) / rounding)
    assert gains.sum() == pytest.approx(expected, abs=1e-4)


def test_correlation_is_numpys(sums, reference):
    expected = np.corrcoef(reference.activity.T)
    assert np.allclose(redundancy.correlation(sums), expected, atol=2e-3)


def test_shared_information_is_that_of_normal_variables(sums):
    r = redundancy.correlation(sums)[3, 7]
    covariance = np.array([[1, r], [r, 1]])
    normal = stats.multivariate_normal
    apart = 2 * stats.norm.entropy()
    together = normal(cov=covariance).entropy()
    expected = (apart - together) / np.log(2)
    assert redundancy.shared_information(sums)[3, 7] == pytest.approx(expected, abs=1e-9)
    assert (np.diag(redundancy.shared_information(sums)) == 0).all()


@pytest.mark.parametrize("empty", [(), (0, 3, 4, 11), tuple(range(1, 11))])
def test_mrmr_takes_the_best_difference_each_time(empty):
    """Channels that carry nothing are not among those chosen before, whatever their scores."""
    rng = np.random.default_rng(5)
    relevance = 0.2 * rng.random(12)
    shared = rng.random((12, 12))
    shared = np.triu(shared, 1) + np.triu(shared, 1).T
    candidates = np.ones(12, bool)
    candidates[list(empty)] = relevance[list(empty)] = 0
    shared[list(empty)] = shared[:, list(empty)] = 0
    values, order = redundancy.relevance_minus_redundancy(relevance, shared, candidates)
    assert order[12 - len(empty) :] == empty and (values[list(empty)] == 0).all()
    for count in range(12 - len(empty)):
        left = [k for k in range(12) if k not in order[:count] and k not in empty]
        difference = {
            k: relevance[k] - (shared[k, list(order[:count])].mean() if count else 0) for k in left
        }
        assert order[count] == max(left, key=difference.__getitem__)
        assert values[order[count]] == pytest.approx(difference[order[count]])


def test_mrmr_of_some_channels_is_that_of_a_store_that_has_no_others(sums, steps):
    """Those that are not stored, or never vary, count as little as if they did not exist."""
    some = sorted(np.random.default_rng(0).choice(CHANNELS, 40, replace=False).tolist())
    gone = np.setdiff1d(np.arange(CHANNELS), some)
    steps = steps.copy()
    steps[gone] = 0
    sums = sums.total()
    sums.activity[:, gone] = sums.class_activity[:, :, gone] = sums.class_levels[:, :, gone] = 0
    sums.activity_products[:, gone] = sums.activity_products[:, :, gone] = 0
    found = SCORES["mrmr"].ranking(sums, steps)
    relevance = SCORES["label_information"].ranking(sums, steps).values
    shared = redundancy.shared_information(sums)
    chosen: list[int] = []
    varying = [k for k in some if not redundancy.constant_channels(sums)[k]]
    while len(chosen) < len(varying):
        score = {
            k: relevance[k] - (shared[k, chosen].mean() if chosen else 0)
            for k in varying
            if k not in chosen
        }
        best = max(score, key=score.__getitem__)
        assert found.values[best] == pytest.approx(score[best], abs=1e-12)
        chosen.append(best)
    assert list(found.order[: len(chosen)]) == chosen and len(found.order) == 40


@pytest.mark.parametrize("name", list(SCORES))
def test_every_ranking_is_a_permutation_of_finite_values(sums, steps, name):
    ranking = SCORES[name].ranking(sums, steps)
    assert sorted(ranking.order) == list(range(CHANNELS))
    assert np.isfinite(ranking.values).all()
    assert ranking.values.shape == (CHANNELS,)
    assert ranking.meaning
    assert ranking.unit


DIRECTIONS = {
    "visible": -1,
    "energy": -1,
    "energy_share": -1,
    "std": -1,
    "zero_fraction": 1,
    "entropy": -1,
    "label_share": -1,
    "label_information": -1,
    "redundancy": 1,
}


@pytest.mark.parametrize(("name", "sign"), DIRECTIONS.items())
def test_rankings_go_the_right_way(sums, steps, name, sign):
    ranking = SCORES[name].ranking(sums, steps)
    assert (np.diff(sign * ranking.values[list(ranking.order)]) >= 0).all()


def test_the_mean_ranks_by_its_magnitude(sums, steps):
    ranking = SCORES["mean"].ranking(sums, steps)
    assert (np.diff(np.abs(ranking.values[list(ranking.order)])) <= 0).all()
