"""Splits above the limit: another form, the same data, whatever interrupts; small ones stay."""

import os
import random
import shutil
import signal

import numpy as np
import pytest
import synthetic
from bucket_store import KEY, begin
from interruptions import under_way, wait_for_changes
from large_forms import PROGRAM, lower_limits

import freqprep
from freqprep.convert.run import Request, convert
from freqprep.engines import Workers
from freqprep.errors import CorruptStoreError
from freqprep.pack import PackRequest, pack
from freqprep.store import class_counts, schema, summary
from freqprep.store.summary import summarize
from freqprep.store.verify import verify

KILLS = 3


@pytest.fixture
def large(monkeypatch, tmp_path):
    lower_limits(monkeypatch, tmp_path / "copies")


@pytest.fixture(scope="module")
def large_store(many, tmp_path_factory):
    """The store in its larger form. Read only."""
    folder = tmp_path_factory.mktemp("large")
    with pytest.MonkeyPatch.context() as patch:
        lower_limits(patch, folder / "copies")
        return synthetic.make(many, folder / "out.zarr")


@pytest.fixture(scope="module")
def simple_store(many, tmp_path_factory):
    return synthetic.make(many, tmp_path_factory.mktemp("simple") / "out.zarr")


def test_the_data_are_those_of_the_simple_form(large, large_store, simple_store):
    split, simple = (freqprep.open_store(path)["train"] for path in (large_store, simple_store))
    assert (split.attributes.format_version, simple.manifest.attributes["format_version"]) == (
        "1.2",
        "1.0",
    )
    for name in schema.IMAGE_ARRAYS:
        np.testing.assert_array_equal(split.array(name), simple.array(name))
    for name in ("labels", "valid", "sizes"):
        assert isinstance(getattr(split, name), np.memmap)
        np.testing.assert_array_equal(getattr(split, name), getattr(simple, name))
    assert split.keys == simple.keys and list(split.keys) == list(simple.keys)
    rejected = int(np.flatnonzero(~simple.valid)[0])
    assert split.defect(rejected) == simple.defect(rejected) != ""
    assert not any(name.startswith("coefficients/c/") for name in split.manifest.files)
    for shard in range(simple.shards):
        assert split.shard_table.entry(shard) == simple.shard_table.entry(shard)
    np.testing.assert_array_equal(split.read_codes(split.valid), simple.read_codes(simple.valid))
    assert split.moments.total.tolist() == simple.moments.total.tolist()
    assert verify(large_store, Workers(1)).problems == ()


def test_its_summary_and_its_rejects_are_the_same_in_parts(
    large, large_store, simple_store, monkeypatch
):
    simple = summarize(freqprep.open_store(simple_store)["train"]).to_dict()
    for module in (summary, class_counts):
        monkeypatch.setattr(module, "_ROWS_AT_ONCE", 100)
    found = summarize(freqprep.open_store(large_store)["train"]).to_dict()
    form = {"content_id", "files", "stored_bytes", "stored_bytes_per_image"}
    assert {name for name in simple if found[name] != pytest.approx(simple[name])} == form
    name = "out.zarr.rejected-train.jsonl"
    rejects = large_store.with_name(name).read_bytes()
    assert rejects == simple_store.with_name(name).read_bytes() != b""


def test_its_size_is_that_of_its_files(large, large_store):
    split = freqprep.open_store(large_store)["train"]
    files = [path.stat().st_size for path in (large_store / "train").rglob("*") if path.is_file()]
    others = [
        (large_store / "train" / name).stat().st_size for name in ("manifest.json", "zarr.json")
    ]
    assert split.shard_table.all_bytes() == sum(files) - sum(others)
    assert split.shard_table.files() + 2 == len(files)


def test_an_older_reader_names_the_format(monkeypatch, large_store):
    monkeypatch.setattr(schema, "FORMAT_VERSION", "1.1")
    with pytest.raises(freqprep.errors.FormatVersionError, match=r"has format 1\.2, .* up to 1\.1"):
        freqprep.open_store(large_store)["train"]


def test_killed_at_random_moments_it_is_resumed_to_the_same_bytes(many, large_store, tmp_path):
    dice, store, options = random.Random(1), tmp_path / "out.zarr", []
    words = ["convert", "imagefolder", many, store, "--size", "32", "--jobs", "1"]
    for _ in range(KILLS):
        with under_way(*words, *options, program=PROGRAM) as process:
            if wait_for_changes(process, store / ".partial-train", dice.randrange(5, 90)):
                os.killpg(process.pid, signal.SIGKILL)
            _, errors = process.communicate()
        options = ["--resume"]
        if process.returncode != -signal.SIGKILL:
            assert process.returncode == 3, errors
            break
    done = synthetic.in_a_process(*words, "--resume", program=PROGRAM)
    assert done.returncode == 3, done.stderr
    assert synthetic.digest(store) == synthetic.digest(large_store)


def test_resumed_from_a_torn_binary_journal(large, many, large_store, tmp_path, monkeypatch):
    begin(monkeypatch, many, tmp_path / "begun.zarr", 4)
    journal = tmp_path / "begun.zarr/.partial-train/journal.bin"
    whole = journal.read_bytes()
    assert not (journal.parent / "journal.jsonl").exists() and len(whole) < 4 * 3500
    for kept in (len(whole) - 1, 10):
        store = tmp_path / f"{kept}.zarr"
        shutil.copytree(tmp_path / "begun.zarr", store)
        (store / ".partial-train/journal.bin").write_bytes(whole[:kept])
        synthetic.make(many, store, resume=True)
        assert synthetic.digest(store) == synthetic.digest(large_store)


def test_a_bucket_has_the_same_bytes_after_a_resume(
    large, many, large_store, place, bucket, monkeypatch
):
    begin(monkeypatch, many, place, 4)
    (segment,) = bucket.keys(f"{KEY}/.partial-train/journal-")
    assert segment.endswith(".bin")
    synthetic.make(many, place, resume=True)
    prefix = f"{KEY}/"
    found = {key.removeprefix(prefix): bucket.get(key) for key in bucket.keys(prefix)}
    assert found == synthetic.contents(large_store)
    split = freqprep.open_store(f"{bucket.url}/{KEY}")["train"]
    assert split.read_codes([3]).any() and split.keys[3]
    assert verify(f"{bucket.url}/{KEY}", Workers(1)).problems == ()
    begin(monkeypatch, many, place, 4, overwrite=True)
    (segment,) = bucket.keys(f"{KEY}/.partial-train/journal-")
    bucket.put(segment, bucket.get(segment)[:-9])
    with pytest.raises(CorruptStoreError, match=r"journal.*cut off.*--overwrite"):
        synthetic.make(many, place, resume=True)


def test_packed_it_keeps_the_form_and_rejects_are_tried_again(large, many, large_store, tmp_path):
    pack(PackRequest(large_store, tmp_path / "packed.zarr", channels="square-24", level=3, jobs=1))
    assert verify(tmp_path / "packed.zarr", Workers(1)).problems == ()
    packed = freqprep.open_store(tmp_path / "packed.zarr")["train"]
    assert packed.attributes.format_version == "1.2" and len(packed.attributes.channels) == 24
    shutil.copytree(large_store, tmp_path / "again.zarr")
    convert(
        Request("imagefolder", many, tmp_path / "again.zarr", size=32, jobs=1, retry_rejected=True)
    )
    assert synthetic.digest(tmp_path / "again.zarr") == synthetic.digest(large_store)
