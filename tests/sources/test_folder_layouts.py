"""What the how-to says of layouts of image folders is what listing them gives and says."""

import argparse
import itertools
import os
import re
import shlex
import unicodedata
from collections import Counter
from pathlib import Path

import pytest
import synthetic
from doc_tables import rows

from freqprep.convert.planning import discover
from freqprep.convert.request import Request
from freqprep.errors import SourceError
from freqprep.sources import SOURCES
from freqprep.sources.split_names import split_folders, split_word

JPEG = b"\xff\xd8\xff\xe0 not decoded here"
TEXTS = {
    "val_annotations.txt": "0.jpg\tn01443537\t0\t0\t1\t1\n1.jpg\tn01629819\t0\t0\t1\t1\n",
    "words.txt": "n00001740\tentity\nn01443537\tgolden fish, Carassius auratus\n",
}
ROWS = [[cell.strip("`") for cell in row] for row in rows("layouts.md", "Image folders")]


def expanded(pattern: str) -> list[str]:
    """``a{b,c}`` as ab, ac."""
    parts = re.split(r"\{(.*?)\}", pattern)
    choices = [part.split(",") if i % 2 else [part] for i, part in enumerate(parts)]
    return ["".join(choice) for choice in itertools.product(*choices)]


def build(root: Path, layout: str) -> None:
    """Two images for each ``*.jpg``; folders end in ``/``."""
    for path in (path for pattern in layout.split() for path in expanded(pattern)):
        full = root / path
        if path.endswith("/"):
            full.mkdir(parents=True, exist_ok=True)
            continue
        full.parent.mkdir(parents=True, exist_ok=True)
        if full.name.startswith("*"):
            for number in range(2):
                full.with_name(f"{number}{full.suffix}").write_bytes(JPEG)
        else:
            image = full.suffix == ".jpg"
            full.write_bytes(JPEG if image else TEXTS.get(full.name, "text\n").encode())


def outcome(request: Request) -> str:
    try:
        found = discover(request)
    except SourceError as error:
        return f"error: {error}"
    splits = []
    for name, listing in sorted(found.listings.items()):
        classes = [found.classes.ids[label] for label in sorted(set(listing.labels.tolist()))]
        splits.append(f"{name}: {', '.join(map(str, classes))}")
    return "; ".join(splits)


def request(root: Path, command: str) -> Request:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind")
    parser.add_argument("--split")
    parser.add_argument("--classes")
    options = parser.parse_args(shlex.split(command))
    classes = None if options.classes is None else tuple(options.classes.split(","))
    return Request(options.kind, root, root / "none.zarr", split=options.split, classes=classes)


def pattern(text: str) -> str:
    return re.escape(text.replace(" ... ", "...")).replace(r"\.\.\.", ".*")


@pytest.mark.parametrize(("layout", "command", "result", "said"), ROWS, ids=[r[0] for r in ROWS])
def test_a_layout_is_what_the_how_to_says(tmp_path, capsys, layout, command, result, said):
    build(tmp_path, layout)
    found = outcome(request(tmp_path, command))
    if result.startswith("error:"):
        assert re.search(pattern(result.removeprefix("error:").strip(" `")), found)
        assert found.startswith("error:")
    else:
        assert found == result
    assert re.search(pattern(said), capsys.readouterr().err, re.DOTALL)


@pytest.mark.parametrize("kind", ["imagefolder", "imagenet"])
@pytest.mark.parametrize("wrapper", ["", "tiny/"])
def test_tiny_imagenet_has_its_labels_by_file_name_and_names_by_words(tmp_path, kind, wrapper):
    train = "train/n0{1443537,1629819}/images/*.jpg"
    rest = ["val/images/*.jpg", "val/val_annotations.txt", "test/images/*.jpg", "words.txt"]
    build(tmp_path, " ".join(wrapper + path for path in [train, *rest]))
    found = SOURCES[kind](tmp_path, None)
    val = found.listings["val"]
    assert found.classes.ids == ("n01443537", "n01629819")
    assert found.classes.names == ("golden fish", "European fire salamander")
    keys = [val.keys.bytes_at(row) for row in range(len(val))]
    assert keys == [b"n01443537/0.jpg", b"n01629819/1.jpg"] and val.labels.tolist() == [0, 1]
    assert val.files.paths.bytes_at(1) == f"{wrapper}val/images/1.jpg".encode()


@pytest.mark.parametrize("kind", ["imagefolder", "imagenet"])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0.jpg\tn01443537\n", "no label for 1 of 2"),
        ("0.jpg n01443537\n", "line 1: .* tab between"),
    ],
)
def test_damaged_labels_of_tiny_imagenet_are_an_error(tmp_path, kind, text, said):
    build(tmp_path, "train/n0{1443537,1629819}/images/*.jpg val/images/*.jpg")
    (tmp_path / "val/val_annotations.txt").write_text(text)
    with pytest.raises(SourceError, match=said):
        SOURCES[kind](tmp_path, None)


@pytest.mark.parametrize(
    "layout",
    [
        "{cat,dog}/*.jpg cat/inside/*.jpg",
        "archive/{train,val}/{cat,dog}/*.jpg archive/extra/*.jpg test/",
        "{seg_train/seg_train,seg_test/seg_test}/{sea,ice}/*.jpg seg_pred/seg_pred/*.jpg",
        "train/n0{1443537,1629819}/images/*.jpg val/images/*.jpg val/val_annotations.txt",
        "archive/cat/*.jpg",
    ],
)
@pytest.mark.parametrize("kind", ["imagefolder", "imagenet"])
def test_each_folder_is_listed_at_most_once(tmp_path, monkeypatch, layout, kind):
    build(tmp_path, layout)
    listed: Counter[bytes] = Counter()
    scandir = os.scandir

    def counting(path):
        listed[os.fsencode(path)] += 1
        return scandir(path)

    monkeypatch.setattr(os, "scandir", counting)
    outcome(Request(kind, tmp_path, tmp_path / "none.zarr"))
    assert listed and set(listed.values()) == {1}


@pytest.mark.parametrize(
    ("in_train", "in_val"),
    [
        (unicodedata.normalize("NFC", "café"), unicodedata.normalize("NFD", "café")),
        ("cat", "cat "),
        ("Cat", "cAT"),
    ],
)
def test_one_class_spelled_in_two_ways_is_an_error_unless_both_are_listed(
    tmp_path, capsys, in_train, in_val
):
    for folder in ["train/dog", "val/dog", f"train/{in_train}", f"val/{in_val}"]:
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "1.jpg").write_bytes(JPEG)
    wanted = Request("imagefolder", tmp_path, tmp_path / "none.zarr")
    said = f"{ascii(in_val)} and {ascii(in_train)}"
    with pytest.raises(SourceError, match=re.escape(said)):
        discover(wanted)
    listed = Request(
        "imagefolder", tmp_path, tmp_path / "none.zarr", classes=("dog", in_train, in_val)
    )
    assert set(discover(listed).classes.ids) == {"dog", in_train, in_val}


def test_classes_may_be_links(tmp_path):
    build(tmp_path, "all/{a,b}/*.jpg data/train/ data/val/")
    for split in ("train", "val"):
        for name in ("a", "b"):
            (tmp_path / "data" / split / name).symlink_to(tmp_path / "all" / name)
    wanted = Request("imagefolder", tmp_path / "data", tmp_path / "none.zarr")
    assert outcome(wanted) == "train: a, b; val: a, b"


@pytest.mark.parametrize("word", ["train", "Training", "VAL", "valid", "validation", "dev", "test"])
@pytest.mark.parametrize(
    "form", ["{}", "{}2017", "{}_set", "{}-images", "seg_{}", "{}set", "01_{}", "Images {}"]
)
def test_common_additions_leave_a_split_what_it_is(word, form):
    assert split_word(form.format(word)) == split_word(word) is not None


@pytest.mark.parametrize(
    "name",
    ["trainer", "bullet_train", "test_tube", "invalid", "trainval", "test-dev2017", "images", ""],
)
def test_other_names_are_no_splits(name):
    assert split_word(name) is None


def test_names_that_differ_in_the_word_alone_are_splits_together():
    names = ["signs_train", "signs_test", "bullet_train", "docs", "Validation"]
    assert split_folders(names) == {
        "signs_train": "train",
        "signs_test": "test",
        "Validation": "val",
    }


def test_the_command_says_what_it_took_and_what_it_left_out(tmp_path):
    source = synthetic.image_folder(tmp_path / "wrap/data", {"Training": 6, "Testing": 6})
    build(source, "extra/*.jpg __MACOSX/x/*.jpg Training/Thumbs.db")
    words = ["convert", "imagefolder", tmp_path / "wrap", tmp_path / "out.zarr", "--size", "32"]
    done = synthetic.freqprep(*words, "--jobs", "1")
    assert done.returncode == 0
    for said in [
        "taking the folder .*wrap/data for the source",
        "left out: 2 images in extra",
        "splits: test from data/Testing, train from data/Training",
        "train: .*ignored: 1 folder that is not a split .extra., 2 hidden or system files",
    ]:
        assert re.search(said, done.stderr)
    assert re.search("^test .imagefolder, Testing.", done.stdout, re.MULTILINE)


def test_the_command_refuses_with_the_remedy(tmp_path):
    build(tmp_path, "{train,val}/*.jpg")
    done = synthetic.freqprep("convert", "imagefolder", tmp_path, tmp_path / "out.zarr")
    assert done.returncode == 1 and "train/CLASS/IMAGE" in done.stderr
    assert not (tmp_path / "out.zarr").exists()
