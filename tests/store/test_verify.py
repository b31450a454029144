"""Verify finds every kind of damage, and nothing on a whole store."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import synthetic
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from freqprep.convert.verify_source import compare_with_source
from freqprep.engines import Workers
from freqprep.errors import SourceError, StoreError, UsageError
from freqprep.storage.disk import FileEntry
from freqprep.store.manifest import Manifest, read_manifest
from freqprep.store.shard import encode
from freqprep.store.verify import Problem, verify

SHARD = "coefficients/c/0/0/0/0"


def problems(store: Path, split: str | None = None) -> list[Problem]:
    return list(verify(store, Workers(1), split).problems)


@pytest.fixture(scope="module")
def victim(store, tmp_path_factory) -> Path:
    """A copy that each example damages and repairs."""
    return Path(shutil.copytree(store, tmp_path_factory.mktemp("victim") / "out.zarr"))


@pytest.mark.parametrize("name", ["store", "crop_store"])
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_whole_store_has_no_problems(request, name, jobs):
    path = request.getfixturevalue(name)
    found = verify(path, Workers(jobs))
    assert not found.problems
    assert (found.splits, found.images, found.chunks) == (2, 184, 3 * 192)
    assert found.files == len([p for p in path.rglob("*") if p.is_file()]) - 1  # the root's


def test_every_kind_of_file_is_found_with_one_bit_flipped(victim):
    """One bit, spread over the file, of each file of one split and of the root."""
    files = [p for p in victim.rglob("*") if p.is_file() and "train" not in p.parts]
    assert len(files) > 30
    for number, path in enumerate(sorted(files)):
        whole = path.read_bytes()
        synthetic.flip(path, 8 * (number * 37 % len(whole)) + number % 8)
        assert problems(victim, "val"), path
        path.write_bytes(whole)
    assert not problems(victim)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.data())
def test_any_bit_of_a_shard_is_found(victim, data):
    path = victim / "val" / SHARD
    bit = data.draw(st.integers(0, 8 * path.stat().st_size - 1))
    synthetic.flip(path, bit)
    try:
        found = problems(victim, "val")
    finally:
        synthetic.flip(path, bit)
    assert found and {problem.where for problem in found} == {f"val/{SHARD}"}


@pytest.mark.parametrize(
    "name", [SHARD, "label/c/0", "label/zarr.json", "coefficients/zarr.json", "zarr.json"]
)
def test_a_missing_file_is_found(copy, name):
    (copy / "train" / name).unlink()
    assert any(name in problem.where or name in problem.what for problem in problems(copy))


def test_a_split_without_its_manifest_is_found(copy):
    (copy / "train/manifest.json").unlink()
    assert [p.where for p in problems(copy)] == ["train/manifest.json"]


@pytest.mark.parametrize(
    "name", ["stray", "train/stray", "val/label/c/1", "train/coefficients/c/9"]
)
def test_an_extra_file_is_found(copy, name):
    (copy / name).write_bytes(b"")
    assert [problem.where for problem in problems(copy)] == [name]


def test_an_unfinished_split_is_no_damage(copy):
    (copy / ".partial-test/split").mkdir(parents=True)
    assert not problems(copy)


def edit(path: Path, change: Callable[[dict], None]) -> None:
    document = json.loads(path.read_bytes())
    change(document)
    path.write_text(json.dumps(document, indent=1) + "\n")


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["attributes"].update(images=3),
        lambda d: d["attributes"].update(new="attribute"),
        lambda d: d["consolidated_metadata"]["metadata"].pop("label"),
        lambda d: d["consolidated_metadata"]["metadata"]["label"].update(shape=[3]),
    ],
)
def test_a_changed_group_document_is_found(copy, change):
    edit(copy / "train/zarr.json", change)
    assert problems(copy)


def test_a_changed_manifest_is_found(copy):
    path = copy / "train/manifest.json"
    edit(path, lambda d: d["attributes"].update(seed=1))
    assert [problem.where for problem in problems(copy)] == ["train/manifest.json"]


def test_a_changed_root_is_found(copy):
    edit(copy / "zarr.json", lambda d: d["attributes"].update(note="hello"))
    assert [problem.where for problem in problems(copy)] == ["zarr.json"]


def rewrite(split: Path, name: str, change: Callable[[np.ndarray], None]) -> None:
    """Change an array through zarr-python and make all hashes fit."""
    array = zarr.open_array(split / name, mode="r+")
    data = array[...]
    change(data)
    array[...] = data
    synthetic.reseal(split)


def set_first(value: object) -> Callable[[np.ndarray], None]:
    def change(data: np.ndarray) -> None:
        data[0] = value

    return change


CRAFTED: dict[str, Callable[[np.ndarray], None]] = {
    "moment_total": set_first(1),
    "moment_total_squares": set_first(1),
    "step": set_first(1),
    "label": set_first(99),
    "listing_index": set_first(10**6),
    "size": set_first(1000),
    "valid": lambda data: np.copyto(data, ~data),
    "key_offset": set_first(5),
    "note_offset": set_first(5),
}


@pytest.mark.parametrize("name", CRAFTED)
def test_a_wrong_array_is_found_though_every_hash_fits(copy, name):
    rewrite(copy / "train", name, CRAFTED[name])
    found = " ".join(f"{problem.where} {problem.what}" for problem in problems(copy))
    assert name.removesuffix("_squares") in found


def test_an_array_of_another_length_is_found(copy):
    synthetic.replace_array(copy / "train", "label", np.zeros(3, np.int64))
    assert [problem.where for problem in problems(copy)] == ["train/label"]


def test_an_array_that_is_not_listed_at_all_is_found(copy):
    split = copy / "train"
    shutil.rmtree(split / "label")
    synthetic.reseal(split)
    assert [problem.where for problem in problems(copy)] == ["train/label"]


@pytest.mark.parametrize("place", ["rejected row", "beyond the image", "row beyond the last"])
def test_codes_where_there_is_no_image_are_found(copy, place):
    split = copy / "val"
    group = zarr.open_group(split, mode="r")
    images = group["valid"].shape[0]
    valid, size = group["valid"][...], group["size"][...]
    codes = np.zeros((192, 128, *group["coefficients"].shape[2:]), np.int8)
    codes[:, :images] = np.moveaxis(group["coefficients"][...], 0, 1)
    if place == "rejected row":
        codes[5, np.flatnonzero(~valid)[0], 0, 0] = 1
    elif place == "row beyond the last":
        codes[5, images, 0, 0] = 1
    else:
        row = int(np.flatnonzero(valid & (size[:, 0] <= 24))[0])
        codes[5, row, -1, 0] = 1
    (split / SHARD).write_bytes(b"".join(encode(codes, 1)))
    synthetic.reseal(split)
    found = problems(copy)
    assert [problem.where for problem in found if "codes outside" in problem.what] == [
        f"val/{SHARD}"
    ]


def test_a_shard_that_the_manifest_does_not_list_is_found(copy):
    split = copy / "train"
    manifest, _ = read_manifest(split)
    files: dict[str, FileEntry] = dict(manifest.files)
    del files[SHARD]
    synthetic.write_manifest(split, Manifest(manifest.attributes, files))
    found = " ".join(problem.what for problem in problems(copy))
    assert f"does not list {SHARD}, one of 2 shards" in found


def test_wrong_coco_offsets_are_found(tmp_path):
    source = tmp_path / "coco"
    (source / "val").mkdir(parents=True)
    (source / "annotations").mkdir()
    (source / "val/1.png").write_bytes(synthetic.encoded(synthetic.pixels(1, 8, 8), "PNG"))
    document = {
        "images": [{"id": 1, "file_name": "1.png", "height": 8, "width": 8}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 4, 4], "area": 16,
             "iscrowd": 0, "segmentation": [[0, 0, 4, 0, 4, 4]]}
        ],
        "categories": [{"id": 1, "name": "thing"}],
    }  # fmt: skip
    (source / "annotations/instances_val.json").write_text(json.dumps(document))
    store = synthetic.make(source, tmp_path / "out.zarr", kind="coco", size=8)
    assert not problems(store)
    for name, value in (("object_offset", 1), ("object_label", 1), ("mask_offset", 1)):
        copy = Path(shutil.copytree(store, tmp_path / f"{name}.zarr"))
        rewrite(copy / "val", name, set_first(value))
        assert [problem.where for problem in problems(copy)] == [f"val/{name}"]


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.mkdir(), lambda p: p.touch()])
def test_what_is_no_store_cannot_be_verified(tmp_path, make):
    make(tmp_path / "thing")
    with pytest.raises(StoreError):
        verify(tmp_path / "thing")


# --- against the source -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["store", "crop_store"])
def test_the_source_agrees(request, source, name):
    compared, found = compare_with_source(request.getfixturevalue(name), source, 1000)
    assert compared == 184 and not found
    compared, found = compare_with_source(request.getfixturevalue(name), source, 3)
    assert compared == 6 and not found


def test_a_changed_source_image_is_found(store, source, tmp_path):
    folder = Path(shutil.copytree(source, tmp_path / "source"))
    victim = folder / "train/apple/00003.jpg"
    victim.write_bytes(synthetic.picture(4))
    _, (found,) = compare_with_source(store, folder, 1000)
    assert "00003.jpg" in found.where and "differ" in found.what
    victim.write_bytes(b"broken")
    _, (found,) = compare_with_source(store, folder, 1000)
    assert "00003.jpg" in found.where and "now rejected" in found.what
    victim.write_bytes((source / "train/apple/00003.jpg").read_bytes())
    rejected = sorted((folder / "val").rglob("*.jpg"), key=lambda path: path.name)[-1]
    rejected.write_bytes(synthetic.picture(1))
    _, (found,) = compare_with_source(store, folder, 1000)
    assert rejected.name in found.where and "--retry-rejected" in found.what


def test_another_source_is_refused(store, source, tmp_path):
    folder = Path(shutil.copytree(source, tmp_path / "source"))
    (folder / "train/apple/00003.jpg").rename(folder / "train/apple/other.jpg")
    with pytest.raises(SourceError, match="other images"):
        compare_with_source(store, folder, 10)
    (folder / "train/apple/other.jpg").unlink()
    with pytest.raises(SourceError, match="159 images"):
        compare_with_source(store, folder, 10)
    with pytest.raises(SourceError):
        compare_with_source(store, tmp_path / "nothing", 10)
    with pytest.raises(UsageError, match="must be at least 1, got 0"):
        compare_with_source(store, source, 0)
