"""Labels of a flat val: from Kaggle's table or the devkit, or a named error."""

import gzip
import re

import pytest
from imagenet_forms import (
    VAL_WNIDS,
    as_archives,
    devkit_files,
    flat,
    jpeg,
    keys,
    put,
    train_folders,
    val_images,
)

from freqprep.errors import SourceError
from freqprep.sources import imagenet_labels
from freqprep.sources.imagenet import discover


def test_a_flat_val_without_labels_is_an_error_that_says_what_would_give_them(tmp_path):
    train_folders(tmp_path / "train")
    flat(tmp_path / "val", val_images())
    with pytest.raises(SourceError, match=r"LOC_val_solution\.csv.*ILSVRC2012_devkit_t12"):
        discover(tmp_path, None)
    train = discover(tmp_path, "train").listings["train"]
    assert train.ignored == {"unlabelled image of val": 4}


def test_part_of_val_takes_its_labels_by_number(tmp_path):
    flat(tmp_path / "ILSVRC2012_devkit_t12/data", devkit_files())
    images = val_images()
    flat(tmp_path / "val", {name: images[name] for name in sorted(images)[1:3]})
    found = discover(tmp_path, None)
    assert found.classes.ids == ("n01440764", "n01443537")
    assert keys(found.listings["val"]) == [
        b"n01440764/ILSVRC2012_val_00000002.JPEG",
        b"n01443537/ILSVRC2012_val_00000003.JPEG",
    ]


def test_other_names_take_their_labels_by_order_if_they_are_as_many(tmp_path):
    flat(tmp_path / "ILSVRC2012_devkit_t12/data", devkit_files())
    flat(tmp_path / "val", {f"{name}.JPEG": jpeg(1) for name in "abcd"})
    found = discover(tmp_path, None)
    labelled = {
        (found.classes.ids[label], key[-6:])
        for label, key in zip(
            found.listings["val"].labels, keys(found.listings["val"]), strict=True
        )
    }
    assert labelled == {(w, f"{n}.JPEG".encode()) for w, n in zip(VAL_WNIDS, "abcd", strict=True)}
    put(tmp_path / "val/e.JPEG", jpeg(1))
    with pytest.raises(SourceError, match="5 validation images, but 4 lines"):
        discover(tmp_path, None)


@pytest.mark.parametrize(
    "name", ["{}.JPEG", "val_{}.JPEG", "{:04}.jpeg", "ILSVRC2012_val_{:08}.JPEG"]
)
def test_numbers_in_names_are_the_lines(tmp_path, name):
    """Written without zeros, 10 comes before 2 in the order of names."""
    files = devkit_files()
    truth = next(path for path in files if path.endswith("ground_truth.txt"))
    lines = files[truth].split() * 3
    files[truth] = b"\n".join(lines)
    flat(tmp_path / "ILSVRC2012_devkit_t12/data", files)
    flat(tmp_path / "val", {name.format(n + 1): jpeg(1) for n in range(len(lines))})
    found = discover(tmp_path, None)
    listing = found.listings["val"]
    wnids = VAL_WNIDS * 3
    for label, key in zip(listing.labels, keys(listing), strict=True):
        number = int(re.search(r"(\d+)\.", key.decode().rpartition("/")[2])[1])
        assert found.classes.ids[label] == wnids[number - 1]


@pytest.mark.parametrize(
    "names",
    [
        [f"{n}.JPEG" for n in (0, 1, 2, 10)],  # from 0, and in their order: by order
        ["2.JPEG", "5.JPEG", "10.JPEG", "11.JPEG"],
        [*(f"ILSVRC2012_val_{n:08}.JPEG" for n in (1, 2, 3)), "a.JPEG"],
    ],
)
def test_names_that_do_not_say_their_lines_are_refused(tmp_path, names):
    flat(tmp_path / "ILSVRC2012_devkit_t12/data", devkit_files())
    flat(tmp_path / "val", {name: jpeg(1) for name in names})
    with pytest.raises(SourceError, match="keep the original names"):
        discover(tmp_path, None)


@pytest.mark.parametrize("number", [0, 5])
def test_a_val_image_out_of_range_is_an_error(tmp_path, number):
    flat(tmp_path / "ILSVRC2012_devkit_t12/data", devkit_files())
    put(tmp_path / f"val/ILSVRC2012_val_{number:08}.JPEG", jpeg(1))
    with pytest.raises(SourceError, match=rf"ILSVRC2012_val_0000000{number}\.JPEG has no line"):
        discover(tmp_path, None)


TRUTH = "ILSVRC2012_validation_ground_truth.txt"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (f"ILSVRC2012_devkit_t12/data/{TRUTH}", b"1\n99\n", r"line 2: 99 is not the id"),
        (f"ILSVRC2012_devkit_t12/data/{TRUTH}", b"x\n", r"line 1: x is not the id"),
        (f"ILSVRC2012_devkit_t12/data/{TRUTH}", "²\n".encode(), r"line 1: ² is not the id"),
        (f"ILSVRC2012_devkit_t12/data/{TRUTH}", b"9" * 5000, r"line 1: 9+ is not the id"),
        ("ILSVRC2012_devkit_t12/data/meta.mat", b"no matlab", r"meta\.mat cannot be read"),
        ("LOC_val_solution.csv", b"a,b\n1,2\n", r"columns \['a', 'b'\]"),
        ("LOC_val_solution.csv", b"", r"columns None"),
        ("LOC_val_solution.csv", b"ImageId,PredictionString\nx,5 1\n", r"line 2: '5 1'"),
        ("LOC_val_solution.csv", b"ImageId,PredictionString\nx\n", r"line 2: None"),
        ("LOC_val_solution.csv", b"ImageId,PredictionString\n" + b"x" * 200_000, r"damaged: field"),
        ("LOC_val_solution.csv", b"PredictionString,ImageId\nn01440764\n", r"no label for 4"),
        ("LOC_val_solution.csv", b"ImageId,PredictionString\n", r"no label for 4 of 4"),
    ],
)
def test_malformed_labels_are_errors(tmp_path, name, content, message):
    flat(tmp_path / "val", val_images())
    flat(tmp_path / "ILSVRC2012_devkit_t12/data", devkit_files())
    put(tmp_path / name, content)
    with pytest.raises(SourceError, match=message):
        discover(tmp_path, None)


def test_a_damaged_devkit_is_an_error(tmp_path):
    as_archives(tmp_path)
    path = tmp_path / "ILSVRC2012_devkit_t12.tar.gz"
    content = path.read_bytes()
    for cut in (0, 20, len(content) // 2, len(content) - 5):
        path.write_bytes(content[:cut])
        with pytest.raises(SourceError, match=r"devkit_t12\.tar\.gz"):
            discover(tmp_path, None)


@pytest.mark.parametrize("packed", [True, False])
def test_a_devkit_that_unpacks_without_end_is_refused(tmp_path, monkeypatch, packed):
    monkeypatch.setattr(imagenet_labels, "_MOST_BYTES", 2**20)
    flat(tmp_path / "val", val_images())
    if packed:
        put(tmp_path / "ILSVRC2012_devkit_t12.tar.gz", gzip.compress(bytes(2**24)))
    else:
        flat(tmp_path / "ILSVRC2012_devkit_t12/data", devkit_files())
        put(tmp_path / f"ILSVRC2012_devkit_t12/data/{TRUTH}", bytes(2**24))
    with pytest.raises(SourceError, match=r"has more than 1\.0 MB; download it again"):
        discover(tmp_path, None)
