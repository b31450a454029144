"""Tar shards: what the ``webdataset`` package wrote is listed as it reads it."""

import json
import tarfile

import pytest
from imagenet_forms import jpeg, keys, put
from tar_shards import listed, name_of, put_tar, read_by_webdataset, sample, tar_of, write_tar

from freqprep.errors import SourceError
from freqprep.sources.options import SourceOptions
from freqprep.sources.source_files import root_of
from freqprep.sources.webdataset import discover
from freqprep.storage.paths import as_path


@pytest.mark.parametrize("folder", ["", "deep/folders.with.dots/"])
@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "png", "webp", "JPG"])
def test_samples_are_those_that_webdataset_reads(tmp_path, folder, suffix):
    tars = [tmp_path / f"train-{number:06}.tar" for number in range(2)]
    for number, path in enumerate(tars):
        rows = [
            {
                "__key__": f"{folder}s{number}_{row}",
                suffix: jpeg(10 * number + row),
                "cls": row % 3,
                "json": {"label": 99, "width": 5},
                "txt": "a caption",
                "seg.png": b"mask",
            }
            for row in range(4)
        ]
        write_tar(path, rows)
    expected = [
        (name_of(one), one["cls"].decode(), one[suffix.lower()]) for one in read_by_webdataset(tars)
    ]
    found = discover(tmp_path, None)
    assert listed(tmp_path, found) == {"train": expected}
    assert found.listings["train"].ignored == {
        "image whose name has more than one dot": 8,
        "not an image (.txt)": 8,
    }


def test_shards_of_a_shard_writer_are_one_split(tmp_path):
    webdataset = pytest.importorskip("webdataset")
    with webdataset.ShardWriter(
        str(tmp_path / "imagenet-val-%06d.tar"), maxcount=3, verbose=0
    ) as writer:
        for number in range(8):
            writer.write(sample(f"{number:04}", jpeg(number), number % 2))
    found = discover(tmp_path / "*.tar", None)
    assert keys(found.listings["val"]) == [b"%04d" % number for number in range(8)]
    assert found.listings["val"].source_name == "val"
    assert found.classes.ids == ("0", "1")
    assert found.notes == ()


@pytest.mark.parametrize(
    "names, splits",
    [
        (["train-000000.tar", "validation_00.tar"], {"train", "val"}),
        (["imagenet1k-train-0000.tar", "imagenet1k-test-0000.tar"], {"train", "test"}),
        (["train/0.tar", "dev/0.tar"], {"train", "val"}),
        (["train/val-00.tar", "train/train-00.tar"], {"train", "val"}),
        (["00000.tar", "00001.tar"], {"train"}),
        (["trainers-0.tar", "testbed.tar"], {"train"}),
    ],
)
def test_splits_are_told_by_the_names_of_tars(tmp_path, names, splits):
    for number, name in enumerate(names):
        put_tar(tmp_path / name, (f"{number}.jpg", jpeg(number)), (f"{number}.cls", b"0"))
    found = discover(tmp_path, None)
    assert set(found.listings) == splits
    assert sum(map(len, found.listings.values())) == len(names)
    some = discover(tmp_path, "val" if "val" in splits else None).listings
    assert len(some) == 1 or "val" not in splits


def test_tars_without_a_split_in_their_names_are_the_split_that_is_asked_for(tmp_path):
    put_tar(tmp_path / "0.tar", ("a.jpg", jpeg(1)), ("a.cls", b"0"))
    assert set(discover(tmp_path, "validation").listings) == {"val"}
    put_tar(tmp_path / "train-0.tar", ("a.jpg", jpeg(1)), ("a.cls", b"0"))
    with pytest.raises(SourceError, match=r"0\.tar .* is of no split, but others are of train"):
        discover(tmp_path, None)
    assert set(discover(tmp_path / "train-{0..0}.tar", None).listings) == {"train"}


def test_keys_in_two_tars_are_behind_the_names_of_the_tars(tmp_path):
    for number in range(2):
        rows = [(f"{row:06}.{s}", c) for row in range(2) for s, c in (("cls", b"1"), ("jpg", b"x"))]
        put_tar(tmp_path / f"train/{number}.tar", *rows, (f"only{number}.jpg", b"x"))
        put_tar(tmp_path / f"train/{number}.tar", *rows)
    found = discover(tmp_path, None)
    expected = [b"train/0/000000", b"train/0/000001", b"train/1/000000", b"train/1/000001"]
    assert keys(found.listings["train"]) == expected
    assert found.notes == ("train: keys repeat, such as 000000: those in the store are TAR/KEY",)


@pytest.mark.parametrize(
    "tars, expected",
    [
        ({"a.tar": ("b/c", "x"), "a/b.tar": ("c", "x")}, ["a.tar/b/c", "a.tar/x", "a/b.tar/c"]),
        ({"a.TAR": ("x",), "a.tar": ("x",)}, ["a.TAR/x", "a.tar/x"]),
        ({"a/b.tar": ("x",), "a/b-c.tar": ("x",)}, ["a/b-c/x", "a/b/x"]),
    ],
)
def test_keys_behind_the_names_of_tars_are_unique(tmp_path, tars, expected):
    for name, samples in tars.items():
        put_tar(tmp_path / name, *((f"{key}.jpg", b"x") for key in samples))
    found = [key.decode() for key in keys(discover(tmp_path, None).listings["train"])]
    assert found[: len(expected)] == expected
    assert len(set(found)) == sum(map(len, tars.values()))


def test_tars_whose_names_do_not_tell_keys_apart_are_named(bucket):
    bucket.put("d/a.tar", tar_of([("b.tar/x.jpg", b"x"), ("y.jpg", b"x")]))
    for name in ("a.tar/b.tar", "a/c.tar"):
        bucket.put(f"d/{name}", tar_of([("x.jpg", b"x"), ("y.jpg", b"x")]))
    with pytest.raises(SourceError, match=r"of a\.tar and a\.tar/b\.tar apart; rename"):
        discover(as_path(f"{bucket.url}/d"), None)


LABELS = [
    ({"json": {"label": 3}}, None, "3"),
    ({"json": {"label": 3, "similarity": float("nan")}}, None, "3"),
    ({"json": {"class_name": "cat", "label": None}}, None, None),
    ({"json": {"class_name": "cat"}}, None, "cat"),
    ({"json": {"label": 3, "kind": "dog"}}, "kind", "dog"),
    ({"json": {"label": 3}, "cls": 1}, "label", "3"),
    ({"json": {"label": 3}, "cls": 1}, "cls", "1"),
    ({"txt": " tabby cat\n", "cls": 1}, "txt", "tabby cat"),
    ({"json": {"label": 3}, "cls": 1}, ".cls", "1"),
    ({"txt": "cat"}, ".txt", "cat"),
    ({"json": ["a caption"]}, None, None),
    ({"txt": "a caption"}, None, None),
    ({}, None, None),
]


@pytest.mark.parametrize("parts, column, expected", LABELS)
def test_labels_are_where_the_rule_says(tmp_path, parts, column, expected):
    write_tar(tmp_path / "train.tar", [{"__key__": "a", "png": jpeg(1), **parts}])
    found = discover(tmp_path, None, SourceOptions(label_column=column))
    assert listed(tmp_path, found)["train"][0][1] == expected
    assert found.notes == (() if expected else ("train: images without labels",))


def test_names_of_classes_come_from_a_file(tmp_path):
    put_tar(tmp_path / "data/0.tar", ("a.jpg", b"x"), ("a.cls", b"1"))
    put(tmp_path / "data/classnames.txt", b"cat\ndog\nemu\n")
    put(tmp_path / "others.txt", b"hen\nhen\n")
    found = discover(tmp_path / "data", None)
    assert found.classes.ids == found.classes.names == ("cat", "dog", "emu")
    assert found.notes == (f"class names are those of {tmp_path / 'data/classnames.txt'}",)
    given = SourceOptions(class_names=tmp_path / "others.txt")
    found = discover(tmp_path / "data/0.tar", None, given)
    assert (found.classes.ids, found.classes.names) == (("0", "1"), ("hen", "hen"))
    assert found.listings["train"].labels.tolist() == [1]
    assert found.listings["train"].options == {"class_names": str(tmp_path / "others.txt")}


def test_labels_that_are_names_are_numbered_in_their_order_or_that_of_the_file(tmp_path):
    for number, name in enumerate(("emu", "cat")):
        label = json.dumps({"label": name}).encode()
        put_tar(tmp_path / f"{number}.tar", (f"{number}.jpg", b"x"), (f"{number}.json", label))
    found = discover(tmp_path, None)
    assert found.classes.ids == ("cat", "emu")
    assert found.listings["train"].labels.tolist() == [1, 0]
    put(tmp_path / "names.txt", b"emu\ndog\ncat\n")
    found = discover(tmp_path, None, SourceOptions(class_names=tmp_path / "names.txt"))
    assert found.classes.ids == ("emu", "dog", "cat")
    assert found.listings["train"].labels.tolist() == [0, 2]


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_names_are_kept_to_the_byte(tmp_path, form):
    names = ["x" * 300, "é", "\udcff", "two\nlines", "a b"]
    members = [
        (f"{'./' * (1 + len(name) % 3)}{name}.{s}", b"7") for name in names for s in ("cls", "jpg")
    ]
    put(tmp_path / "a.tar", tar_of(members, form))
    found = discover(tmp_path, None).listings["train"]
    assert keys(found) == [name.encode(errors="surrogateescape") for name in names]


def test_members_of_no_sample_are_counted(tmp_path):
    put_tar(
        tmp_path / "a.tar",
        ("__meta__/info.json", b"{"),
        ("README", b"x"),
        ("._a.jpg", b"x"),
        ("a.cls", b"0"),
        (".hidden/a.jpg", b"x"),
        ("a.jpg", b"x"),
        ("b.cls", b"0"),
        ("c.tiff", b"x"),
    )
    put(tmp_path / "empty.tar", tar_of([]))
    listing = discover(tmp_path, None).listings["train"]
    assert keys(listing) == [b"a"]
    assert listing.ignored == {
        "hidden or system file": 3,
        "not an image (.tiff)": 1,
        "of no sample": 1,
        "sample without an image": 2,
        "tar without an image": 1,
    }


def test_a_bucket_and_a_web_server_list_the_same_samples(tmp_path, bucket, web_server):
    folder = web_server.folder / "data"
    for number in range(3):
        rows = [sample(f"{number}_{row}", jpeg(row), row) for row in range(3)]
        write_tar(folder / f"train-{number}.tar", rows)
    (folder / "classnames.txt").write_text("a\nb\nc\n")
    expected = listed(folder, discover(folder, None))
    bucket.upload(folder, "data")
    sources = [
        f"{bucket.url}/data",
        f"{bucket.url}/data/*.tar",
        f"{bucket.url}/data/train-{{0..2}}.tar",
        f"{web_server.url}/data/train-{{0..2}}.tar",
    ]
    for source in map(as_path, sources):
        found = discover(source, None)
        assert found.classes.ids == ("a", "b", "c")
        assert listed(root_of(source), found) == expected
