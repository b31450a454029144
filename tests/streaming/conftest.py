"""A store of many shards."""

from pathlib import Path

import pytest
import synthetic
from batches import opened

import freqprep


@pytest.fixture(scope="session")
def many(tmp_path_factory) -> Path:
    """A store of 1300 images, 6 of them rejected: 11 shards, the last one not full. Read only."""
    folder = tmp_path_factory.mktemp("many")
    source = synthetic.image_folder(folder / "source", {"train": 1300}, corrupt=6)
    return synthetic.make(source, folder / "many.zarr", size=16, seed=3)


@pytest.fixture
def split(many) -> freqprep.Split:
    return freqprep.open_store(many)["train"]


@pytest.fixture
def url(many, slow_server) -> str:
    return slow_server.load(many, "many.zarr")


@pytest.fixture
def remote(url) -> freqprep.Split:
    return opened(url)
