"""A store to damage or add to, and one of its splits."""

import resource
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


@pytest.fixture
def little_memory():
    """As much memory as there is now, and a gigabyte."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**30, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)
