"""A store to damage or add to, and one of its splits."""

import shutil
from pathlib import Path

import pytest

import freqprep


@pytest.fixture
def copy(store, tmp_path) -> Path:
    return Path(shutil.copytree(store, tmp_path / "copy.zarr"))


@pytest.fixture
def val(copy) -> freqprep.Split:
    return freqprep.open_store(copy)["val"]
