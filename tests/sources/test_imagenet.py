"""ImageNet in all its forms: the same images give the same rows, whatever the form."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from imagenet_forms import (
    FORMS,
    TRAIN_WNIDS,
    VAL_WNIDS,
    as_archives,
    as_folders,
    as_kaggle,
    expected_rows,
    jpeg,
    keys,
    put,
    rows,
    tar,
    train_images,
    val_images,
)

from freqprep.errors import SourceError
from freqprep.sources import WHOLE_FILE
from freqprep.sources.imagenet import class_names, discover

REAL = Path(__file__).resolve().parents[2].parent / "shared/data/imagenet"


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_rows_labels_and_bytes(tmp_path, form: Callable[[Path], None]):
    form(tmp_path)
    found = discover(tmp_path, None)
    assert rows(tmp_path, found) == expected_rows()
    assert found.classes.ids == tuple(sorted({*TRAIN_WNIDS, *VAL_WNIDS}))
    assert found.classes.names == ("tench", "goldfish", "crane", "crane")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("split", ["train", "val"])
def test_one_split_alone_has_the_same_rows_and_classes(tmp_path, form, split):
    form(tmp_path)
    found = discover(tmp_path, split)
    assert rows(tmp_path, found) == {split: expected_rows()[split]}
    assert len(found.classes.ids) == 4


def test_kaggles_own_folder_can_be_the_source(tmp_path):
    as_kaggle(tmp_path)
    found = discover(tmp_path / "ILSVRC", None)
    assert rows(tmp_path / "ILSVRC", found) == expected_rows()
    assert found.listings["train"].ignored == {"unlabelled image of test": 1}


def test_one_split_can_be_the_source(tmp_path):
    as_folders(tmp_path)
    for folder, name in [("train", "train"), ("val", "val")]:
        listing = discover(tmp_path / folder, name).listings[name]
        assert keys(listing) == [key for key, _, _ in expected_rows()[name]]


def test_a_split_archive_beside_its_folder_is_ignored(tmp_path):
    as_folders(tmp_path)
    as_archives(tmp_path)
    found = discover(tmp_path, None)
    assert rows(tmp_path, found) == expected_rows()
    for listing in found.listings.values():
        assert (listing.files.offset == WHOLE_FILE).all()
        assert listing.ignored == {"archive beside its unpacked folder": 2}


def test_a_half_unpacked_class_is_taken_from_its_archive(tmp_path):
    as_folders(tmp_path)
    files = train_images()["n01440764"]
    put(tmp_path / "train/n01440764.tar", tar(files))
    (tmp_path / "train/n01440764" / next(iter(files))).unlink()
    found = discover(tmp_path, None)
    assert rows(tmp_path, found) == expected_rows()
    assert found.listings["train"].ignored == {"folder beside its archive": 1}


def test_two_val_images_of_one_name_are_an_error(tmp_path):
    as_archives(tmp_path)
    name, content = next(iter(val_images().items()))
    put(tmp_path / "ILSVRC2012_img_val.tar", tar({name: content, f"val/{name}": content}))
    with pytest.raises(SourceError, match=f"two images of val .*{name}"):
        discover(tmp_path, None)


def test_what_is_no_class_is_counted(tmp_path):
    as_folders(tmp_path)
    put(tmp_path / "train/n0144076/1.JPEG", jpeg(1))
    put(tmp_path / "train/list.txt", b"text")
    put(tmp_path / "train/n01440764/list.txt", b"text")
    assert discover(tmp_path, None).listings["train"].ignored == {
        "folder that is not a wnid": 1,
        "not an image (.txt)": 1,
        "outside any class folder": 1,
    }


def test_neither_form_is_an_error_that_lists_them(tmp_path):
    put(tmp_path / "cats/1.jpg", jpeg(1))
    with pytest.raises(SourceError, match=r"no ImageNet.*Data/CLS-LOC.*ILSVRC2012_img_train"):
        discover(tmp_path, None)


def test_the_packaged_table_has_the_1000_classes_in_order():
    names = class_names()
    assert len(names) == 1000 and list(names) == sorted(names)
    assert all(names.values())
    assert (min(names), max(names)) == ("n01440764", "n15075141")


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no real ImageNet images at {REAL}")
def test_real_images_and_their_class_list():
    lines = (REAL / "synset_words.tsv").read_text(encoding="utf-8").splitlines()[1:]
    table = [line.split("\t") for line in lines]
    assert list(class_names()) == [wnid for _, wnid, _, _ in table]
    found = discover(REAL, None)
    files = sorted(os.fsencode(path.relative_to(REAL / "train")) for path in REAL.glob("train/*/*"))
    assert keys(found.listings["train"]) == files
    assert found.listings["train"].labels.tolist() == list(range(len(files)))
