"""COCO annotations: equal to pycocotools on real data, and named errors on bad data."""

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freqprep.errors import SourceError
from freqprep.sources.coco import discover
from freqprep.sources.listing import Listing

DATA = Path(__file__).resolve().parents[2].parent / "shared/data"
REAL = [
    ("coco", "train2017"),
    ("coco", "val2017"),
    ("bccd", "train"),
    ("bccd", "val"),
    ("bccd", "test"),
]

real_data = pytest.mark.skipif(not (DATA / "coco").is_dir(), reason=f"no real COCO at {DATA}")


def keys(listing: Listing) -> list[bytes]:
    return [listing.keys.bytes_at(row) for row in range(len(listing))]


def real_listing(folder: str, source_name: str) -> Listing:
    (listing,) = discover(DATA / folder, source_name).listings.values()
    return listing


@real_data
@pytest.mark.parametrize(("folder", "source_name"), REAL)
def test_real_annotations_equal_those_of_pycocotools(folder, source_name, capsys):
    coco = pytest.importorskip("pycocotools.coco")
    reference = coco.COCO(str(DATA / folder / "annotations" / f"instances_{source_name}.json"))
    found = discover(DATA / folder, source_name)
    (listing,) = found.listings.values()
    objects = listing.objects
    assert listing.image_ids.tolist() == sorted(reference.getImgIds())
    assert list(found.classes.ids) == sorted(reference.getCatIds())
    for row, image_id in enumerate(listing.image_ids.tolist()):
        (image,) = reference.loadImgs(image_id)
        assert listing.stated_sizes[row].tolist() == [image["height"], image["width"]]
        assert listing.keys.bytes_at(row).decode() == image["file_name"]
        mine = slice(objects.offsets[row], objects.offsets[row + 1])
        theirs = reference.loadAnns(reference.getAnnIds(imgIds=image_id))
        assert objects.annotation_id[mine].tolist() == [a["id"] for a in theirs]
        assert objects.box[mine].tolist() == [a["bbox"] for a in theirs]
        assert objects.area[mine].tolist() == [a["area"] for a in theirs]
        assert objects.iscrowd[mine].tolist() == [bool(a["iscrowd"]) for a in theirs]
        ids = [found.classes.ids[label] for label in objects.label[mine]]
        assert ids == [a["category_id"] for a in theirs]
        texts = [objects.annotation.bytes_at(i) for i in range(mine.start, mine.stop)]
        assert list(map(json.loads, texts)) == theirs


@real_data
def test_real_files_are_all_there_and_all_listed():
    for folder, source_name in REAL:
        listing = real_listing(folder, source_name)
        on_disk = {path.name: path.stat() for path in (DATA / folder / source_name).iterdir()}
        assert {key.decode() for key in keys(listing)} == set(on_disk)
        sizes = [on_disk[key.decode()].st_size for key in keys(listing)]
        assert listing.files.length.tolist() == sizes
        assert listing.ignored == {}


@real_data
def test_real_coco_has_gaps_crowds_and_images_without_objects():
    found = discover(DATA / "coco", None)
    assert set(found.listings) == {"train", "val"}
    assert len(found.classes.ids) == 80 and found.classes.ids[-1] == 90
    for listing in found.listings.values():
        assert (np.diff(listing.objects.offsets) == 0).any()
        assert listing.objects.iscrowd.any()
        assert (listing.labels == -1).all()


def small() -> dict[str, Any]:
    """Two images, the first in the file with the greater id; three objects."""
    return {
        "info": {"NaN": "only a name"},
        "images": [
            {"id": 7, "file_name": "b.jpg", "height": 20, "width": 30, "extra": [1, None]},
            {"id": 3, "file_name": "sub/a.jpg", "height": 40, "width": 50},
        ],
        "annotations": [
            annotation(12, 7, 90),
            annotation(11, 3, 1),
            annotation(10, 7, 1, attributes={"späť": "\N{GRINNING FACE}"}),
        ],
        "categories": [{"id": 90, "name": "toothbrush"}, {"id": 1, "name": "person"}],
    }


def annotation(id_: int, image_id: int, category_id: int, **more: Any) -> dict[str, Any]:
    box = [1.5, 2, 3, 4.25]
    return {"id": id_, "image_id": image_id, "category_id": category_id, "bbox": box, **more}


def write(root: Path, content: Any, name: str = "train", lead: bytes = b"") -> None:
    (root / "annotations").mkdir(exist_ok=True)
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    (root / "annotations" / f"instances_{name}.json").write_bytes(lead + text)
    (root / name / "sub").mkdir(parents=True, exist_ok=True)
    for file in ("b.jpg", "sub/a.jpg"):
        (root / name / file).write_bytes(b"\xff\xd8\xff")


def listed(root: Path, content: Any, **options: Any) -> Listing:
    write(root, content, **options)
    return discover(root, None).listings["train"]


def test_rows_are_in_the_order_of_image_ids_and_objects_in_that_of_the_file(tmp_path):
    listing = listed(tmp_path, small())
    assert listing.image_ids.tolist() == [3, 7]
    assert keys(listing) == [b"sub/a.jpg", b"b.jpg"]
    assert listing.stated_sizes.tolist() == [[40, 50], [20, 30]]
    objects = listing.objects
    assert objects.offsets.tolist() == [0, 1, 3]
    assert objects.annotation_id.tolist() == [11, 12, 10]
    assert objects.label.tolist() == [0, 1, 0]
    assert objects.box.tolist() == [[1.5, 2, 3, 4.25]] * 3
    assert objects.area.tolist() == [12.75] * 3 and not objects.iscrowd.any()
    assert listing.ignored == {}


def test_columns_have_the_promised_types(tmp_path):
    listing = listed(tmp_path, small())
    assert listing.image_ids.dtype == listing.labels.dtype == np.int64
    assert listing.stated_sizes.dtype == np.int32
    dtypes = {
        "offsets": np.int64,
        "box": np.float64,
        "label": np.int64,
        "area": np.float64,
        "iscrowd": np.bool_,
        "annotation_id": np.int64,
    }
    assert {name: getattr(listing.objects, name).dtype for name in dtypes} == dtypes


def test_unknown_keys_are_kept_as_compact_ascii_json(tmp_path):
    listing = listed(tmp_path, small())
    text = listing.objects.annotation.bytes_at(2)
    assert json.loads(text) == small()["annotations"][2]
    assert text.isascii() and b" " not in text


def test_the_order_of_top_level_keys_a_bom_and_white_space_change_nothing(tmp_path):
    plain = listed(tmp_path, small())
    turned = json.dumps(dict(reversed(small().items())), indent=2).encode()
    again = listed(tmp_path, turned, lead=b"\xef\xbb\xbf")
    assert keys(again) == keys(plain)
    for name in ("offsets", "box", "label", "area", "iscrowd", "annotation_id"):
        assert np.array_equal(getattr(again.objects, name), getattr(plain.objects, name))
    assert np.array_equal(again.objects.annotation.values, plain.objects.annotation.values)


def test_images_without_annotations_have_no_objects(tmp_path):
    listing = listed(tmp_path, small() | {"annotations": []})
    assert listing.objects.offsets.tolist() == [0, 0, 0]
    assert listing.objects.box.shape == (0, 4)


def test_what_does_not_pair_is_a_row_or_counted(tmp_path):
    content = small()
    content["annotations"].append(annotation(99, 1234, 1))
    write(tmp_path, content)
    (tmp_path / "train" / "sub" / "a.jpg").unlink()
    (tmp_path / "train" / "c.jpg").write_bytes(b"x")
    (tmp_path / "train" / "list.txt").write_bytes(b"x")
    listing = discover(tmp_path, None).listings["train"]
    assert keys(listing) == [b"sub/a.jpg", b"b.jpg"]
    assert listing.files.length.tolist() == [0, 3] and listing.files.version[0] == 0
    assert listing.objects.annotation_id.tolist() == [11, 12, 10]
    assert listing.ignored == {
        "annotation of an unlisted image": 1,
        "image without an entry in the annotations": 1,
        "not an image (.txt)": 1,
    }


def test_classes_are_the_union_over_the_splits(tmp_path):
    write(tmp_path, small())
    other = small() | {"categories": [{"id": 90, "name": "toothbrush"}, {"id": 5, "name": "plane"}]}
    other["annotations"] = [annotation(1, 7, 5)]
    write(tmp_path, other, name="val2017")
    for wanted in (None, "val", "val2017"):
        found = discover(tmp_path, wanted)
        assert found.classes.ids == (1, 5, 90)
        assert found.classes.names == ("person", "plane", "toothbrush")
        assert found.listings["val"].objects.label.tolist() == [1]
        assert found.listings["val"].source_name == "val2017"
    other["categories"][0]["name"] = "brush"
    write(tmp_path, other, name="val2017")
    with pytest.raises(SourceError, match=r"val2017\.json calls category 90 'brush'"):
        discover(tmp_path, "train")


def test_images_may_be_under_a_folder_of_that_name(tmp_path):
    write(tmp_path, small())
    (tmp_path / "images").mkdir()
    os.rename(tmp_path / "train", tmp_path / "images" / "train")
    listing = discover(tmp_path, None).listings["train"]
    assert listing.files.paths.bytes_at(1) == b"images/train/b.jpg"
    assert (listing.files.length == 3).all()


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(SourceError, match=r"looked for .*instances_\*\.json"):
        discover(tmp_path, None)
    write(tmp_path, small())
    with pytest.raises(SourceError, match=r"'test'.*there: train"):
        discover(tmp_path, "test")
    os.rename(tmp_path / "train", tmp_path / "elsewhere")
    for name in ("b.jpg", "sub/a.jpg"):
        (tmp_path / "elsewhere" / name).unlink()
    with pytest.raises(SourceError, match=r"none of the 2 .*b\.jpg is listed, no image is there"):
        discover(tmp_path, None)


def images_with(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda content: content["images"][1].update(changes)


def annotations_with(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda content: content["annotations"][1].update(changes)


def without(key: str, of: str) -> Callable[[dict[str, Any]], None]:
    return lambda content: content[of][1].pop(key)


MISTAKES = [
    (lambda content: content.pop("images"), "no 'images'"),
    (lambda content: content.pop("annotations"), "no 'annotations'"),
    (lambda content: content.pop("categories"), "no 'categories'"),
    (lambda content: content.update(images={}), "an array as 'images'"),
    (lambda content: content.update(images=[]), "lists no images"),
    (lambda content: content["images"].append(None), r"image number 2 .*none in missing"),
    (without("id", "images"), r"image number 1 .*id = missing"),
    (without("file_name", "images"), r"image number 1 has file_name = missing"),
    (without("width", "images"), r"image number 1 \(id 3\) has width = missing"),
    (without("height", "images"), r"image number 1 \(id 3\) has height = missing"),
    (images_with(width=0), "width = 0"),
    (images_with(height=-4), "height = -4"),
    (images_with(height=2**31), "height = 2147483648"),
    (images_with(height=True), "height = True"),
    (images_with(id=2**63), "id = 9223372036854775808"),
    (images_with(id=7), "repeats the id of another, first 7"),
    (images_with(file_name="b.jpg"), r"repeats the file_name of another, first b'b\.jpg'"),
    (images_with(file_name="sub/../../x.jpg"), "leaves the image folder"),
    (images_with(file_name="..\\x.jpg"), "leaves the image folder"),
    (images_with(file_name="%2e%2e/x.jpg"), "leaves the image folder"),
    (images_with(file_name="http://a.b/../x.jpg"), "leaves the image folder"),
    (images_with(file_name="./"), "not the name of a file"),
    (images_with(file_name="https://a.b"), "not the name of a file"),
    (images_with(file_name=7), "file_name = 7, not the name of a file"),
    (images_with(height=40.5), r"height = 40\.5"),
    (images_with(id="3.0"), r"id = '3\.0'"),
    (images_with(id="7"), "repeats the id of another, first 7"),
    (images_with(file_name=""), "not the name of a file"),
    (images_with(file_name="a\0b"), "not the name of a file"),
    (images_with(file_name="\ud800"), "not Unicode"),
    (without("id", "annotations"), "annotation number 1 .*id = missing"),
    (without("image_id", "annotations"), "image_id = missing"),
    (without("category_id", "annotations"), r"number 1 \(id 11\) has category_id = missing"),
    (without("bbox", "annotations"), r"number 1 \(id 11\) has bbox = missing"),
    (annotations_with(id=12), "repeats the id of another, first 12"),
    (annotations_with(category_id=2), "category_id = 2, which is none of the 2"),
    (annotations_with(bbox=[1, 2, 3]), r"bbox = \[1, 2, 3\]"),
    (annotations_with(bbox=[1, 2, 3, "4"]), "not four finite numbers"),
    (annotations_with(bbox=[1, 2, 3, None]), "not four finite numbers"),
    (annotations_with(bbox=[1, 2, 3, 10**400]), "not four finite numbers"),
    (annotations_with(bbox=[1, 2, 3, math.nan]), "NaN is not a number in JSON"),
    (annotations_with(bbox=[1, 2, 3, -math.inf]), "-Infinity is not a number in JSON"),
    (annotations_with(area="big"), "area = 'big'"),
    (annotations_with(iscrowd=2), "iscrowd = 2"),
    (annotations_with(iscrowd="yes"), "iscrowd = 'yes'"),
    (annotations_with(image_id=2**70), "image_id = 1180591620717411303424"),
    (annotations_with(category_id=1.5), r"category_id = 1\.5"),
    (annotations_with(bbox=None, segmentation=[]), "bbox = missing"),
    (annotations_with(bbox=None, segmentation=[[1, 2, 3, 4]]), "bbox = missing"),
    (annotations_with(bbox=[]), r"bbox = \[\], not four"),
    (annotations_with(segmentation={"counts": "x"}), "mask of size missing"),
    (annotations_with(segmentation={"size": [50, 40], "counts": "x"}), r"\[50, 40\].*\[40, 50\]"),
    (lambda content: content["categories"].append({"id": 1, "name": "x"}), "have the id 1"),
    (lambda content: content["categories"].append({"id": 2}), "name = missing"),
]


@pytest.mark.parametrize(("spoil", "message"), MISTAKES, ids=[message for _, message in MISTAKES])
def test_a_mistake_is_an_error_that_names_file_entry_and_value(tmp_path, spoil, message):
    content = small()
    spoil(content)
    write(tmp_path, content)
    with pytest.raises(SourceError, match=message) as caught:
        discover(tmp_path, None)
    assert "instances_train.json" in caught.value.message
    assert caught.value.remedy


TEXTS = [
    (b"", "line 1, column 1"),
    (b"[]", "an object at the top level at line 1, column 1"),
    (b'{\n"images": [],\n"annotations" []}', "line 3, column 15"),
    (b'{"images": [{"id": 1]}', "line 1, column 21"),
    (b'{"images": [], "images": []}', "'images' is not a new key"),
    (b'{"info": 1e999, "images": [', "Expecting value at line 1, column 28"),
    (b'{"images": [] } x', "Extra data at line 1, column 17"),
    (b'{"info": ' + b"[" * 100_000, "nested too deeply"),
    (b'{"info": ' + b"9" * 10_000 + b"}", "digits"),
    (b'{"info": "\xff"}', "not UTF-8 at byte 10"),
    (b'{"images": [NaN]}', "NaN is not a number"),
]


@pytest.mark.parametrize(("text", "message"), TEXTS, ids=[message for _, message in TEXTS])
def test_text_that_is_not_json_is_an_error_with_the_place(tmp_path, text, message):
    write(tmp_path, text)
    with pytest.raises(SourceError, match=message):
        discover(tmp_path, None)


def test_a_number_beyond_a_double_is_an_error_anywhere_in_an_annotation(tmp_path):
    text = json.dumps(small()).replace("\\ud83d\\ude00", "").replace('"sp', '"x": 1e999, "sp')
    write(tmp_path, text.encode())
    with pytest.raises(SourceError, match="beyond the range of a double"):
        discover(tmp_path, None)


@given(st.integers(0, 10_000))
def test_every_cut_of_an_annotation_file_is_an_error(tmp_path_factory, cut):
    root = tmp_path_factory.mktemp("cut")
    text = json.dumps(small()).encode()
    write(root, text[: cut % len(text)])
    with pytest.raises(SourceError, match=r"instances_train\.json"):
        discover(root, None)
