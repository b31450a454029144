"""Listings of Parquet tables: splits, keys, labels, and classes as from folders."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from parquet_tables import NAMES, cells, class_label, labelled, noted, picture, write

from freqprep.errors import SourceError
from freqprep.sources import Discovered, SourceOptions, discover
from freqprep.sources.file_table import UNKNOWN
from freqprep.sources.imagenet_labels import class_names
from freqprep.sources.parquet_splits import split_of


def found(source: Path, split: str | None = None, **options) -> Discovered:
    return discover("parquet", source, split, SourceOptions(**options))


def keys(listing) -> list[str]:
    return [row.tobytes().decode() for row in listing.keys]


@pytest.mark.parametrize(
    ("path", "split", "home"),
    [
        ("train-00000-of-00294.parquet", "train", ""),
        ("data/validation-00003-of-00014-0123abcd.parquet", "validation", "data"),
        ("unsupervised-00000-of-00001.parquet", "unsupervised", ""),
        ("default/train/0000.parquet", "train", "default"),
        ("default/partial-train/0000.parquet", "partial-train", "default"),
        ("default/extra/0000.parquet", "extra", "default"),
        ("train.parquet", "train", ""),
        ("val_2.parquet", "val_2", ""),
        ("test/part-7.parquet", "test", ""),
        ("0000.parquet", None, ""),
        ("photos/part-7.parquet", None, "photos"),
        ("cifar10-train.parquet", "train", ""),
        ("a/cifar10.Testing_v2.parquet", "testing", "a"),
        ("cifar10Train.parquet", "train", ""),
        ("train/img/a.parquet", "train", ""),
        ("x/cifar10_test/img/part/0003.parquet", "test", "x"),
        ("train/test/a.parquet", "test", "train"),
        ("train/cifar10-train.parquet", "train", ""),
        ("train-test.parquet", None, ""),
        ("val/train-test.parquet", "val", ""),
        ("latest.parquet", None, ""),
        ("data/cifar10-train-00000-of-00002.parquet", "train", "data"),
        ("train_easy-00000-of-00002.parquet", "train_easy", ""),
        ("default/train_easy/0000.parquet", "train_easy", "default"),
        ("train/data-00000-of-00002.parquet", "train", ""),
    ],
)
def test_names_of_files_tell_the_split(path: str, split: str | None, home: str):
    assert split_of(path) == (split, home)


def test_a_data_set_of_the_hub_is_listed_as_its_files_have_it(tmp_path: Path):
    labelled(tmp_path / "data/train-00001-of-00002.parquet", [1, 0], first=5)
    labelled(tmp_path / "data/train-00000-of-00002.parquet", [2, 0, 1, 2, 2], row_group_size=2)
    labelled(tmp_path / "data/validation-00000-of-00001.parquet", [0, 1], first=7)
    result = found(tmp_path)
    assert result.classes.ids == result.classes.names == NAMES
    assert sorted(result.listings) == ["train", "val"]
    train = result.listings["train"]
    assert train.source_name == "train" and train.image_column == "image"
    assert keys(train) == [
        *("eel/0.jpg", "cat/1.jpg", "dog/2.jpg", "eel/3.jpg", "eel/4.jpg"),
        *("dog/5.jpg", "cat/6.jpg"),
    ]
    assert train.labels.tolist() == [2, 0, 1, 2, 2, 1, 0]
    files = train.files.take(np.arange(7))
    assert files.offset.tolist() == [0, 1, 2, 3, 4, 0, 1]
    assert set(files.length.tolist()) == {UNKNOWN}
    assert files.paths.bytes_at(5) == b"data/train-00001-of-00002.parquet"
    status = os.stat(tmp_path / "data/train-00001-of-00002.parquet")
    assert files.version[5] == status.st_mtime_ns
    assert train.runs is not None and train.runs.tolist() == [2, 2, 1, 2]
    assert sorted(found(tmp_path, "validation").listings) == ["val"]
    one = found(tmp_path / "data/train-00001-of-00002.parquet")
    assert keys(one.listings["train"]) == ["dog/5.jpg", "cat/6.jpg"]
    some = found(tmp_path / "data/train-*.parquet", "train")
    assert keys(some.listings["train"]) == keys(train)


@pytest.mark.parametrize(
    "form", ["cifar10-{}.parquet", "{}/img/a.parquet", "my.{}.v2.parquet", "{}_set/part-7.parquet"]
)
def test_splits_are_told_apart_wherever_their_word_is(tmp_path: Path, form: str):
    labelled(tmp_path / form.format("train"), [0, 1])
    labelled(tmp_path / form.format("test"), [2])
    counts = {name: len(listing) for name, listing in found(tmp_path).listings.items()}
    assert counts == {"train": 2, "test": 1}


@pytest.mark.parametrize(
    "names", [("mytrain1", "mytest2"), ("train-val-a", "train-test-b"), ("xtrain/a", "xval/a")]
)
def test_words_for_splits_that_tell_none_are_refused(tmp_path: Path, names):
    for name in names:
        labelled(tmp_path / f"{name}.parquet", [0])
    with pytest.raises(SourceError, match=r"names speak of several splits.*with a pattern"):
        found(tmp_path)
    one = found(tmp_path / f"{names[0]}.parquet", "holdout")
    assert list(one.listings) == ["holdout"]


def test_the_hubs_own_conversion_may_be_a_part(tmp_path: Path):
    labelled(tmp_path / "default/partial-train/0000.parquet", [0])
    labelled(tmp_path / "default/partial-train/0001.parquet", [1])
    labelled(tmp_path / "default/test/0000.parquet", [2])
    result = found(tmp_path)
    assert {name: len(listing) for name, listing in result.listings.items()} == {
        "train": 2,
        "test": 1,
    }
    assert any("only a part of train" in note for note in result.notes)


def test_tables_without_splits_are_one_that_the_user_names(tmp_path: Path):
    labelled(tmp_path / "a.parquet", [0])
    labelled(tmp_path / "b.parquet", [1], first=1)
    assert [len(listing) for listing in found(tmp_path).listings.values()] == [2]
    assert list(found(tmp_path).listings) == ["train"]
    assert list(found(tmp_path, "holdout").listings) == ["holdout"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["en/train.parquet", "fr/train.parquet"], "train in en and fr"),
        (["train.parquet", "other.parquet"], "other.parquet .* is of no split"),
        (["train.parquet", "training.parquet"], "both 'train' and 'training'"),
        (["default/train/0000.parquet", "train-00000-of-00001.parquet"], "train in . and default"),
    ],
)
def test_splits_that_files_do_not_tell_apart_are_refused(tmp_path: Path, files, message: str):
    for name in files:
        labelled(tmp_path / name, [0])
    with pytest.raises(SourceError, match=message):
        found(tmp_path)


def test_there_is_no_such_split(tmp_path: Path):
    labelled(tmp_path / "train.parquet", [0])
    with pytest.raises(SourceError, match="no split 'tset'"):
        found(tmp_path, "tset")


def test_the_same_images_as_folders_and_as_a_table_are_the_same_rows(tmp_path: Path):
    datasets = pytest.importorskip("datasets")
    wnids, english = list(class_names()), [f"{name}, synonym" for name in class_names().values()]
    english[134], english[517], english[639] = "crane", "crane2", "maillot, tank suit"
    english[638] = "maillot"
    used = [wnids[label] for label in (0, 130, 517)]
    images = {f"{used[n % 3]}/{n}.jpg": picture(n) for n in range(8)}
    for name, data in images.items():
        path = tmp_path / "folders/train" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=english)}
    )
    ordered = sorted(images)
    rows = {
        "image": [{"bytes": images[n], "path": n.partition("/")[2]} for n in ordered],
        "label": [wnids.index(n.partition("/")[0]) for n in ordered],
    }
    table = datasets.Dataset.from_dict(rows, features=features)
    (tmp_path / "data").mkdir()
    table.to_parquet(tmp_path / "data/train-00000-of-00001.parquet")
    one = discover("imagenet", tmp_path / "folders", None, SourceOptions())
    two = found(tmp_path / "data")
    assert two.notes == ("the 1000 class names are ImageNet's: class ids are wnids",)
    mine, other = one.listings["train"], two.listings["train"]
    assert keys(mine) == keys(other)
    assert two.classes.names == tuple(english)
    of_mine, of_other = one.classes.ids, two.classes.ids
    assert [of_mine[n] for n in mine.labels] == [of_other[n] for n in other.labels]


def test_rows_without_paths_have_file_and_row_as_their_key(tmp_path: Path):
    table = pa.table({"image": cells(range(2), paths=False), "label": [0, 1]})
    write(tmp_path / "data/train.parquet", noted(table, label=class_label(NAMES)))
    listing = found(tmp_path).listings["train"]
    assert keys(listing) == ["data/train.parquet:0", "data/train.parquet:1"]


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["a/1.jpg", "cat/2.jpg"], ["cat/a/1.jpg", "dog/cat/2.jpg"]),
        (["cat/1.jpg", "/tmp/dog/2.jpg"], ["cat/1.jpg", "dog/2.jpg"]),
        (["1.jpg", None], None),
        (["1.jpg", ""], None),
    ],
)
def test_keys_are_relative_to_the_folder_of_the_class(tmp_path: Path, paths, expected):
    images = pa.array([{"bytes": b"x", "path": path} for path in paths], cells([0]).type)
    table = pa.table({"image": images, "label": [0, 1]})
    write(tmp_path / "train.parquet", noted(table, label=class_label(NAMES)))
    result = found(tmp_path)
    listing = result.listings["train"]
    assert keys(listing) == (expected or ["train.parquet:0", "train.parquet:1"])
    assert any("1 of 2 rows have no path" in note for note in result.notes) == (not expected)


def test_columns_that_are_not_used_are_named(tmp_path: Path):
    table = pa.table({"image": [b"x", b"y"], "path": ["a", "b"], "label": [0, 1]})
    write(tmp_path / "train.parquet", noted(table, label=class_label(NAMES)))
    used = (
        "columns that are used: image, label; not: path; keys are FILE:ROW, as image has no paths"
    )
    assert found(tmp_path).notes == (used,)
    table = pa.table({"image": cells(range(2)), "id": [5, 6], "label": [0, 1]})
    write(tmp_path / "train.parquet", noted(table, label=class_label(NAMES)))
    assert found(tmp_path).notes == ("columns that are used: image, image.path, label; not: id",)


def test_paths_may_be_a_dictionary(tmp_path: Path):
    paths = pa.array(["1.jpg", "2.jpg"]).dictionary_encode()
    images = pa.StructArray.from_arrays([pa.array([b"x", b"y"]), paths], ["bytes", "path"])
    write(tmp_path / "train.parquet", pa.table({"image": images, "label": ["a", "b"]}))
    assert keys(found(tmp_path).listings["train"]) == ["a/1.jpg", "b/2.jpg"]


def test_paths_that_repeat_are_noted_and_are_no_keys(tmp_path: Path):
    labelled(tmp_path / "train-00000-of-00002.parquet", [0, 1])
    labelled(tmp_path / "train-00001-of-00002.parquet", [0, 0])
    result = found(tmp_path)
    assert keys(result.listings["train"])[2:] == [
        "train-00001-of-00002.parquet:0",
        "train-00001-of-00002.parquet:1",
    ]
    assert "train: paths repeat, such as cat/0.jpg: keys are FILE:ROW" in result.notes


@pytest.mark.parametrize(
    ("values", "ids", "labels"),
    [
        (pa.array([2, 0, None, 2]), ("0", "1", "2"), [2, 0, -1, 2]),
        (pa.array([1, -1, 0, 1], pa.int8()), ("0", "1"), [1, -1, 0, 1]),
        (pa.array([True, False, True, None]), ("0", "1"), [1, 0, 1, -1]),
        (pa.array(["b", "", None, "a"]), ("a", "b"), [1, -1, -1, 0]),
        (pa.array(["b", "a", "b", "a"], pa.large_string()), ("a", "b"), [1, 0, 1, 0]),
        (pa.array(["b", "a", None, "a"]).dictionary_encode(), ("a", "b"), [1, 0, -1, 0]),
    ],
)
def test_labels_without_names_are_classes_by_what_they_are(tmp_path: Path, values, ids, labels):
    table = pa.table({"photo": [picture(n) for n in range(4)], "kind": values})
    write(tmp_path / "t.parquet", table, row_group_size=3)
    result = found(tmp_path, image_column="photo", label_column="kind")
    listing = result.listings["train"]
    assert result.classes.ids == result.classes.names == ids
    assert listing.labels.tolist() == labels and listing.labels.dtype == np.int64
    assert listing.options == {"image_column": "photo", "label_column": "kind"}
    without = labels.count(-1)
    note = f"train: {without} of 4 rows have no label"
    assert (note in result.notes) == bool(without)


def test_classes_are_those_of_all_splits_whichever_is_converted(tmp_path: Path):
    labelled(tmp_path / "train.parquet", ["b", "c"], names=None)
    labelled(tmp_path / "test.parquet", ["a", "c"], names=None)
    assert found(tmp_path, "train").classes.ids == ("a", "b", "c")
    assert found(tmp_path, "train").listings["train"].labels.tolist() == [1, 2]


def test_names_of_classes_may_be_in_a_file(tmp_path: Path):
    labelled(tmp_path / "train.parquet", [1, 0, -1], names=None)
    names = tmp_path / "names.txt"
    names.write_text("Felis catus\r\nCanis lupus\n\n")
    result = found(tmp_path, class_names=names)
    assert result.classes.names == ("Felis catus", "Canis lupus")
    assert result.listings["train"].labels.tolist() == [1, 0, -1]
    labelled(tmp_path / "train.parquet", ["Canis lupus", "Felis catus"], names=None)
    assert found(tmp_path, class_names=names).listings["train"].labels.tolist() == [1, 0]


def test_columns_may_differ_in_order_and_others_may_be_there(tmp_path: Path):
    labelled(tmp_path / "train-00000-of-00002.parquet", [0])
    table = pa.table({"more": [1.5], "label": pa.array([1], pa.int32()), "image": cells([1])})
    write(tmp_path / "train-00001-of-00002.parquet", noted(table, label=class_label(NAMES)))
    assert found(tmp_path).listings["train"].labels.tolist() == [0, 1]


def test_tables_in_a_bucket_are_listed_alike(tmp_path: Path, bucket):
    from freqprep.storage.paths import as_path

    labelled(tmp_path / "data/train-00000-of-00002.parquet", [2, 0, 1], row_group_size=2)
    labelled(tmp_path / "data/train-00001-of-00002.parquet", [1], first=3)
    one = found(tmp_path)
    two = found(as_path(bucket.upload(tmp_path, "set")))
    assert one.classes == two.classes
    mine, other = one.listings["train"], two.listings["train"]
    assert keys(mine) == keys(other) and np.array_equal(mine.labels, other.labels)
    assert np.array_equal(mine.runs, other.runs)
    assert keys(
        found(as_path(f"{bucket.url}/set/data/train-00001-of-00002.parquet")).listings["train"]
    )
