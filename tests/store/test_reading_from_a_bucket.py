"""A store in a bucket gives what its local copy gives, in few requests; damage is found."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

import freqprep
from freqprep.engines import Workers
from freqprep.errors import (
    CorruptStoreError,
    ShardMissingError,
    StoreError,
    UnknownSplitError,
    UsageError,
)
from freqprep.store.reader import find_row
from freqprep.store.verify import Problem, verify

SHARD = "coefficients/c/0/0/0/0"


@pytest.fixture
def url(bucket, store) -> str:
    return bucket.upload(store, "stores/fit.zarr")


@pytest.fixture
def pair(store, url) -> tuple[freqprep.Split, freqprep.Split]:
    """The training split, of the local store and of the one in the bucket."""
    return freqprep.open_store(store)["train"], freqprep.open_store(url)["train"]


def test_all_that_a_split_has_is_the_same(pair):
    local, remote = pair
    assert (len(remote), remote.content_id) == (len(local), local.content_id)
    for name in {path.split("/")[0] for path in local.manifest.files} - {"coefficients"}:
        np.testing.assert_array_equal(remote.array(name), local.array(name))
    rows = [5, 130, 5, -7]
    np.testing.assert_array_equal(remote.read(rows, "paper-6"), local.read(rows, "paper-6"))
    np.testing.assert_array_equal(remote.read_codes(local.valid), local.read_codes(local.valid))
    np.testing.assert_array_equal(remote.image(3, 12), local.image(3, 12))
    assert find_row(remote, local.keys[9]) == 9
    assert repr(remote) == repr(local).replace(str(local.path), str(remote.path))


def test_xarray_reads_lazily(pair):
    pytest.importorskip("xarray")
    local, remote = (
        split.to_xarray().isel(image=slice(0, 130, 7), channel=[3, 1]) for split in pair
    )
    assert local.identical(remote.load())


def test_a_split_travels_to_another_process_without_a_client(pair):
    local, remote = pair
    again = pickle.loads(pickle.dumps(remote))
    np.testing.assert_array_equal(again.read([1, 2], "paper-6"), local.read([1, 2], "paper-6"))
    assert b"secret" not in pickle.dumps(remote)


def test_a_store_lists_what_is_unfinished_and_incomplete(bucket, store):
    url = bucket.upload(store, "a/b.zarr")
    bucket.delete("a/b.zarr/val/manifest.json")
    bucket.put("a/b.zarr/.partial-test/plan.json", b"{}")
    opened = freqprep.open_store(url)
    assert (list(opened), opened.unfinished, opened.incomplete) == (["train"], ["test"], ["val"])
    with pytest.raises(UnknownSplitError, match=r"val has no manifest\.json"):
        opened["val"]
    assert str(opened.path) == url and freqprep.open_store(f"{url}/").path == opened.path


# --- requests -----------------------------------------------------------------------------------


def test_few_requests_open_a_store_and_a_split(bucket, url):
    bucket.requests.clear()
    opened = freqprep.open_store(url)
    listings = [line for line in bucket.requests if "list-type" in line]
    assert len(listings) == 1 and len(bucket.requests) <= 5
    bucket.requests.clear()
    split = opened["train"]
    assert len(bucket.requests) == 2  # the manifest, and the group's document
    bucket.requests.clear()
    assert len(split.labels) == 160
    assert len(bucket.requests) == 2  # an array's document, and its only chunk


def test_a_shard_is_two_requests_for_adjacent_channels(bucket, pair):
    _, remote = pair
    assert remote.valid.any()
    with remote.open_shard(0) as file:
        bucket.requests.clear()
        list(file.read(range(192)))
        assert len(bucket.requests) == 1
    bucket.requests.clear()
    remote.open_shard(0).close()
    assert not bucket.requests  # its index is kept


def test_a_shard_that_goes_after_its_index_was_read_is_missing(bucket, store, tmp_path):
    url = bucket.upload(store, "goes.zarr")
    split = freqprep.open_store(url)["train"]
    split.read_codes(0)
    bucket.delete(f"goes.zarr/train/{SHARD}")
    with split.open_shard(0) as file, pytest.raises(ShardMissingError, match="s3://"):
        list(file.read([0, 5]))


def problems(place: str | Path) -> tuple[Problem, ...]:
    return verify(place, Workers(1)).problems


def wheres(place: str | Path) -> list[str]:
    return [problem.where for problem in problems(place)]


def test_verify_reads_each_shard_once(bucket, url):
    bucket.requests.clear()
    assert not problems(url)
    shards = [line for line in bucket.requests if "coefficients/c" in line]
    assert len(shards) == len(set(shards)) == 3


# --- damage -------------------------------------------------------------------------------------


def change(bucket, key: str) -> None:
    data = bytearray(bucket.get(key))
    data[len(data) // 2] ^= 4
    bucket.put(key, bytes(data))


def test_verify_finds_what_is_changed_or_missing(bucket, store, tmp_path):
    copy = Path(shutil.copytree(store, tmp_path / "copy.zarr"))
    url = bucket.upload(copy, "copy.zarr")
    for name in (SHARD, "label/c/0", "zarr.json"):
        key, path = f"copy.zarr/train/{name}", copy / "train" / name
        whole = path.read_bytes()
        change(bucket, key)
        path.write_bytes(bucket.get(key))
        found = wheres(url)
        assert found and found == wheres(copy), name
        bucket.delete(key)
        path.unlink()
        found = wheres(url)
        assert found and found == wheres(copy), name
        bucket.put(key, whole)
        path.write_bytes(whole)
    assert not problems(url)


def test_verify_finds_what_does_not_belong(bucket, url):
    strays = ["other/zarr.json", "stray", "train/stray", "val/label/c/1"]
    for name in strays:
        bucket.put(f"stores/fit.zarr/{name}", b"{}")
    assert sorted(wheres(url)) == ["other/manifest.json", *strays[1:]]


def test_reading_damage_names_the_object(bucket, url):
    split = freqprep.open_store(url)["train"]
    rows = np.flatnonzero(split.valid)[:120]
    change(bucket, f"stores/fit.zarr/train/{SHARD}")
    with pytest.raises(CorruptStoreError, match=f"{url}/train/{SHARD} is damaged"):
        split.read_codes(rows)
    bucket.put(f"stores/fit.zarr/train/{SHARD}", b"short")
    with pytest.raises(CorruptStoreError, match=f"{url}/train/{SHARD} is damaged"):
        split.read_codes(rows)
    bucket.delete(f"stores/fit.zarr/train/{SHARD}")
    with pytest.raises(ShardMissingError, match=f"{url}/train/{SHARD} is missing"):
        split.read_codes(rows)
    split = freqprep.open_store(url)["train"]
    change(bucket, "stores/fit.zarr/train/label/c/0")
    with pytest.raises(CorruptStoreError, match=f"{url}/train/label/c/0 is not what"):
        _ = split.labels
    bucket.delete("stores/fit.zarr/train/label/c/0")
    with pytest.raises(ShardMissingError, match=f"{url}/train/label/c/0 is missing"):
        _ = split.labels


# --- what is no store ---------------------------------------------------------------------------


def test_a_path_that_pathlib_has_broken_is_refused(url):
    with pytest.raises(UsageError, match=r"s3:/.*as a str"):
        freqprep.open_store(Path(url))


def test_what_is_there_instead_is_named(bucket, store, url):
    bucket.put("runs/first/model.json", b"{}")
    for where, what in {
        "stores": f"has stores in it.*{url}",
        "stores/fit.zarr/train": f"one split of a store.*name the store, {url}",
        "stores/fit.zarr/train/label": f"part of a store.*name the store, {url}",
        "runs/first": "folder of a training run",
        "runs": "has no zarr.json",
        "stores/fat.zarr": f"there is no store.*did you mean {url}",
        "nothing/here": "there is no store",
    }.items():
        with pytest.raises(StoreError, match=what):
            freqprep.open_store(f"{bucket.url}/{where}")


def test_keys_may_have_any_character(bucket, store):
    files = ["zarr.json", *(f"train/{name}" for name in ("zarr.json", "manifest.json"))]
    files += ["train/label/zarr.json", "train/label/c/0"]
    for name in ("a b", "per%20cent", "ha#sh", "plus+", "é", "q?m", "~x", "a&b=c", "b[r]*", "\\"):
        for file in files:
            bucket.put(f"{name}/fit.zarr/{file}", (store / file).read_bytes())
        opened = freqprep.open_store(f"{bucket.url}/{name}/fit.zarr")
        assert list(opened) == ["train"] and len(opened["train"].labels) == 160, name
