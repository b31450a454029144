"""Tar shards to a store: the codes of the same images in folders, from files and from a bucket."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import synthetic
from bucket_store import KEY
from interruptions import under_way, wait_for_a_shard
from tar_shards import put_tar

import freqprep
from freqprep.convert.verify_source import compare_with_source
from freqprep.errors import SourceChangedError, SourceError
from freqprep.sources.folders import is_named_image
from freqprep.storage.paths import as_path
from freqprep.store.verify import verify

SAMPLES = 60


def as_tars(source: Path, root: Path) -> Path:
    """The images of class folders as tars with some samples each; returns their folder."""
    for split in sorted(path for path in source.iterdir() if path.is_dir()):
        images = [path for path in sorted(split.rglob("*")) if is_named_image(bytes(path))]
        for number, first in enumerate(range(0, len(images), SAMPLES)):
            members = []
            for path in images[first : first + SAMPLES]:
                key = f"{path.parent.name}/{path.stem}"
                label = synthetic.CLASSES.index(path.parent.name)
                members += [(f"{key}.cls", b"%d" % label), (f"{key}.jpg", path.read_bytes())]
            put_tar(root / f"photos-{split.name}-{number:04}.tar", *members)
    (root / "classnames.txt").write_text("\n".join(synthetic.CLASSES))
    return root


@pytest.fixture(scope="module")
def tars(source, tmp_path_factory) -> Path:
    return as_tars(source, tmp_path_factory.mktemp("tars"))


@pytest.fixture(scope="module")
def converted(tars, tmp_path_factory) -> Path:
    store = tmp_path_factory.mktemp("converted") / "out.zarr"
    return synthetic.make(tars, store, kind="webdataset")


def same_images(tars: freqprep.Split, folders: freqprep.Split) -> None:
    assert tars.attributes.class_ids == folders.attributes.class_ids
    rows = {key.rpartition(".")[0]: row for row, key in enumerate(folders.keys)}
    order = [rows[key] for key in tars.keys]
    assert sorted(order) == list(range(len(folders)))
    assert np.array_equal(tars.labels, folders.labels[order])
    assert np.array_equal(tars.valid, folders.valid[order])
    assert [tars.defect(row) for row in np.flatnonzero(~tars.valid)] == [
        folders.defect(order[row]) for row in np.flatnonzero(~tars.valid)
    ]
    kept = np.flatnonzero(tars.valid)
    assert np.array_equal(tars.read_codes(kept), folders.read_codes(np.array(order)[kept]))


def test_images_have_the_codes_that_they_have_from_folders(tars, converted, store):
    for split in ("train", "val"):
        same_images(freqprep.open_store(converted)[split], freqprep.open_store(store)[split])
    assert verify(converted).problems == ()
    assert compare_with_source(converted, tars, 50) == (50 + 24, [])


def test_tars_of_a_bucket_give_the_same_store(tars, converted, bucket, tmp_path):
    url = as_path(bucket.upload(tars, "tars"))
    again = synthetic.make(url, tmp_path / "out.zarr", kind="webdataset")
    assert synthetic.contents(again) == synthetic.contents(converted)
    assert compare_with_source(again, url, 9) == (18, [])
    synthetic.make(url, as_path(f"{bucket.url}/{KEY}"), kind="webdataset")
    assert bucket.contents(KEY) == synthetic.contents(converted)


@pytest.mark.parametrize("remote", [False, True])
def test_killed_and_resumed_it_is_the_same_store(tars, converted, bucket, tmp_path, remote):
    source = bucket.upload(tars, "tars") if remote else str(tars)
    store = tmp_path / "out.zarr"
    words = ("convert", "webdataset", source, store, "--size", "32", "--jobs", "1")
    with under_way(*words) as process:
        wait_for_a_shard(process, store)
        os.killpg(process.pid, signal.SIGKILL)
    synthetic.make(as_path(source), store, kind="webdataset", resume=True)
    assert synthetic.contents(store) == synthetic.contents(converted)


def test_a_tar_that_is_written_again_before_the_end_is_an_error(source, tmp_path, monkeypatch):
    tars = as_tars(source, tmp_path / "tars")
    first = min(tars.glob("*train*.tar"))
    before = freqprep.convert.run.save_plan

    def change(*given: object) -> None:
        before(*given)
        first.write_bytes(first.read_bytes())
        os.utime(first, ns=(0, time.time_ns() + 10**9))

    monkeypatch.setattr("freqprep.convert.run.save_plan", change)
    with pytest.raises(SourceChangedError, match=r"photos-train-0000\.tar is not what"):
        synthetic.make(tars, tmp_path / "out.zarr", kind="webdataset")


def test_the_command_says_what_it_found_and_what_it_ignored(tars, tmp_path):
    put_tar(tmp_path / "x.tar", ("a.jpg", synthetic.picture(0)), ("a.json", b'{"kind": "cat"}'))
    words = ("convert", "webdataset", tmp_path / "x.tar", tmp_path / "out.zarr")
    options = ("--label-column", "kind", "--split", "test", "--size", "32")
    done = synthetic.freqprep(*words, *options)
    assert done.returncode == 0, done.stderr
    split = freqprep.open_store(tmp_path / "out.zarr")["test"]
    assert (split.attributes.class_ids, list(split.keys)) == (("cat",), ["a"])
    os.rename(tmp_path / "x.tar", tmp_path / "x.tar.gz")
    done = synthetic.freqprep("convert", "webdataset", tmp_path, tmp_path / "other.zarr")
    assert done.returncode == SourceError.exit_code
    assert "unpack each with gunzip" in done.stderr
