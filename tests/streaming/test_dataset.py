"""The map-style data set in torch's own DataLoader."""

import pickle
import sys
import types

import numpy as np
import pytest
import torch
from batches import CHANNELS
from torch.utils.data import DataLoader

import freqprep
from freqprep import Dataset
from freqprep.errors import UsageError
from freqprep.streaming.dataset import BatchSampler
from freqprep.streaming.misuse import DroppedRows

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*use of fork:DeprecationWarning", "ignore::freqprep.streaming.misuse.DroppedRows"
)


@pytest.fixture(autouse=True)
def no_accelerate(monkeypatch):
    """Accelerate, if another test has used it in this process, is not at work here."""
    monkeypatch.delitem(sys.modules, "accelerate.state", raising=False)


@pytest.fixture
def dataset(split):
    return Dataset(split, CHANNELS)


def test_images_are_the_splits_valid_ones(split, dataset):
    assert len(dataset) == split.valid.sum() == 1294
    for index in (0, 7, -1, np.int64(200)):
        coefficients, label = dataset[index]
        row = dataset.rows[index]
        np.testing.assert_array_equal(coefficients, split.read([row], CHANNELS)[0])
        assert label == split.labels[row] and isinstance(label, int)
    with pytest.raises(IndexError):
        dataset[1294]
    with pytest.raises(TypeError):
        dataset["x"]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("shuffle", [True, False])
def test_a_dataloader_gives_every_image_its_label(split, dataset, workers, shuffle):
    sampler = dataset.batch_sampler(48, shuffle=shuffle)
    loader = DataLoader(dataset, batch_sampler=sampler, num_workers=workers)
    epochs = []
    for epoch in range(2):
        sampler.set_epoch(epoch)
        expected = [dataset.rows[indices] for indices in sampler]
        sampler.set_epoch(epoch)
        found = list(loader)
        assert len(found) == len(loader) == len(expected)
        for (x, y), rows in zip(found, expected, strict=True):
            np.testing.assert_array_equal(x, split.read(rows, CHANNELS))
            np.testing.assert_array_equal(y, split.labels[rows])
        epochs.append(np.concatenate(expected))
    assert len(set(epochs[0].tolist())) == len(epochs[0]) == (1248 if shuffle else 1294)
    assert (epochs[0].tolist() == epochs[1].tolist()) == (not shuffle)


def test_any_sampler_will_do(split, dataset):
    loader = DataLoader(dataset, batch_size=100, shuffle=True, num_workers=0)
    labels = torch.cat([y for _, y in loader])
    assert np.bincount(labels).tolist() == np.bincount(split.labels[split.valid]).tolist()


def test_batches_come_from_few_shards_that_are_decoded_once(split, monkeypatch):
    opened = []
    plain = type(split).open_shard
    monkeypatch.setattr(
        type(split), "open_shard", lambda self, shard: opened.append(shard) or plain(self, shard)
    )
    dataset = Dataset(split, CHANNELS)
    for _ in DataLoader(dataset, batch_sampler=dataset.batch_sampler(16)):
        pass
    assert sorted(opened) == list(range(11))


def test_the_transform_gets_each_image(split):
    dataset = Dataset(split, CHANNELS, transform=lambda image: image.sum((1, 2)))
    (x, _) = next(iter(DataLoader(dataset, batch_sampler=dataset.batch_sampler(8, shuffle=False))))
    expected = split.read(dataset.rows[:8], CHANNELS).sum((2, 3))
    np.testing.assert_allclose(x, expected, rtol=1e-5)


def test_epochs_follow_one_another_and_can_be_chosen(dataset):
    sampler = dataset.batch_sampler(48, seed=3)
    first, second = list(sampler), list(sampler)
    assert first != second
    next(iter(sampler))
    assert sampler.epoch == 3
    sampler.set_epoch(0)
    assert list(sampler) == first
    sampler.sampler.set_epoch(1)  # as Lightning and Accelerate do
    assert list(sampler) == second
    assert list(dataset.batch_sampler(48, seed=4)) != first
    with pytest.raises(UsageError, match=r"epoch must .*got -1"):
        sampler.set_epoch(-1)


def test_processes_share_the_batches(dataset, monkeypatch):
    whole = list(dataset.batch_sampler(48))
    in_order = list(dataset.batch_sampler(48, shuffle=False))
    monkeypatch.setenv("WORLD_SIZE", "4")
    found, found_in_order = [], []
    for rank in range(4):
        monkeypatch.setenv("RANK", str(rank))
        with pytest.warns(DroppedRows, match="leaves out 142 of 1,294 rows .* smaller batch_size"):
            found.append(list(dataset.batch_sampler(48)))
        found_in_order.append(list(dataset.batch_sampler(48, shuffle=False)))
    assert [len(mine) for mine in found] == [6] * 4  # of 26 batches, two are dropped
    assert [batch for step in zip(*found, strict=True) for batch in step] == whole[:24]
    assert [b for mine in found_in_order for b in mine] == [
        b for rank in range(4) for b in in_order[rank::4]
    ]


def test_it_can_be_pickled(dataset):
    copy, sampler = pickle.loads(pickle.dumps((dataset, dataset.batch_sampler(48))))
    np.testing.assert_array_equal(copy[5][0], dataset[5][0])
    assert list(sampler) == list(dataset.batch_sampler(48))


def test_what_cannot_be_is_refused(split, many, dataset):
    with pytest.raises(UsageError, match="a data set reads a split, not Store"):
        Dataset(freqprep.open_store(many))
    with pytest.raises(UsageError, match=r"batch_size must .*got 0"):
        dataset.batch_sampler(0)
    for told in ({"rank": 1}, {"world_size": 2}, {"rank": 2, "world_size": 2}):
        with pytest.raises(UsageError, match=r"(rank|world_size) must"):
            dataset.batch_sampler(48, **told)
    with pytest.raises(UsageError, match="batch_size=1295"):
        BatchSampler(dataset, 1295)
    with pytest.raises(UsageError, match="few images for a batch of 700 per process: 1,294"):
        dataset.batch_sampler(700, rank=0, world_size=2)
    assert repr(dataset) == f"Dataset('{split.path}', 1,294 images, 3 channels)"


def test_batches_dealt_by_something_else_are_all_given(dataset, monkeypatch):
    whole = list(dataset.batch_sampler(48))
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert list(dataset.batch_sampler(48, rank=0, world_size=1)) == whole
    assert list(dataset.batch_sampler(48, rank=1, world_size=2)) == whole[1::2]
    state = types.SimpleNamespace(PartialState=types.SimpleNamespace(_shared_state={"at": "work"}))
    monkeypatch.setitem(sys.modules, "accelerate.state", state)
    with pytest.raises(UsageError, match="dealt twice, half of the images"):
        dataset.batch_sampler(48)
    assert list(dataset.batch_sampler(48, rank=0, world_size=1)) == whole


def test_many_dropped_rows_are_warned_of(dataset):
    with pytest.warns(DroppedRows, match="leaves out 94 of 1,294 rows"):
        dataset.batch_sampler(600)


def test_an_older_iterator_does_not_change_the_epoch_that_was_chosen(dataset):
    sampler = dataset.batch_sampler(48)
    iterator = iter(sampler)
    next(iterator)
    sampler.set_epoch(5)
    next(iterator)
    assert sampler.epoch == 5
