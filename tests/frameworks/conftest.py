"""A small store and its loaders, for trainers of other packages."""

from pathlib import Path

import pytest
import synthetic

import freqprep


@pytest.fixture(scope="session")
def photos(tmp_path_factory) -> Path:
    """A store of 300 images, 3 of them rejected, and 70 for validation. Read only."""
    folder = tmp_path_factory.mktemp("photos")
    source = synthetic.image_folder(folder / "source", {"train": 300, "val": 70}, corrupt=3)
    return synthetic.make(source, folder / "photos.zarr", size=16, seed=3)


@pytest.fixture
def train(photos) -> freqprep.Loader:
    from given import BATCH, CHANNELS, SEED

    split = freqprep.open_store(photos)["train"]
    return freqprep.Loader(split, CHANNELS, batch_size=BATCH, seed=SEED)


@pytest.fixture
def val(photos) -> freqprep.Loader:
    from given import BATCH, CHANNELS

    split = freqprep.open_store(photos)["val"]
    return freqprep.Loader(split, CHANNELS, batch_size=BATCH, shuffle=False)


@pytest.fixture
def seen():
    from given import Seen  # needs torch

    return Seen()
