"""Images of an annotation file: found in one way, never another's, and exactly counted."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from freqprep.errors import SourceError
from freqprep.sources.coco import discover
from freqprep.sources.listing import Listing
from freqprep.sources.options import SourceOptions


def put(root: Path, *files: str) -> None:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(b"\xff\xd8\xff" + file.encode())


def listed(root: Path, file: str, *names: str, **more: Any) -> None:
    images = [{"id": n, "file_name": name, "width": 2, "height": 2} for n, name in enumerate(names)]
    document = {"images": images, "annotations": [], "categories": [{"id": 1, "name": "cat"}]}
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text(json.dumps(document | more))


def paths(listing: Listing) -> list[str]:
    return [listing.files.paths.bytes_at(row).decode() for row in range(len(listing))]


def found(root: Path, split: str | None = None, **named: Path) -> Listing:
    (listing,) = discover(root, split, SourceOptions(**named)).listings.values()
    return listing


NUMBERS = [f"{number}.jpg" for number in range(8)]


def test_a_missing_image_is_never_another_splits(tmp_path):
    for split in ("train", "val"):
        listed(tmp_path, f"annotations/instances_{split}.json", *NUMBERS)
    put(tmp_path, *(f"val/{name}" for name in NUMBERS))
    put(tmp_path, *(f"train/{name}" for name in NUMBERS[:1]))
    train = found(tmp_path, "train")
    assert paths(train) == [f"train/{name}" for name in NUMBERS]
    assert (train.files.length > 0).tolist() == [True] + 7 * [False]
    os.remove(tmp_path / "train/0.jpg")
    for remaining in (True, False):
        with pytest.raises(SourceError, match=r"none of the 8 images of .*instances_train\.json"):
            discover(tmp_path, "train")
        if remaining:
            (tmp_path / "train").rmdir()
    assert paths(found(tmp_path, "val")) == [f"val/{name}" for name in NUMBERS]


def test_a_name_that_says_another_split_is_not_looked_up_in_this_one(tmp_path):
    names = ["train2017/0.jpg", "val2017/1.jpg", "val2017/0.jpg"]
    listed(tmp_path, "annotations/instances_train2017.json", *names)
    put(tmp_path, "train2017/0.jpg", "train2017/1.jpg")
    assert (found(tmp_path).files.length > 0).tolist() == [True, False, False]
    put(tmp_path, "val2017/0.jpg", "val2017/1.jpg", "val2017/9.jpg")
    whole = found(tmp_path)
    assert paths(whole) == names and (whole.files.length > 0).all()
    assert whole.ignored == {"image without an entry in the annotations": 2}


def test_most_images_missing_is_said_and_all_missing_is_an_error(tmp_path, capsys):
    listed(tmp_path, "annotations/instances_train.json", *NUMBERS)
    put(tmp_path, *(f"train/{name}" for name in NUMBERS[4:]))
    found(tmp_path)
    assert "not there" not in capsys.readouterr().err
    os.remove(tmp_path / "train/7.jpg")
    found(tmp_path)
    said = capsys.readouterr().err
    assert "warning: train: 5 of 8 listed images are not there, for example 0.jpg" in said
    assert "train/0.jpg" in said and "--images DIR" in said
    for name in NUMBERS[4:7]:
        (tmp_path / "train" / name).rename(tmp_path / "train" / f"x{name}")
    with pytest.raises(SourceError, match=r"0\.jpg is listed, train/x4\.jpg is there.*--images"):
        discover(tmp_path, None)


def test_names_with_a_dot_are_not_counted_as_unlisted(tmp_path):
    listed(tmp_path, "annotations/instances_train.json", "./0.jpg", ".//1.jpg", "a/./2.jpg")
    put(tmp_path, "train/0.jpg", "train/1.jpg", "train/a/2.jpg", "train/3.jpg", "train/a/0.jpg")
    assert found(tmp_path).ignored == {"image without an entry in the annotations": 2}


def test_images_of_other_splits_are_not_counted_converted_now_or_not(tmp_path):
    listed(tmp_path, "train.json", "0.jpg", "1.jpg")
    listed(tmp_path, "val.json", "./2.jpg")
    put(tmp_path, *(f"images/{name}" for name in NUMBERS[:5]))
    expected = {"image without an entry in the annotations": 2}
    both = discover(tmp_path, None).listings
    assert both["train"].ignored == both["val"].ignored == expected
    assert found(tmp_path, "train").ignored == found(tmp_path, "val").ignored == expected


def test_what_is_used_is_not_ignored_whatever_it_looks_like(tmp_path):
    names = ["0.jpg", ".1.jpg", ".hidden/2.jpg", "3.dat", "a/4.raw"]
    listed(tmp_path, "train/_annotations.coco.json", *names)
    put(tmp_path, *(f"train/{name}" for name in names))
    for name in ("5.dat", ".6.jpg", ".more/7.jpg", "notes.txt"):
        (tmp_path / "train" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "train" / name).write_text("x")
    for name in ("3.dat", "a/4.raw"):
        (tmp_path / "train" / name).write_text("no image")
    assert found(tmp_path).ignored == {
        "hidden or system file": 2,
        "not an image (.dat)": 1,
        "not an image (.txt)": 1,
    }


def test_images_in_two_splits_are_said(tmp_path, capsys):
    listed(tmp_path, "train.json", "0.jpg", "1.jpg")
    listed(tmp_path, "val.json", "1.jpg")
    put(tmp_path, "images/0.jpg", "images/1.jpg")
    discover(tmp_path, None)
    said = "warning: 1 image in both train and val, for example images/1.jpg"
    assert said in capsys.readouterr().err


def test_a_name_of_another_machine_is_the_file_whose_folders_agree_most(tmp_path):
    names = ["/mnt/x/a/0.jpg", "D:\\x\\b\\0.jpg", "/mnt/x/a/1.jpg"]
    listed(tmp_path, "all.json", *names)
    put(tmp_path, "p/q/a/0.jpg", "p/q/b/0.jpg", "r/1.jpg")
    assert paths(found(tmp_path)) == ["p/q/a/0.jpg", "p/q/b/0.jpg", "r/1.jpg"]
    put(tmp_path, "s/1.jpg")
    with pytest.raises(SourceError, match=r"/mnt/x/a/1\.jpg could be r/1\.jpg or s/1\.jpg"):
        discover(tmp_path, None)


def test_in_a_named_folder_another_splits_images_are_not_taken(tmp_path):
    listed(tmp_path, "annotations/instances_train.json", *NUMBERS)
    put(tmp_path, *(f"images/val/{name}" for name in NUMBERS))
    with pytest.raises(SourceError, match="none of the 8 images"):
        discover(tmp_path, None, SourceOptions(images=tmp_path / "images"))
    put(tmp_path, *(f"images/train/{name}" for name in NUMBERS))
    assert paths(found(tmp_path, images=tmp_path / "images")) == [
        f"images/train/{name}" for name in NUMBERS
    ]


def test_the_source_itself_may_be_the_named_folder(tmp_path):
    listed(tmp_path, "annotations/all.json", "0.jpg", "a/1.jpg")
    put(tmp_path, "0.jpg", "a/1.jpg", "a/2.jpg")
    listing = found(tmp_path, images=tmp_path)
    assert paths(listing) == ["0.jpg", "a/1.jpg"] and listing.options == {"images": "."}
    assert listing.ignored == {"image without an entry in the annotations": 1}


def test_no_file_outside_of_the_source_is_ever_listed(tmp_path):
    outside = tmp_path / "outside.jpg"
    outside.write_bytes(b"\xff\xd8\xff")
    listed(tmp_path / "set", "all.json", "0.jpg", str(outside))
    put(tmp_path / "set", "0.jpg")
    listing = found(tmp_path / "set")
    assert (listing.files.length > 0).tolist() == [True, False]
    assert not any(os.path.isabs(path) for path in paths(listing))


def test_a_broken_train_file_is_not_left_aside_for_a_whole_one(tmp_path):
    put(tmp_path, "images/0.jpg")
    listed(tmp_path, "annotations/val.json", "0.jpg")
    whole = (tmp_path / "annotations/val.json").read_bytes()
    for cut in range(0, len(whole) - 1, 7):
        (tmp_path / "annotations/train.json").write_bytes(whole[:cut])
        with pytest.raises(SourceError, match=r"train\.json is not a complete annotation file"):
            discover(tmp_path, None)


@pytest.mark.parametrize("lead", [b"", b"\xef\xbb\xbf", b"\n  "])
def test_a_large_file_is_told_by_the_beginning_of_its_annotations(tmp_path, lead):
    put(tmp_path, "images/0.jpg")
    listed(tmp_path, "a.json", "0.jpg", info="x" * (2**20 - 40), licenses=[{}] * 3)
    for indent in (None, 2):
        text = json.dumps(json.loads((tmp_path / "a.json").read_bytes()), indent=indent)
        (tmp_path / "a.json").write_bytes(lead + text.encode())
        assert paths(found(tmp_path)) == ["images/0.jpg"]
        (tmp_path / "a.json").write_text(text)
    captions = {"annotations": [{"id": 1, "image_id": 0, "caption": "bbox"}]}
    listed(tmp_path, "b.json", "0.jpg", info="x" * (2**21 - 30), **captions)
    assert found(tmp_path).ignored == {"b.json (captions)": 1}


def test_links_that_lead_back_are_no_other_data_set(tmp_path):
    listed(tmp_path, "annotations/instances_train.json", "0.jpg")
    put(tmp_path, "train/0.jpg")
    (tmp_path / "self").symlink_to(tmp_path)
    listing = found(tmp_path)
    assert paths(listing) == ["train/0.jpg"] and listing.ignored == {}


NO_COCO = {
    "imagefolder": {"cat/0.jpg": "", "notes.txt": "0 1 2 3 4", "cat/1.txt": "1 2 3 4 5"},
    "YOLO": {"images/0.jpg": "", "labels/0.txt": "0 .5 0.5 5e-1 1\n2 -0.1 .2 .3 .4 .5 .6"},
    "YOLO's": {"train/images/0.jpg": "", "train/labels/0.txt": "", "data.yaml": "nc: 1\n"},
    "Pascal VOC": {"0.jpg": "", "0.xml": "<?xml?>\n<annotation verified='yes'>"},
    "only 0.json \\(not COCO annotations\\)": {"0.jpg": "", "0.json": '{"shapes": []}'},
    "only found.json \\(a list": {"0.jpg": "", "found.json": '[{"bbox": [1, 2, 3, 4]}]'},
    "line 1, column": {"0.jpg": "", "cut.json": '{"images": [{"id": 1'},
    "none of the|no annotations in": {"notes.md": "x", "page.xml": "<svg/>"},
}


@pytest.mark.parametrize(("words", "files"), NO_COCO.items(), ids=NO_COCO)
def test_what_is_not_coco_is_refused_by_name(tmp_path, words, files):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    with pytest.raises(SourceError, match=words) as caught:
        discover(tmp_path, None)
    assert caught.value.remedy


def test_an_inner_data_set_is_left_aside_and_said(tmp_path, capsys):
    listed(tmp_path, "annotations/instances_train.json", "0.jpg")
    listed(tmp_path, "old/annotations/instances_train.json", "0.jpg")
    put(tmp_path, "train/0.jpg", "old/train/0.jpg")
    listing = found(tmp_path)
    assert paths(listing) == ["train/0.jpg"]
    assert "warning: annotations that are not used: old/" in capsys.readouterr().err
    assert listing.ignored == {"old/annotations/instances_train.json (not used)": 1}
