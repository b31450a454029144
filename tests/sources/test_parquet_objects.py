"""Annotated objects of Parquet tables: the same as from COCO's annotation files."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import pyarrow as pa
import pytest
import synthetic
from parquet_tables import cells, class_label, noted, write

from freqprep.errors import SourceError
from freqprep.sources import Discovered, SourceOptions, discover

BOXES = [[1.0, 2.0, 10.0, 5.0], [3.5, 1.0, 20.0, 12.0], [0.0, 0.0, 24.0, 16.0]]
COUNTS = [2, 0, 1]


def found(source: Path, **options) -> Discovered:
    return discover("parquet", source, None, SourceOptions(**options))


def rows_of(values: list) -> list[list]:
    ends = [sum(COUNTS[:n]) for n in range(len(COUNTS) + 1)]
    return [values[begin:end] for begin, end in itertools.pairwise(ends)]


def table(fields: dict[str, list], nested: bool = False, **more) -> pa.Table:
    """Three images with three objects in all: a struct of lists, or a list of structs."""
    lists = {name: rows_of(values) for name, values in fields.items()}
    objects = [{name: rows[row] for name, rows in lists.items()} for row in range(len(COUNTS))]
    if nested:
        objects = [pa.table(row).to_pylist() for row in objects]
    return pa.table({"image": cells(range(len(COUNTS))), "objects": objects, **more})


@pytest.mark.parametrize("nested", [False, True])
def test_objects_have_cocos_names(tmp_path: Path, nested: bool):
    fields = {"id": [7, 3, 9], "bbox": BOXES, "category": [1, 0, 1], "is_crowd": [0, 0, 1]}
    rows = table(fields, nested, image_id=[30, 10, 20], width=[24] * 3, height=[16] * 3)
    feature = {**{name: {} for name in fields}, "category": class_label(["hat", "scarf"])}
    objects = [feature] if nested else {"feature": feature, "_type": "Sequence"}
    write(tmp_path / "train.parquet", noted(rows, objects=objects))
    result = found(tmp_path)
    assert (result.classes.ids, result.classes.names) == ((0, 1), ("hat", "scarf"))
    listing = result.listings["train"]
    assert listing.image_ids.tolist() == [30, 10, 20] and listing.labels.tolist() == [-1] * 3
    assert listing.stated_sizes.tolist() == [[16, 24]] * 3
    assert [key.tobytes() for key in listing.keys] == [b"0.jpg", b"1.jpg", b"2.jpg"]
    got = listing.objects
    assert got.offsets.tolist() == [0, 2, 2, 3]
    assert got.box.tolist() == BOXES
    assert got.label.tolist() == [1, 0, 1]
    assert got.area.tolist() == [50.0, 240.0, 384.0]
    assert got.iscrowd.tolist() == [False, False, True]
    assert got.annotation_id.tolist() == [7, 3, 9]
    assert json.loads(got.annotation.bytes_at(2)) == {
        **{"id": 9, "image_id": 20, "category_id": 1, "iscrowd": 1, "bbox": BOXES[2]},
    }


def test_the_library_writes_what_is_read(tmp_path: Path):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "objects": {
                "bbox": datasets.List(datasets.List(datasets.Value("float32"), length=4)),
                "category": datasets.List(datasets.ClassLabel(names=["hat", "scarf"])),
                "area": datasets.List(datasets.Value("float32")),
            },
        }
    )
    rows = {
        "image": cells(range(3)).to_pylist(),
        "objects": [
            {"bbox": box, "category": category, "area": area}
            for box, category, area in zip(
                *map(rows_of, (BOXES, [1, 0, 0], [5.0, 6.0, 7.0])), strict=True
            )
        ],
    }
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "train.parquet")
    result = found(tmp_path)
    got = result.listings["train"].objects
    assert result.classes.names == ("hat", "scarf")
    assert got.box.tolist() == BOXES and got.label.tolist() == [1, 0, 0]
    assert got.area.tolist() == [5.0, 6.0, 7.0] and got.annotation_id.tolist() == [1, 2, 3]
    assert result.listings["train"].stated_sizes is None
    assert result.listings["train"].image_ids.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("category", "ids", "names", "labels"),
    [
        ([90, 3, 90], (3, 90), ("3", "90"), [1, 0, 1]),
        (["hat", "cap", "hat"], (0, 1), ("cap", "hat"), [1, 0, 1]),
    ],
)
def test_categories_without_names(tmp_path: Path, category, ids, names, labels):
    write(tmp_path / "train.parquet", table({"bbox": BOXES, "category": category}))
    result = found(tmp_path)
    assert (result.classes.ids, result.classes.names) == (ids, names)
    objects = result.listings["train"].objects
    assert objects.label.tolist() == labels
    stored = [json.loads(row.tobytes())["category_id"] for row in objects.annotation]
    assert stored == [ids[label] for label in labels]


def test_ids_that_repeat_are_numbered(tmp_path: Path):
    rows = table({"bbox": BOXES, "category": [0, 0, 0], "bbox_id": [0, 1, 0]})
    write(tmp_path / "train.parquet", rows)
    result = found(tmp_path)
    objects = result.listings["train"].objects
    assert objects.annotation_id.tolist() == [1, 2, 3]
    assert json.loads(objects.annotation.bytes_at(2))["bbox_id"] == 0
    assert any("numbered from 1" in note for note in result.notes)


def test_a_column_of_labels_may_be_chosen_instead(tmp_path: Path):
    rows = table({"bbox": BOXES, "category": [0, 0, 0]}, scene=["in", "out", "in"])
    write(tmp_path / "train.parquet", rows)
    result = found(tmp_path, label_column="scene")
    assert result.classes.ids == ("in", "out") and result.listings["train"].objects is None


CORNERS = [[1, 2, 11, 7], [3, 1, 23, 13], [10, 8, 24, 16]]
FRACTIONS = [[0.1, 0.2, 0.5, 0.5], [0.3, 0.1, 0.9, 0.8], [0, 0, 1, 1]]
CATEGORY = {"category": [0, 0, 0]}


@pytest.mark.parametrize(
    ("bbox", "more", "message"),
    [
        (CORNERS, {}, r"evidently two corners.* 1 of 3 .*\[10.0, 8.0, 24"),
        (CORNERS, {"width": [24] * 3, "height": [16] * 3}, "evidently two corners"),
        (FRACTIONS, {}, "all boxes are within 0 and 1"),
    ],
)
def test_boxes_of_another_form_are_doubted(tmp_path: Path, bbox, more, message: str):
    write(tmp_path / "train.parquet", table({"bbox": bbox, **CATEGORY}, **more))
    (doubt,) = found(tmp_path).doubts
    assert doubt.classes is None and doubt.remedy and re.search(message, doubt.message)
    with pytest.raises(SourceError, match=message):
        synthetic.make(tmp_path, tmp_path / "out.zarr", kind="parquet")


@pytest.mark.parametrize(
    ("fields", "more", "message"),
    [
        ({"bbox": [[1, 2, 3], *BOXES[:2]], **CATEGORY}, {}, "row 0: an object has bbox = "),
        ({"bbox": [*BOXES[:2], None], **CATEGORY}, {}, "row 2: an object has bbox = missing"),
        (
            {"bbox": BOXES, "area": [1.0, float("nan"), 1.0], **CATEGORY},
            {},
            "row 0: an object has area = nan",
        ),
        ({"bbox": BOXES, "category": [0, None, 0]}, {}, "row 0: an object has no class"),
        ({"bbox": BOXES}, {}, "have no field of their class, only bbox"),
        (
            {"bbox": BOXES, **CATEGORY},
            {"width": [24, 0, 24], "height": [16] * 3},
            r"row 1: height and width are \[16, 0\]",
        ),
    ],
)
def test_objects_that_are_not_cocos_are_refused(tmp_path: Path, fields, more, message: str):
    write(tmp_path / "train.parquet", table(fields, **more))
    with pytest.raises(SourceError, match=message):
        found(tmp_path)


def test_fields_of_other_lengths_are_refused(tmp_path: Path):
    objects = [{"bbox": [[1, 2, 3, 4]], "category": [0, 1], "area": [1.0]}]
    write(tmp_path / "train.parquet", pa.table({"image": cells([0]), "objects": objects}))
    with pytest.raises(SourceError, match="row 0: 1 box, but 2 of 'category'"):
        found(tmp_path)


@pytest.mark.parametrize(
    ("ids", "why"),
    [
        ([5, 5, 7], "repeats"),
        ([5, None, 7], "is missing in 1 of 3 rows"),
        (["5", "6", "7"], "is not of whole numbers"),
        (pa.array(["5", "6", "7"]).dictionary_encode(), "is not of whole numbers"),
        ([5.0, 6.0, 7.5], "is not of whole numbers"),
    ],
)
def test_ids_of_images_that_cannot_be_used_are_noted(tmp_path: Path, ids, why: str):
    write(tmp_path / "t.parquet", table({"bbox": BOXES, "category": [0, 1, 1]}, image_id=ids))
    result = found(tmp_path)
    assert result.listings["train"].image_ids.tolist() == [0, 1, 2]
    assert result.notes == (
        f"train: image_id {why}: ids of the images are the numbers of the rows",
    )


def test_ids_of_images_with_and_without_a_sign_keep_their_digits(tmp_path: Path):
    large, fields = 2**53 + 1, {"bbox": BOXES, "category": [0, 1, 1]}
    for number, kind in enumerate((pa.int64(), pa.uint64())):
        ids = pa.array(range(large + 3 * number, large + 3 * number + 3), kind)
        write(tmp_path / f"{number}.parquet", table(fields, image_id=ids))
    assert found(tmp_path).listings["train"].image_ids.tolist() == [large + n for n in range(6)]
    beyond = pa.array([1, 2, 2**63], pa.uint64())
    path = write(tmp_path / "1.parquet", table(fields, image_id=beyond))
    with pytest.raises(SourceError, match=rf"{path}: 'image_id' .*9223372036854775808"):
        found(tmp_path)
