"""A store packed into a bucket, and from one: the objects are the files of a local one."""

import json

import pytest
import synthetic
from interruptions import stopped_after

import freqprep
from freqprep.errors import UsageError
from freqprep.pack import PackRequest, pack
from freqprep.pack import run as packing
from freqprep.spectrum.channels import Selection, published
from freqprep.storage.paths import as_path
from freqprep.store.selections import save_selection

KEY = "some/new.zarr"
OPTIONS = {"channels": "square-24", "level": 3}


@pytest.fixture
def place(bucket):
    return as_path(f"{bucket.url}/{KEY}")


@pytest.fixture(scope="module")
def expected(store, tmp_path_factory) -> dict[str, bytes]:
    """The files of the packed store where it is local."""
    target = tmp_path_factory.mktemp("packed") / "new.zarr"
    pack(PackRequest(store, target, jobs=1, **OPTIONS))
    return synthetic.contents(target)


@pytest.mark.parametrize(("server", "jobs"), [("moto_bucket", 1), ("bucket", 2)])
def test_objects_are_the_files_of_a_local_store(request, store, expected, server, jobs):
    bucket = request.getfixturevalue(server)
    place = as_path(f"{bucket.url}/{KEY}")
    pack(PackRequest(store, place, jobs=jobs, **OPTIONS))
    assert bucket.contents(KEY) == expected
    entries = [json.loads(line) for line in bucket.get(f"{KEY}.log").splitlines()]
    assert [entry["split"] for entry in entries] == ["train", "val"]
    assert [entry["source"] for entry in entries] == [str(store.resolve())] * 2


def test_from_a_bucket_into_another_prefix(store, expected, place, bucket):
    source = as_path(bucket.upload(store, "old.zarr"))
    pack(PackRequest(source, place, jobs=1, **OPTIONS))
    assert bucket.contents(KEY) == expected
    entry = json.loads(bucket.get(f"{KEY}.log").splitlines()[0])
    assert entry["source"] == str(source)


def test_the_command(store, expected, place, bucket):
    words = [store, str(place), "--channels", OPTIONS["channels"], "--level", "3", "--jobs", "1"]
    document = synthetic.freqprep_json("pack", *words, "--dry-run")
    assert document["free_bytes"] is None
    assert bucket.keys("") == []
    assert synthetic.freqprep_json("pack", *words)["store"] == str(place)
    assert bucket.contents(KEY) == expected


@pytest.mark.parametrize("shards", [0, 1, 2])
def test_resumed(store, expected, place, bucket, monkeypatch, shards):
    with stopped_after(monkeypatch, packing, "pack_shard", shards):
        pack(PackRequest(store, place, jobs=1, **OPTIONS))
    assert "train" not in freqprep.open_store(place) or shards == 2
    pack(PackRequest(store, place, jobs=1, resume=True, **OPTIONS))
    assert bucket.contents(KEY) == expected


def test_saved_selections_are_carried(store, tmp_path, place, bucket):
    own = tmp_path / "own.zarr"
    pack(PackRequest(store, own, jobs=1))
    save_selection(own, Selection(published("square-24").indices, "mine"), {})
    pack(PackRequest(own, place, jobs=1))
    name = ".selections/mine.json"
    assert bucket.get(f"{KEY}/{name}") == (own / name).read_bytes()


@pytest.mark.parametrize("inside", ["old.zarr", "old.zarr/train", "old.zarr/new"])
def test_a_store_is_not_packed_into_itself(store, bucket, inside):
    source = as_path(f"{bucket.url}/old.zarr")
    with pytest.raises(UsageError, match="the store to pack"):
        PackRequest(source, as_path(f"{bucket.url}/{inside}"))
    PackRequest(source, as_path(f"{bucket.url}/old.zarr-small"))
