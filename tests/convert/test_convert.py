"""Same images, same bytes; every image a row; nothing touched that was not asked for."""

import json
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import imagenet_forms
import numpy as np
import pytest
import synthetic

import freqprep
from freqprep.convert.run import Request, convert
from freqprep.errors import SourceError, UsageError
from freqprep.images.decode import REASONS
from freqprep.spectrum.channels import STORED_POSITION
from freqprep.spectrum.quantization import PRECISIONS
from freqprep.store.row_order import permutation

REJECTED_EACH = 5


def keys(split: freqprep.Split) -> list[str]:
    return list(split.keys)


@pytest.fixture
def small(tmp_path) -> Path:
    """A folder of its own, to be changed."""
    return synthetic.image_folder(tmp_path / "small", {"train": 12, "val": 6})


# --- the same bytes -----------------------------------------------------------------------------


def test_two_runs_give_the_same_bytes(source, store, tmp_path):
    again = synthetic.make(source, tmp_path / "again.zarr")
    assert synthetic.contents(again) == synthetic.contents(store)


def test_another_place_and_other_times_give_the_same_bytes(source, store, tmp_path):
    moved = tmp_path / "elsewhere" / "with another name"
    shutil.copytree(source, moved, copy_function=shutil.copyfile)
    for path in moved.rglob("*.jpg"):
        os.utime(path, (1, 1))
    again = synthetic.make(moved, tmp_path / "again.zarr")
    assert synthetic.contents(again) == synthetic.contents(store)


@pytest.mark.parametrize(
    ("kernel", "jobs"), [("Haswell", "1"), ("Sandybridge", "1"), ("Prescott", "2")]
)
def test_another_blas_kernel_and_two_jobs_give_the_same_bytes(
    source, store, tmp_path, kernel, jobs
):
    again = tmp_path / "again.zarr"
    words = ["convert", "imagefolder", source, again, "--size", "32", "--jobs", jobs]
    done = synthetic.in_a_process(
        *words, env={"OPENBLAS_CORETYPE": kernel, "OPENBLAS_VERBOSE": "2"}
    )
    assert done.returncode == 3, done.stderr
    assert synthetic.contents(again) == synthetic.contents(store)


@pytest.mark.parametrize(
    "options", [{}, {"precision": PRECISIONS["int16"], "geometry": "crop", "resize": 36}]
)
def test_the_splits_may_be_converted_one_by_one(source, tmp_path, options):
    together = synthetic.make(source, tmp_path / "together.zarr", **options)
    apart = tmp_path / "apart.zarr"
    for split in ("val", "train"):
        synthetic.make(source, apart, split=split, **options)
    assert synthetic.contents(apart) == synthetic.contents(together)


def test_every_form_of_imagenet_gives_the_same_bytes(tmp_path):
    found = []
    for form in imagenet_forms.FORMS:
        root = tmp_path / form.__name__
        form(root)
        store = synthetic.make(root, tmp_path / f"{form.__name__}.zarr", kind="imagenet", size=16)
        # The name that the split has in the source is recorded, and may differ.
        found.append(synthetic.contents(store))
    assert all(one == found[0] for one in found)
    opened = freqprep.open_store(store)
    assert set(opened) == {"train", "val"}
    assert opened["val"].attributes.class_ids == opened["train"].attributes.class_ids


def test_nothing_of_place_time_or_machine_is_in_the_store(source, store):
    text = b"".join(synthetic.contents(store).values())
    for word in (os.fsencode(source), os.fsencode(store), os.fsencode(source.name)):
        assert word not in text


# --- rows ---------------------------------------------------------------------------------------


def test_rows_are_the_listing_in_the_seeded_order(source, store, tmp_path):
    split = freqprep.open_store(store)["train"]
    listed = sorted(p.relative_to(source / "train").as_posix() for p in source.glob("train/*/*"))
    order = permutation(len(listed), 0)
    assert keys(split) == [listed[index] for index in order]
    assert keys(split) != listed
    assert np.array_equal(split.array("listing_index"), order)
    other = freqprep.open_store(synthetic.make(source, tmp_path / "other.zarr", seed=7))["train"]
    assert keys(other) == [listed[index] for index in permutation(len(listed), 7)]
    assert keys(other) != keys(split) and sorted(keys(other)) == listed


def test_labels_follow_the_folders(store):
    for split in freqprep.open_store(store).values():
        assert split.attributes.class_ids == synthetic.CLASSES
        names = [synthetic.CLASSES[label] for label in split.labels]
        assert names == [key.partition("/")[0] for key in split.keys]


def test_rejected_images_are_recorded_everywhere(source, store):
    document = synthetic.freqprep_json("info", store)
    for name, split in freqprep.open_store(store).items():
        lines = store.with_name(f"{store.name}.rejected-{name}.jsonl").read_text().splitlines()
        rejects = [json.loads(line) for line in lines]
        rows = np.flatnonzero(~split.valid).tolist()
        assert len(rows) == REJECTED_EACH == split.attributes.rejected
        assert [reject["row"] for reject in rejects] == rows
        for reject in rejects:
            assert reject["key"] == split.keys[reject["row"]]
            assert reject["bytes"] == (source / name / reject["key"]).stat().st_size
            assert reject["reason"] in REASONS
            assert split.defect(reject["row"]) == f"{reject['reason']}: {reject['detail']}"
        shown = document["splits"][name]
        assert shown["rejected_images"] == rejects
        assert shown["images"] == len(split) and shown["valid"] == len(split) - REJECTED_EACH
        assert sum(shown["rejected_by_reason"].values()) == shown["rejected"] == REJECTED_EACH


def test_a_split_of_rejects_alone_is_finished(tmp_path):
    source = synthetic.image_folder(tmp_path / "source", {"train": 4}, corrupt=4)
    split = freqprep.open_store(synthetic.make(source, tmp_path / "out.zarr"))["train"]
    assert len(split) == 4 and not split.valid.any()
    assert split.moments.count == 0
    assert synthetic.freqprep("verify", tmp_path / "out.zarr").returncode == 0
    assert synthetic.freqprep("info", tmp_path / "out.zarr").returncode == 0


def test_moments_are_those_of_the_valid_blocks(crop_store, store):
    for path in (store, crop_store):
        split = freqprep.open_store(path)["train"]
        codes = split.read_codes(split.valid).astype(np.int64)
        # Codes outside the valid blocks are zero, so the sums need no mask.
        assert np.array_equal(split.moments.total, codes.sum(axis=(0, 2, 3)))
        assert np.array_equal(split.moments.total_squares, (codes**2).sum(axis=(0, 2, 3)))
        assert split.moments.count == split.blocks.sum()


# --- classes and splits -------------------------------------------------------------------------


def test_classes_are_the_union_and_fixed_by_the_first_run(small, tmp_path):
    (small / "train/zebra").mkdir()
    (small / "val/aaa").mkdir()
    for folder in ("train/zebra", "val/aaa"):
        (small / folder / "1.jpg").write_bytes(synthetic.picture(1))
    store = synthetic.make(small, tmp_path / "out.zarr", split="train")
    union = ("aaa", *synthetic.CLASSES, "zebra")
    assert freqprep.open_store(store)["train"].attributes.class_ids == union
    before = synthetic.contents(store)
    (small / "val/new").mkdir()
    (small / "val/new/1.jpg").write_bytes(synthetic.picture(2))
    with pytest.raises(SourceError, match="new"):
        synthetic.make(small, store, split="val")
    assert synthetic.contents(store) == before
    shutil.rmtree(small / "val/new")
    shutil.rmtree(small / "val/apple")  # a missing class is fine
    synthetic.make(small, store, split="val")
    val = freqprep.open_store(store)["val"]
    assert val.attributes.class_ids == union
    assert {union[label] for label in val.labels} == {"aaa", "brick", "cloud"}


def test_given_classes_are_the_labels_order(small, tmp_path):
    ids = ("cloud", "never seen", "apple", "brick")
    split = freqprep.open_store(synthetic.make(small, tmp_path / "a.zarr", classes=ids))["train"]
    assert split.attributes.class_ids == ids
    assert [ids[label] for label in split.labels] == [key.partition("/")[0] for key in split.keys]
    with pytest.raises(SourceError, match="cloud"):
        synthetic.make(small, tmp_path / "b.zarr", classes=("apple", "brick"))
    assert not (tmp_path / "b.zarr").exists()
    with pytest.raises(UsageError, match="twice"):
        synthetic.make(small, tmp_path / "b.zarr", classes=("apple", "apple"))
    with pytest.raises(UsageError, match="has 4 others"):
        synthetic.make(
            small, tmp_path / "a.zarr", classes=synthetic.CLASSES, split="val", resume=True
        )


def test_split_restricts_to_one_or_names_a_source_without_splits(small, tmp_path):
    one = synthetic.make(small, tmp_path / "one.zarr", split="val")
    assert list(freqprep.open_store(one)) == ["val"]
    flat = small / "train"
    for given, name in ((None, "train"), ("val2017", "val"), ("extra", "extra")):
        store = synthetic.make(flat, tmp_path / f"{given}.zarr", split=given)
        assert list(freqprep.open_store(store)) == [name]
    for bad in ("zarr.json", ".hidden", "a/b", "..", "a\\b"):
        with pytest.raises(UsageError):
            synthetic.make(flat, tmp_path / "bad.zarr", split=bad)
    with pytest.raises(SourceError, match="train"):
        synthetic.make(small, tmp_path / "bad.zarr", split="test")
    assert not (tmp_path / "bad.zarr").exists()


def test_a_split_name_of_the_source_chooses_between_two_of_one_name(small, tmp_path):
    shutil.copytree(small / "val", small / "valid")
    (small / "valid/apple/extra.jpg").write_bytes(synthetic.picture(3))
    with pytest.raises(SourceError, match="both"):
        synthetic.make(small, tmp_path / "out.zarr")
    for given, count in (("val", 6), ("valid", 7)):
        store = synthetic.make(small, tmp_path / f"{given}.zarr", split=given)
        assert len(freqprep.open_store(store)["val"]) == count


def test_a_split_without_images_is_refused(small, tmp_path):
    for path in (small / "val").rglob("*.jpg"):
        path.unlink()
    with pytest.raises(SourceError, match=r"val .* no images"):
        synthetic.make(small, tmp_path / "out.zarr")
    assert not (tmp_path / "out.zarr").exists()
    synthetic.make(small, tmp_path / "out.zarr", split="train")


# --- names and odd entries ----------------------------------------------------------------------


def test_names_of_any_bytes_and_entries_of_any_kind(tmp_path):
    source = tmp_path / "source"
    folder = os.fsencode(source / "train" / "a class")
    os.makedirs(folder)
    names = [
        b"space here.jpg",
        b"line\nbreak.jpg",
        "caf\u00e9.jpg".encode(),
        "cafe\u0301.jpg".encode(),
        b"\xff\xfe.jpg",
        b"quote'\".jpg",
    ]
    for seed, name in enumerate(names):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(synthetic.picture(8 * seed))
    os.symlink(source, os.path.join(folder, b"loop"))
    os.symlink(b"self.jpg", os.path.join(folder, b"self.jpg"))
    os.symlink(b"space here.jpg", os.path.join(folder, b"link.jpg"))
    os.mkdir(os.path.join(folder, b"folder.jpg"))
    os.mkfifo(os.path.join(folder, b"pipe.jpg"))
    words = ["convert", "imagefolder", source, tmp_path / "out.zarr", "--size", "32"]
    document = synthetic.freqprep_json(*words, "--jobs", "1", code=3)
    split = freqprep.open_store(tmp_path / "out.zarr")["train"]
    status = {os.fsencode(key): split.defect(row) for row, key in enumerate(split.keys)}
    reasons = {key.partition(b"/")[2]: text.partition(":")[0] for key, text in status.items()}
    assert reasons == {
        **dict.fromkeys([*names, b"link.jpg"], ""),
        b"folder.jpg": "not_a_file",
        b"pipe.jpg": "not_a_file",
        b"self.jpg": reasons[b"self.jpg"],
    }
    assert reasons[b"self.jpg"] in ("missing", "unreadable")
    assert document["splits"]["train"]["rejected"] == 3
    rejects = (tmp_path / "out.zarr.rejected-train.jsonl").read_text().splitlines()
    assert len(rejects) == 3
    assert synthetic.freqprep("verify", tmp_path / "out.zarr", "--source", source).returncode == 0
    shown = synthetic.freqprep(
        "show", tmp_path / "out.zarr", b"a class/\xff\xfe.jpg", "-o", tmp_path / "row.png"
    )
    assert shown.returncode == 0, shown.stderr


def test_channels_are_stored_nested_and_read_in_raster_order(store):
    split = freqprep.open_store(store)["train"]
    stored_steps = split.array("step")
    assert np.array_equal(split.steps, stored_steps[list(STORED_POSITION)])
    assert split.steps[0] == 8 and split.steps[63] == 4


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "video"},
        {"jobs": 0},
        {"seed": -1},
        {"seed": 2**32},
        {"resume": True, "overwrite": True},
        {"geometry": "crop", "size": 64, "resize": 32},
        {"size": 0},
        {"level": 0},
        {"level": 23},
    ],
    ids=str,
)
def test_what_cannot_be_asked_for_leaves_nothing_behind(small, tmp_path, options):
    before = synthetic.contents(tmp_path)
    with pytest.raises(ValueError):
        synthetic.make(small, tmp_path / "out.zarr", **options)
    assert synthetic.contents(tmp_path) == before


def test_nothing_but_the_store_and_its_companions_is_written(small, tmp_path):
    make: Callable[[], object] = lambda: convert(  # noqa: E731
        Request("imagefolder", small, tmp_path / "deep/er/out.zarr", size=32, jobs=1)
    )
    make()
    assert sorted(os.listdir(tmp_path / "deep/er")) == ["out.zarr", "out.zarr.log"]
    assert sorted(os.listdir(tmp_path)) == ["deep", "small"]


def test_a_tar_that_is_cut_off_is_an_error_before_anything_is_written(tmp_path):
    source = tmp_path / "source"
    imagenet_forms.as_archives(source)
    archive = source / "ILSVRC2012_img_train.tar"
    os.truncate(archive, archive.stat().st_size // 2)
    assert tarfile.is_tarfile(archive)
    with pytest.raises(SourceError):
        synthetic.make(source, tmp_path / "out.zarr", kind="imagenet")
    assert not (tmp_path / "out.zarr").exists()
