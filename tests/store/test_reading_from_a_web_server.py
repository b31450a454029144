"""A store behind a plain web server, which cannot list: its splits are named."""

import shutil

import numpy as np
import pytest

import freqprep
from freqprep.errors import StoreError, UnknownSplitError, UsageError


@pytest.fixture
def url(web_server, store) -> str:
    shutil.copytree(store, web_server.folder / "data/fit.zarr")
    return f"{web_server.url}/data/fit.zarr"


def test_a_named_split_is_read(url, store):
    local, remote = (freqprep.open_store(place)["train"] for place in (store, url))
    assert remote.content_id == local.content_id
    np.testing.assert_array_equal(remote.labels, local.labels)
    np.testing.assert_array_equal(remote.read([3, 140], "paper-6"), local.read([3, 140], "paper-6"))
    np.testing.assert_array_equal(remote.read_codes(local.valid), local.read_codes(local.valid))


def test_splits_must_be_named(url):
    opened = freqprep.open_store(url)
    assert "val" in opened and "test" not in opened
    with pytest.raises(UnknownSplitError, match="no finished split 'test'"):
        _ = opened["test"]
    for ask in (list, len, lambda store: store.only(None)):
        with pytest.raises(UsageError, match=r"cannot be listed.*name the split"):
            ask(opened)


def test_a_server_without_ranges_is_named(url, web_server):
    split = freqprep.open_store(url)["train"]
    web_server.ranges = False
    with pytest.raises(StoreError, match=f"{url}.*does not serve ranges"):
        split.read([3], "paper-6")


def test_nothing_there_and_nobody_there(url, web_server):
    with pytest.raises(StoreError, match="there is no store"):
        freqprep.open_store(f"{web_server.url}/other.zarr")
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:9"):
        freqprep.open_store("http://127.0.0.1:9/fit.zarr")
