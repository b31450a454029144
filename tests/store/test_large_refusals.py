"""Large splits that lie: named errors, and nothing that their files do not hold."""

import json
import os
import pickle
import stat
from pathlib import Path

import numpy as np
import pytest
import synthetic
import zarr
from large_forms import lower_limits

import freqprep
from freqprep.engines import Workers
from freqprep.errors import CorruptStoreError, ShardMissingError, UsageError
from freqprep.store.manifest import Manifest
from freqprep.store.verify import verify
from freqprep.streaming.order import Order
from freqprep.streaming.shuffling import ShufflePlan


@pytest.fixture(autouse=True)
def large(monkeypatch, tmp_path):
    lower_limits(monkeypatch, tmp_path / "copies")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A store of 700 images in six shards. Read only."""
    folder = tmp_path_factory.mktemp("whole")
    source = synthetic.image_folder(folder / "source", {"train": 700}, corrupt=5)
    with pytest.MonkeyPatch.context() as patch:
        lower_limits(patch, folder / "copies")
        return synthetic.make(source, folder / "out.zarr")


@pytest.fixture
def copy(whole, tmp_path) -> Path:
    return next(synthetic.copies(whole, tmp_path))


def restate(split: Path, change) -> None:
    """Change the attributes and files of a manifest, and make the documents agree."""
    manifest, _ = synthetic.read_manifest(split)
    files = dict(manifest.files)
    change(manifest.attributes, files)
    synthetic.write_manifest(split, Manifest(manifest.attributes, files))


SHARD = "coefficients/c/3/0/0/0"
LIES = {
    "10**15 images": lambda attributes, files: attributes.update(images=10**15),
    "10**30 images": lambda attributes, files: attributes.update(images=10**30),
    "fewer images": lambda attributes, files: attributes.update(images=500),
    "one part less": lambda attributes, files: files.pop("shards/1"),
    "one part more": lambda attributes, files: files.update({"shards/2": files["shards/1"]}),
    "a shard too": lambda attributes, files: files.update({SHARD: files["shards/0"]}),
    "another number": lambda attributes, files: files.update({"shards/3": files.pop("shards/1")}),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_another_number_of_shards_than_parts_hold_is_refused(copy, little_memory, lie):
    restate(copy / "train", lie)
    with pytest.raises(CorruptStoreError, match=r"list another number|malformed|lists coeff"):
        freqprep.open_store(copy)["train"]
    (problem,) = verify(copy, Workers(1)).problems
    assert problem.where == "train/manifest.json"


def test_a_large_manifest_that_states_few_images_is_found(copy):
    restate(copy / "train", lambda attributes, files: attributes.update(images=0, rejected=0))
    assert len(freqprep.open_store(copy)["train"]) == 0
    assert verify(copy, Workers(1)).problems


def test_shards_in_a_manifest_of_one_level_are_counted_before_they_are_looked_for(
    copy, little_memory
):
    def lie(attributes, files):
        attributes.update(images=10**15, format_version="1.1")

    restate(copy / "train", lie)
    found = verify(copy, Workers(1)).problems
    assert 0 < len(found) < 1000


def test_parts_that_are_missing_or_damaged_are_named(copy):
    split = freqprep.open_store(copy)["train"]
    part = copy / "train/shards/1"
    data = bytearray(part.read_bytes())
    data[7] ^= 1
    part.write_bytes(data)
    assert split.read_codes([3]).any()  # of another part
    with pytest.raises(CorruptStoreError, match="shards/1 is not what the manifest says"):
        split.read_codes([600])
    assert "train/shards/1" in {problem.where for problem in verify(copy, Workers(1)).problems}
    part.unlink()
    with pytest.raises(ShardMissingError, match="shards/1 is missing"):
        freqprep.open_store(copy)["train"].read_codes([600])
    assert "train/shards/1" in {problem.where for problem in verify(copy, Workers(1)).problems}


def test_shards_that_are_missing_or_too_many_are_found(copy):
    folder = copy / "train/coefficients/c"
    (folder / "5").rename(folder / "9")
    (folder / "2/0/0/0").unlink()
    found = {problem.where for problem in verify(copy, Workers(1)).problems}
    assert {"train/coefficients/c/5/0/0/0", "train/coefficients/c/9/0/0/0"} < found
    assert "train/coefficients/c/2/0/0/0" in found


def shape(document: dict) -> None:
    document["shape"][0] = 10**15


def chunk(document: dict) -> None:
    document["chunk_grid"]["configuration"]["chunk_shape"][0] = 10**13
    document["shape"][0] = 3 * 10**13


def axes(document: dict) -> None:
    document["shape"].append(3)


def nothing(document: dict) -> None:
    document.clear()


def endless(document: dict) -> None:
    document["shape"][0] = 1e300


def no_type(document: dict) -> None:
    document["data_type"] = "f8,("


@pytest.mark.parametrize("change", [shape, chunk, axes, nothing, endless, no_type])
@pytest.mark.parametrize("name", ["valid", "key_offset"])
def test_an_array_that_states_more_than_its_chunks_hold_is_refused(
    copy, little_memory, name, change
):
    path = copy / "train" / name / "zarr.json"
    document = json.loads(path.read_bytes())
    change(document)
    path.write_text(json.dumps(document))
    synthetic.reseal(copy / "train")
    split = freqprep.open_store(copy)["train"]
    with pytest.raises(CorruptStoreError, match=rf"array {name} .*(chunk|document)"):
        split.arrays.column("valid") if name == "valid" else split.keys
    assert name in str(verify(copy, Workers(1)).problems)


def test_no_copy_is_made_of_an_array_with_more_rows_than_the_split(copy, tmp_path):
    synthetic.replace_array(copy / "train", "label", np.zeros(10**6, np.int64))
    split = freqprep.open_store(copy)["train"]
    with pytest.raises(CorruptStoreError, match=r"array label .* has 1000000 along image, not 700"):
        split.labels  # noqa: B018
    assert not list((tmp_path / "copies").rglob("*.npy"))


def test_offsets_that_point_outside_are_refused(copy):
    zarr.open_array(copy / "train/key_offset", mode="r+")[300] = 10**12
    synthetic.reseal(copy / "train")
    split = freqprep.open_store(copy)["train"]
    assert split.keys[0]
    with pytest.raises(CorruptStoreError, match="does not cut its values"):
        split.keys[300]
    (problem,) = verify(copy, Workers(1)).problems
    assert problem.where == "train/key_offset"


def test_a_copy_is_made_once_and_again_if_it_is_not_whole(whole, tmp_path):
    first = freqprep.open_store(whole)["train"]
    valid = np.array(first.valid)
    (path,) = (tmp_path / "copies").glob("freqprep-*/*/valid.npy")
    inode = path.stat().st_ino
    np.testing.assert_array_equal(freqprep.open_store(whole)["train"].valid, valid)
    assert path.stat().st_ino == inode and not first.valid.flags.writeable
    path.write_bytes(path.read_bytes()[:-1])
    np.testing.assert_array_equal(freqprep.open_store(whole)["train"].valid, valid)
    assert path.stat().st_ino != inode
    assert {other.name for other in path.parent.iterdir()} == {"valid.npy", "lock"}


def test_another_process_maps_the_copy(whole):
    split = freqprep.open_store(whole)["train"]
    assert split.valid.any() and split.keys[5] and split.defect(3) == ""
    data = pickle.dumps((split, Order(split.valid, ShufflePlan("rows"), 8)))
    again, order = pickle.loads(data)
    assert isinstance(again.valid, np.memmap) and isinstance(order.valid, np.memmap)
    np.testing.assert_array_equal(again.valid, split.valid)
    assert again.keys[5] == split.keys[5]
    np.testing.assert_array_equal(again.read_codes([5]), split.read_codes([5]))


@pytest.mark.parametrize("form", ["link", "open to others"])
def test_a_folder_for_copies_that_others_may_write_to_is_refused(whole, tmp_path, form):
    place = tmp_path / "copies" / f"freqprep-{os.getuid()}"
    if form == "link":
        place.symlink_to(tmp_path)
    else:
        place.mkdir()
        place.chmod(stat.S_IRWXU | stat.S_IRWXO)
    with pytest.raises(UsageError, match=r"this user alone.*TMPDIR"):
        freqprep.open_store(whole)["train"].valid  # noqa: B018
