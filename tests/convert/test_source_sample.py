"""Bytes and distortion by step, measured from the source, against conversions with those steps."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import subset
import synthetic

from freqprep.convert.source_sample import source_sample
from freqprep.engines import Workers
from freqprep.errors import SourceChangedError, SourceError
from freqprep.importance.allocation import allocation_of
from freqprep.importance.rate_distortion import FINE, STEPS, Rates, measure_rates, sampled_shards
from freqprep.spectrum.channels import CHANNELS, Selection
from freqprep.spectrum.quantization import PRECISIONS
from freqprep.store.channel_bytes import ChannelBytes
from freqprep.store.reader import Split, open_store

ALL = Selection(tuple(range(CHANNELS)), "all")
INT8, COMPACT = PRECISIONS["int8"], PRECISIONS["compact"]


def bytes_of(split: Split) -> np.ndarray:
    """Bytes of each channel an image, by the shards' indexes."""
    return ChannelBytes.of(split).totals / split.valid.sum()


def rates_of(split: Split, source: Path, jobs: int = 1) -> Rates:
    sample = source_sample(split, source, split.path.parent)
    return measure_rates(split, bytes_of(split), Workers(jobs), sample)


@pytest.fixture(scope="module")
def compact_store(source, tmp_path_factory):
    store = tmp_path_factory.mktemp("compact") / "compact.zarr"
    return synthetic.make(source, store, precision=COMPACT)


@pytest.fixture(scope="module")
def train(compact_store):
    return open_store(compact_store)["train"]


@pytest.fixture(scope="module")
def rates(train, source):
    return rates_of(train, source)


@pytest.fixture(scope="module")
def fine(source, tmp_path_factory):
    """A conversion at the steps of the sample."""
    store = tmp_path_factory.mktemp("fine") / "fine.zarr"
    return open_store(synthetic.make(source, store, precision=FINE))


@pytest.mark.parametrize("name", ["train", "val"])
def test_the_codes_are_those_of_a_conversion(compact_store, source, fine, name):
    split = open_store(compact_store)[name]
    sample = pickle.loads(pickle.dumps(source_sample(split, source, compact_store)))
    for shard in sampled_shards(split):
        codes = sample(shard)
        assert codes.shape == (CHANNELS, 128, *split.attributes.encoding.geometry.grid)
        again = codes.copy()
        with fine[name].open_shard(shard) as file:
            assert len(list(file.read(range(CHANNELS), again.__getitem__))) == CHANNELS
        assert np.array_equal(codes, again)


def test_bytes_at_finer_steps_are_those_of_a_conversion(rates, store):
    real = bytes_of(open_store(store)["train"])
    assert allocation_of(rates, ALL, INT8).bytes_per_image == pytest.approx(real.sum(), rel=0.02)
    columns = [STEPS.index(step) for step in INT8.steps]
    predicted = rates.channel_bytes[np.arange(CHANNELS), columns]
    np.testing.assert_allclose(predicted, real, rtol=0.02, atol=0.25)


def test_what_cannot_be_measured_from_codes_can_from_the_source(train, rates):
    of_codes = measure_rates(train, bytes_of(train), Workers(1))
    assert allocation_of(of_codes, ALL, INT8) is None and not of_codes.of_source
    assert allocation_of(rates, ALL, INT8) is not None and rates.of_source
    assert np.isfinite(rates.channel_bytes).all() and np.isfinite(rates.distortion).all()
    assert (rates.images, rates.precision) == (of_codes.images, COMPACT)


def test_distortion_is_that_measured_from_a_finer_store(rates, fine):
    reference = measure_rates(fine["train"], bytes_of(fine["train"]), Workers(1))
    np.testing.assert_allclose(rates.distortion, reference.distortion, rtol=1e-3)
    np.testing.assert_allclose(rates.absent, reference.absent)
    stored = allocation_of(reference, ALL, COMPACT)
    assert allocation_of(rates, ALL, COMPACT).distortion == pytest.approx(stored.distortion, 1e-3)


@pytest.mark.parametrize("name", ["store", "crop_store", "coarse_store", "fine_store"])
def test_at_the_stored_steps_bytes_are_the_stored_ones(request, source, name):
    split = open_store(request.getfixturevalue(name))["train"]
    found, cost = rates_of(split, source), bytes_of(split)
    assert np.array_equal(found.stored_bytes, cost)
    precision = split.attributes.encoding.precision
    assert allocation_of(found, ALL, precision).bytes_per_image == pytest.approx(cost.sum())
    if precision.codes == "int8":
        columns = [STEPS.index(step) for step in precision.steps]
        np.testing.assert_allclose(found.channel_bytes[np.arange(CHANNELS), columns], cost)


def test_of_a_subset_the_stored_channels_are_measured(compact_store, rates, source, tmp_path):
    """The steps of the others are not known, so tables are compared on what is stored."""
    kept = [0, 1, 8, 64, 191]
    path = subset.keep(compact_store, tmp_path / "few.zarr", kept, level=1)
    few = rates_of(open_store(path)["train"], source)
    np.testing.assert_allclose(few.channel_bytes[kept], rates.channel_bytes[kept])
    np.testing.assert_allclose(few.distortion[kept], rates.distortion[kept])
    others = np.setdiff1d(np.arange(CHANNELS), kept)
    assert np.isinf(few.channel_bytes[others]).all() and np.isinf(few.distortion[others]).all()
    chosen = Selection(tuple(kept), "kept")
    assert allocation_of(few, chosen, INT8) is not None and allocation_of(few, ALL, INT8) is None


def test_workers_measure_the_same(train, rates, source):
    again = rates_of(train, source, jobs=2)
    assert np.array_equal(again.channel_bytes, rates.channel_bytes)
    assert np.array_equal(again.distortion, rates.distortion)


def test_another_source_is_refused(train, source, tmp_path):
    folder = Path(shutil.copytree(source, tmp_path / "source"))
    (folder / "train/apple/00003.jpg").rename(folder / "train/apple/other.jpg")
    with pytest.raises(SourceError, match="other images"):
        rates_of(train, folder)
    with pytest.raises(SourceError):
        rates_of(train, tmp_path / "nothing")


def padded(data: bytes, length: int) -> bytes:
    """A file of another length that decodes to the same image."""
    assert len(data) <= length
    return data + bytes(length - len(data))


def test_a_changed_image_is_refused(train, source, tmp_path):
    folder = Path(shutil.copytree(source, tmp_path / "source"))
    victim = folder / "train/apple/00009.jpg"
    whole = victim.read_bytes()
    same_size = synthetic.pixels(1000, 17 + 9, 40 - 9)
    for data, what in [
        (synthetic.picture(4), "has another length in bytes"),
        (b"x" * len(whole), "is now rejected"),
        (padded(synthetic.encoded(same_size[:9], quality=20), len(whole)), "is of another size"),
        (padded(synthetic.encoded(same_size, quality=70), len(whole)), "has other codes"),
    ]:
        victim.write_bytes(data)
        with pytest.raises(SourceChangedError, match=what) as refused:
            rates_of(train, folder)
        assert "apple/00009.jpg' is no longer the image" in str(refused.value)
    victim.write_bytes(whole)
    # An image that was rejected does not count, whatever it is now.
    rejected = sorted((folder / "train").rglob("*.jpg"), key=lambda path: path.name)[-1]
    rejected.write_bytes(synthetic.picture(1))
    assert rates_of(train, folder).images == train.valid.sum()
