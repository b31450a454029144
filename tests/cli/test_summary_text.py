"""How a split's numbers are printed: what is said, and that it fits 80 columns."""

import dataclasses
import json
import os
import re

import pytest
import synthetic
from coco_folder import coco_folder
from freqprep_cli.summary_text import describe
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import freqprep
from freqprep.store.class_counts import ClassCounts, ObjectCounts
from freqprep.store.summary import summarize
from freqprep.text.terminal import on_one_line, paragraph, width

NASTY = 'x"\n' + "very long, =with() everything \u00e4 " * 9


@pytest.fixture(scope="module")
def summary(store):
    return summarize(freqprep.open_store(store)["val"])


def rows(text: str) -> dict[str, str]:
    """The value of each name, continued lines joined."""
    found: dict[str, str] = {}
    name = ""
    lines = text.splitlines()[1:]
    start = len(lines[0]) - len(lines[0].removeprefix("  images").lstrip())  # of all values
    for line in lines:
        assert len(line) <= 80, line
        name = line[2:start].strip() or name
        found[name] = " ".join(filter(None, [found.get(name, ""), line[start:].strip()]))
    return found


def classed(summary, counts, noun="images", names=None, unlabelled=0):
    names = names or tuple(f"c{k}" for k in range(len(counts)))
    objects = None
    if noun == "objects":
        objects = ObjectCounts(sum(counts), 0, sum(counts), 9, 0, 0)
    classes = ClassCounts(
        names, names, counts, counts if objects else None, None if objects else unlabelled
    )
    return rows(describe(dataclasses.replace(summary, class_counts=classes, objects=objects)))


def test_classes_in_words(summary):
    assert classed(summary, (64,) * 17)["classes"] == "17, balanced: 64 images each"
    assert classed(summary, (1, 1))["classes"] == "2, balanced: 1 image each"
    few = classed(summary, (9, 1300, 0), unlabelled=1)
    assert few["classes"] == "3, by images: c1 1,300, c0 9, c2 0"
    assert few["unlabelled"] == "1 image"
    many = classed(summary, tuple(range(732, 1732)))
    assert many["classes"] == "1,000, with 732 to 1,731 images each"
    assert many["largest"].startswith("c999 1,731, c998 1,730, ")
    assert many["smallest"] == "c2 734, c1 733, c0 732"
    holes = classed(summary, (5, 0, 7, 0, 1, 2, 3), "objects")
    without = "7, 2 without objects, the others with 1 to 7 objects each"
    assert holes["classes"] == f"{without} c2 7, c0 5, c6 3, c5 2, c4 1"
    alike = classed(summary, (4, 0, 4, 4, 4, 0, 4))["classes"]
    assert alike == "7, 2 without images, the others with 4 images each"
    assert classed(summary, (0,) * 9)["classes"] == "9, none with images"
    assert classed(summary, ())["classes"] == "0"


def test_names_that_are_long_or_shared(summary):
    names = (NASTY, "\u754c" * 60, "crane", "e" * 99, "f", "g")
    found = classed(summary, (6, 5, 4, 3, 2, 1), names=names)
    assert "crane 4" in found["classes"] and "\\n" in found["classes"]
    classes = ClassCounts(("n1", "n2"), ("crane", "crane"), (2, 1), None, 0)
    text = describe(dataclasses.replace(summary, class_counts=classes))
    assert "crane (n1) 2, crane (n2) 1" in text


def test_everything_is_large_and_still_fits(summary):
    big = dataclasses.replace(
        summary,
        **{"images": 1_281_167_000, "valid": 1_281_167_000, "capped": 1_281_000_000},
        **{"split": NASTY, "source_split": NASTY, "psnr_luma_worst_key": NASTY, "pixel_share": 0.3},
        **{"source_bytes": 10**15, "stored_bytes": 10**15, "saturated": 10**12},
        rejected_by_reason=dict.fromkeys(("corrupt", "missing", "size_mismatch", "empty"), 10**8),
        objects=ObjectCounts(10**10, 10**9, 10**10, 10**9, 10**9, 10**9),
    )
    found = rows(describe(big))
    assert "(1,281,000,000 of 1,281,167,000 shrunk to 32)" in found["published 24"]
    assert "1,000,000,000 images without objects; 1,000,000,000 more of" in found["objects"]


def test_a_ratio_says_that_images_were_shrunk(tmp_path, call):
    for number, side in enumerate((200, 60, 30)):
        path = tmp_path / "photos" / "a" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(synthetic.pixels(number, side, side)).save(path)
    words = ("convert", "imagefolder", tmp_path / "photos", tmp_path / "x.zarr", "--size", "64")
    dry = call(*words, "--dry-run")[1]
    assert "1 of 3 shrunk to 64)" in " ".join(dry.split())
    assert all(len(line) <= 80 for line in dry.splitlines())
    assert json.loads(call(*words, "--dry-run", "--json")[1])["splits"]["train"][
        "shrunk_in_sample"
    ] == 1  # fmt: skip
    code, out, _ = call(*words, "--jobs", "1")
    found = rows(out)
    assert code == 0
    assert found["shrunk"] == "1 of 3 images: 19% of the pixels kept"
    for name in ("all 192", "published 24"):
        assert found[name].endswith("x the source (1 of 3 shrunk to 64)")
    assert "shrunk to 64" in call("info", tmp_path / "x.zarr")[1]
    document = json.loads(call("info", tmp_path / "x.zarr", "--json")[1])["splits"]["train"]
    pixels = 64 * 64 + 60 * 60 + 30 * 30
    assert document["capped"] == 1
    assert document["pixel_share"] == pixels / (200 * 200 + 60 * 60 + 30 * 30)


def test_precision_level_and_channels_stored(summary):
    found = rows(describe(summary))
    assert found["geometry"] == "fit 32, grid 4x4"
    assert found["precision"] == "int8, steps 4 to 8"
    assert (found["zstd level"], found["channels"]) == ("1", "all 192")
    assert "packed from" not in found
    free = dataclasses.replace(summary, precision="mine", steps=(0.5, 0.5))
    assert rows(describe(free))["precision"] == "mine, step 0.5"
    names = freqprep.channels("paper-48").names
    some = dataclasses.replace(
        summary, channels=names, packed_from="f" * 64, published_24_bytes_per_image=None
    )
    found = rows(describe(some))
    assert found["channels"] == "48 of 192: paper-48"
    assert found["48 stored"] == rows(describe(summary))["all 192"]
    assert "all 192" not in found and "published 24" not in found
    assert found["packed from"] == "f" * 64
    many = dataclasses.replace(summary, channels=freqprep.channels("all").names[:100])
    assert rows(describe(many))["channels"].startswith("100 of 192: y_0_0, ")


def test_cropped_images_are_cut_not_shrunk(crop_store, call):
    out = call("info", crop_store)[1]
    assert "cut to 24)" in out and "shrunk" not in out


def test_nothing_is_said_where_nothing_was_larger(summary):
    text = describe(dataclasses.replace(summary, capped=0, pixel_share=1.0))
    assert "shrunk" not in text and "x the source\n" in text


def test_coco_is_counted_in_convert_its_dry_run_and_info(tmp_path, call):
    source, store = coco_folder(tmp_path / "coco"), tmp_path / "x.zarr"
    words = ("convert", "coco", source, store, "--jobs", "1")
    dry = " ".join(call(*words, "--dry-run")[1].split())
    assert "objects 4 in 3 images, 1 crowd 1 image without objects" in dry
    assert "classes 2, by objects: cat 3, dog 1" in dry
    code, out, _ = call(*words)
    assert code == 3
    found = rows(out)
    assert found["objects"].startswith("3 in 2 images, 2 with a mask, 1 crowd")
    assert found["objects"].endswith("1 image without objects; 1 more of rejected images")
    assert found["classes"] == "2, by objects: cat 2, dog 1"
    assert call("info", store)[1].startswith(out)
    document = json.loads(call("info", store, "--json")[1])["splits"]["val"]
    assert document["class_objects"] == [2, 1] and document["class_names"] == ["cat", "dog"]
    assert document["objects"]["crowds"] == 1


def test_rejects_with_long_names_fit(tmp_path, call):
    folder = tmp_path / "photos" / "a"
    folder.mkdir(parents=True)
    (folder / ("k" * 200 + ".jpg")).write_bytes(b"no image at all")
    with open(os.path.join(os.fsencode(folder), b"\xff\n" * 50 + b".jpg"), "wb") as file:
        file.write(synthetic.picture(1))
    (folder / "good.jpg").write_bytes(synthetic.picture(2))
    call("convert", "imagefolder", tmp_path / "photos", tmp_path / "x.zarr", "--jobs", "1")
    code, out, _ = call("info", tmp_path / "x.zarr")
    assert code == 0 and re.search(r"rejected: row \d, 'a/kkk", out) and "not_an_image" in out
    assert all(len(line) <= 80 for line in out.splitlines())
    keys = freqprep.open_store(tmp_path / "x.zarr")["train"].keys
    for row in range(3):
        code, out, _ = call("show", tmp_path / "x.zarr", str(row), "-o", tmp_path / f"{row}.png")
        lines = out.splitlines()
        assert code == (1 if "kkk" in keys[row] else 0)
        assert all(len(line) <= 80 for line in lines[:-1])


@given(st.text(max_size=300))
def test_wrapped_text_loses_no_word(text):
    found = paragraph(text)
    assert found.split() == on_one_line(text.strip(" ")).split()
    words = [word for line in found.splitlines() if width(line) > 80 for word in line.split()]
    assert all(width(word) > 70 for word in words[1:])
