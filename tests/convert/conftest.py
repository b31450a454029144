"""Many images, the store of them, and a place for it in a bucket."""

from pathlib import Path

import pytest
import synthetic
from bucket_store import KEY

from freqprep.storage.paths import as_path


@pytest.fixture(scope="session")
def many(tmp_path_factory) -> Path:
    """As many images as fill 5 shards. Read only."""
    return synthetic.image_folder(tmp_path_factory.mktemp("many"), {"train": 520}, corrupt=5)


@pytest.fixture(scope="session")
def expected(many, tmp_path_factory) -> dict[str, bytes]:
    return synthetic.contents(synthetic.make(many, tmp_path_factory.mktemp("whole") / "out.zarr"))


@pytest.fixture
def place(bucket):
    return as_path(f"{bucket.url}/{KEY}")
