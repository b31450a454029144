"""Batches of a store in a bucket are those of the local copy, bit for bit."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import freqprep
from freqprep.errors import StoreError

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*use of fork:DeprecationWarning", "ignore::freqprep.streaming.misuse.DroppedRows"
)


@pytest.fixture
def pair(bucket, many) -> tuple[freqprep.Split, freqprep.Split]:
    url = bucket.upload(many, "many.zarr")
    return tuple(freqprep.open_store(place)["train"] for place in (many, url))


@pytest.mark.parametrize("options", [{}, {"lanes": 2, "threads": 4}, {"shuffle": False}])
def test_a_loader_gives_the_same_batches(pair, options):
    loaders = [freqprep.Loader(split, batch_size=64, seed=3, **options) for split in pair]
    assert len(loaders[0]) == len(loaders[1])
    for _ in range(2):
        for one, other in zip(*loaders, strict=True):
            assert torch.equal(one.codes, other.codes)
            assert torch.equal(one.labels, other.labels)
            np.testing.assert_array_equal(one.rows, other.rows)
    state = loaders[0].state_dict()
    loaders[1].load_state_dict(state)  # a run goes on where its store has been moved
    for loader in loaders:
        loader.close()


def test_a_dataloader_whose_worker_is_started_afresh(pair):
    sets = [freqprep.Dataset(split, "paper-6") for split in pair]
    sampler = sets[0].batch_sampler(100, shuffle=False)
    local = DataLoader(sets[0], batch_sampler=sampler)
    remote = DataLoader(
        sets[1], batch_sampler=sampler, num_workers=1, multiprocessing_context="spawn"
    )
    for (x, labels), (x_remote, labels_remote) in zip(local, remote, strict=True):
        assert torch.equal(x, x_remote) and torch.equal(labels, labels_remote)


def test_a_forked_worker_says_how_to_start_it(pair):
    data = freqprep.Dataset(pair[1], "paper-6")
    loader = DataLoader(
        data, batch_size=100, num_workers=2, multiprocessing_context="fork", timeout=60
    )
    with pytest.raises(Exception, match='multiprocessing_context="spawn"'):
        next(iter(loader))


def test_a_store_that_was_replaced_meanwhile_is_noticed(pair, bucket):
    loader = freqprep.Loader(pair[1], batch_size=64)
    key = "many.zarr/train/manifest.json"
    bucket.put(key, bucket.get(key).replace(b'"seed": 3', b'"seed": 4'))
    with pytest.raises(StoreError, match=r"s3://.*was replaced"):
        next(iter(loader))
    loader.close()
