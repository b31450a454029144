"""Bytes and distortion by step, predicted from codes, against conversions with those steps."""

import numpy as np
import pytest
import subset
import synthetic
from brute import whole

from freqprep.engines import Workers
from freqprep.importance.allocation import allocation_of
from freqprep.importance.rate_distortion import STEPS, Rates, measure_rates
from freqprep.importance.scores import rgb_gram
from freqprep.importance.visibility import scale_of, transfer
from freqprep.spectrum import FREQUENCIES
from freqprep.spectrum.channels import CHANNELS, Selection
from freqprep.spectrum.quantization import PRECISIONS, Precision
from freqprep.store.channel_bytes import ChannelBytes
from freqprep.store.reader import Split, open_store

ALL = Selection(tuple(range(CHANNELS)), "all")
EXACT = Precision("exact", "int16", (1 / 16,) * CHANNELS)


def bytes_of(split: Split) -> np.ndarray:
    """Bytes of each channel an image, by the shards' indexes."""
    return ChannelBytes.of(split).totals / split.valid.sum()


def rates_of(split: Split) -> Rates:
    return measure_rates(split, bytes_of(split), Workers(1))


@pytest.fixture(scope="module")
def converted(source, tmp_path_factory):
    """Splits of the same images at several precisions."""
    folder = tmp_path_factory.mktemp("precisions")
    names = (EXACT, PRECISIONS["int16"], PRECISIONS["int8"], subset.MIXED)
    return {
        one.name: open_store(
            synthetic.make(source, folder / f"{one.name}.zarr", precision=one, split="train")
        )["train"]
        for one in names
    }


@pytest.fixture(scope="module")
def exact(converted):
    return whole(converted["exact"])


def visible(split: Split, reference, other=None) -> np.ndarray:
    """Visible energy a block of each channel: of all of it, or of the difference to another."""
    gains = np.repeat(np.diag(rgb_gram()), FREQUENCIES)
    total = np.zeros(CHANNELS)
    for number, ours in enumerate(reference.coefficients):
        error = ours if other is None else ours - other.coefficients[number]
        weight = np.tile(transfer()[scale_of(reference.sizes[number].min())], 3) * gains
        total += weight * (error**2).sum(axis=1)
    return total / split.blocks.sum()


@pytest.mark.parametrize(("name", "within"), [("exact", 0.01), ("int16", 0.01), ("int8", 0.12)])
def test_distortion_is_that_of_a_conversion(converted, exact, name, within):
    """Predicted from steps of 1/16, 1, and 4 or 8; the coarse ones are 8 to 64."""
    split, coarse = converted[name], converted["mixed"]
    found = allocation_of(rates_of(split), ALL, subset.MIXED)
    true = visible(coarse, exact, whole(coarse)).sum()
    assert found.distortion == pytest.approx(true, rel=within)


def test_the_distortion_of_each_channel_is_that_of_a_conversion(converted, exact):
    rates, coarse = rates_of(converted["exact"]), converted["mixed"]
    columns = [STEPS.index(step) for step in subset.MIXED.steps]
    predicted = rates.distortion[np.arange(CHANNELS), columns]
    true = visible(coarse, exact, whole(coarse))
    seen = true > true.sum() / 1e4
    np.testing.assert_allclose(predicted[seen], true[seen], rtol=0.15, atol=0.5)
    np.testing.assert_allclose(rates.absent, visible(coarse, exact), rtol=0.01, atol=0.01)
    # Leaving a channel out is no better than any step.
    assert (rates.distortion <= rates.absent[:, None] * (1 + 1e-9))[seen].all()


@pytest.mark.parametrize("name", ["exact", "int16", "int8"])
def test_bytes_are_those_of_a_conversion(converted, name):
    found = allocation_of(rates_of(converted[name]), ALL, subset.MIXED)
    assert found.bytes_per_image == pytest.approx(bytes_of(converted["mixed"]).sum(), rel=0.03)


def test_as_stored_nothing_is_predicted(converted):
    for split in converted.values():
        rates = rates_of(split)
        cost = bytes_of(split)
        assert np.array_equal(rates.stored_bytes, cost)
        assert (rates.precision, rates.level) == (split.attributes.encoding.precision, 1)
        found = allocation_of(rates, ALL, rates.precision)
        assert found.bytes_per_image == pytest.approx(cost.sum())
        if rates.precision.codes == "int8":  # at the stored step the codes are the stored ones
            column = [STEPS.index(step) for step in rates.precision.steps]
            each = np.arange(CHANNELS)
            np.testing.assert_allclose(rates.channel_bytes[each, column], cost)
            np.testing.assert_allclose(rates.distortion[each, column], rates.stored_distortion)


def test_a_step_finer_than_the_stored_is_not_known(converted):
    rates = rates_of(converted["int8"])
    steps = converted["int8"].steps
    for index in range(CHANNELS):
        known = np.array(STEPS) >= steps[index]
        assert np.array_equal(np.isfinite(rates.channel_bytes[index]), known)
        assert np.array_equal(np.isfinite(rates.distortion[index]), known)
    assert allocation_of(rates, ALL, PRECISIONS["int16"]) is None


def test_saturation_counts_with_its_error(converted, exact):
    """Step 1 with int8 codes cannot hold the means: what is cut off is counted."""
    rates = rates_of(converted["int16"])
    mean = np.concatenate([codes[0] for codes in exact.coefficients])
    assert np.abs(mean).max() > 128
    assert rates.distortion[0, 0] > 10 * rates.distortion[0, 3]
    assert np.isfinite(rates.distortion).all()


def test_channels_that_are_not_stored_cannot_be_had(subset_store):
    split = open_store(subset_store)["train"]
    rates = rates_of(split)
    lacking = np.setdiff1d(np.arange(CHANNELS), split.attributes.channels)
    assert np.isinf(rates.channel_bytes[lacking]).all() and not rates.absent[lacking].any()
    assert np.isinf(rates.stored_bytes[lacking]).all()
    assert allocation_of(rates, ALL, rates.precision) is None


def test_the_bytes_of_a_higher_level_are_of_that_level(coarse_store, converted):
    """What level 17 saves of each channel is saved at coarser steps too."""
    split = open_store(coarse_store)["train"]
    rates, fast = rates_of(split), rates_of(converted["mixed"])
    assert rates.level == 17
    saved = rates.stored_bytes.sum() / fast.stored_bytes.sum()
    assert saved != 1
    same = fast.channel_bytes[:, 6].sum() * saved
    assert rates.channel_bytes[:, 6].sum() == pytest.approx(same, rel=0.1)


def test_measuring_is_the_same_each_time_and_with_more_workers(store):
    split = open_store(store)["train"]
    first, again = rates_of(split), measure_rates(split, bytes_of(split), Workers(2))
    assert np.array_equal(first.channel_bytes, again.channel_bytes)
    assert np.array_equal(first.distortion, again.distortion)


@pytest.mark.parametrize("name", ["train", "val"])
def test_of_few_shards_all_are_measured(store, name):
    split = open_store(store)[name]
    rates = rates_of(split)
    assert rates.images == split.valid.sum()
