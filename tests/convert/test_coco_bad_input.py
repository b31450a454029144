"""What the how-to says of wrong annotations is what converting them does and says."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import synthetic
from coco_folder import coco_folder

import freqprep
from freqprep.errors import SourceError

PAGE = (Path(__file__).parents[2] / "docs/how-to/convert.md").read_text()
ROWS = re.findall(
    r"^\| (.*?) \| (.*?) \| ?(?:`(.*)`)? ?\|$",
    PAGE.split("\n## Convert COCO\n")[1].split("\n## ")[0].split("|---|\n")[1],
    re.MULTILINE,
)


def cut_off(root, document):
    return json.dumps(document)[:-20]


def change(kind, number=0, **values):
    return lambda root, document: document[kind][number].update(values)


def drop(kind, *keys):
    return lambda root, document: [document[kind][0].pop(key) for key in keys] and None


def loose(root, document):
    for image in document["images"]:
        image.update(id=str(image["id"]), width=float(image["width"]))
    for entry in document["annotations"]:
        entry.update(image_id=float(entry["image_id"]), id=float(entry["id"]))


def runs(size, counts):
    return change("annotations", 2, segmentation={"size": size, "counts": counts})


def boxes(*given):
    def spoil(root, document):
        for entry, box in zip(document["annotations"], given, strict=True):
            entry["bbox"] = box

    return spoil


SPOIL = {
    "annotations cut off, or not JSON": cut_off,
    "a list instead of an object at the top": lambda root, document: json.dumps([document]),
    "no images, annotations or categories": lambda root, d: d.pop("categories") and None,
    "an image without a size, name or id": drop("images", "height"),
    "an annotation without an id, image or category": drop("annotations", "image_id"),
    "an annotation with neither a box nor a segmentation": drop(
        "annotations", "bbox", "segmentation"
    ),
    "a box with NaN or Infinity": change("annotations", bbox=[1, 2, float("nan"), 4]),
    "a box of another kind": change("annotations", bbox=[1, 2, 3]),
    "an id that is not whole, or beyond 64 bits": change("annotations", id="1.5"),
    "two images with one id": change("images", 1, id=11),
    "two images with one file name": change("images", 1, file_name="11.jpg"),
    "two annotations with one id": change("annotations", 1, id=5),
    "two categories with one id": change("categories", 1, id=3),
    "a category that is not listed": change("annotations", category_id=4),
    "a file name that leads out of the image folder": change("images", file_name="../11.jpg"),
    "boxes as two corners (x1, y1, x2, y2)": boxes(
        [30, 20, 60, 40], [25, 10, 55, 38], [20, 20, 45, 45], [10, 9, 22, 22]
    ),
    "boxes as fractions of the image": boxes(
        [0.1, 0.2, 0.3, 0.4], [0, 0, 1, 1], [0.5, 0.5, 0.25, 0.25], [0, 0, 0.5, 1]
    ),
    "run lengths of another size than the image": runs([50, 40], [2000]),
    "an image that is not there": lambda root, d: (root / "val2017/11.jpg").unlink(),
    "an image of another size than stated": change("images", height=41),
    "an image that is not listed": lambda root, d: d["images"].pop(1) and None,
    "an annotation of an image that is not listed": change("annotations", image_id=77),
    "a box with a side that is zero or negative": change("annotations", bbox=[5, 10, -3, 4]),
    "a box that reaches outside its image by more than a pixel": change(
        "annotations", bbox=[10, 10, 9000, 9000]
    ),
    "a box wholly outside its image": change("annotations", bbox=[-5000, 1, 10, 5]),
    "a polygon of fewer than three points": change("annotations", segmentation=[[1, 2, 3, 4]]),
    "such a polygon, or an empty one, beside others": change(
        "annotations", segmentation=[[1, 2, 3, 4], [5, 10, 25, 10, 25, 22, 5, 22], []]
    ),
    "run lengths that do not add up to the image": runs([50, 50], [1000, 500]),
    "no segmentation": drop("annotations", "segmentation"),
    "a segmentation, but no box": drop("annotations", "bbox"),
    "null in place of a box, area, crowd flag or segmentation": change(
        "annotations", 1, bbox=[0, 0, 60, 40], area=None, iscrowd=None, segmentation=None
    ),
    'ids and sizes as text or with a decimal point: `"7"`, `96.0`': loose,
    "a polygon that reaches outside its image": change(
        "annotations", segmentation=[[5, 10, 9000, 10, 9000, 22, 5, 22]]
    ),
    "no annotation at all": lambda root, d: d["annotations"].clear(),
    "no area, no iscrowd": drop("annotations", "area", "iscrowd"),
}


def test_the_how_to_lists_what_is_tested():
    assert [case for case, _, _ in ROWS] == list(SPOIL)


@pytest.mark.parametrize(("case", "outcome", "said"), ROWS, ids=[case for case, _, _ in ROWS])
def test_wrong_annotations_do_and_say_what_the_how_to_says(tmp_path, capsys, case, outcome, said):
    source, store = coco_folder(tmp_path / "coco"), tmp_path / "out.zarr"
    path = source / "annotations/instances_val2017.json"
    document = json.loads(path.read_text())
    text = SPOIL[case](source, document)
    path.write_text(text or json.dumps(document))
    pattern = re.escape(said).replace(r"\.\.\.", ".*")
    if outcome == "error":
        with pytest.raises(SourceError, match=pattern) as caught:
            synthetic.make(source, store, kind="coco")
        assert str(path) in caught.value.message and caught.value.remedy
        assert not store.exists()
        return
    synthetic.make(source, store, kind="coco")
    output = capsys.readouterr().err
    split = freqprep.open_store(store)["val"]
    defects = {key: split.defect(row) for row, key in enumerate(split.keys) if split.defect(row)}
    if outcome == "rejected":
        assert defects.pop("11.jpg").split(":")[0] == said
    assert set(defects) == {"30.jpg"}
    if "counted" in outcome:
        assert re.search(pattern, output)
    else:
        assert "cannot be used" not in output and "without" not in output
    objects = split.objects
    assert len(split) == (3 if case == "an image that is not listed" else 4)
    if case == "no annotation at all":
        assert len(objects) == 0
        return
    assert len(objects) == (3 if case == "an annotation of an image that is not listed" else 4)
    masks = {
        int(number): bool(objects.masks.bytes_at(place))
        for place, number in enumerate(objects.annotation_id)
    }
    spoilt = 7 if case.startswith("run lengths") else 5
    if "empty mask" in outcome:
        assert not masks[spoilt]
    elif case == "no area, no iscrowd":
        (place,) = (i for i, number in enumerate(objects.annotation_id) if number == 5)
        ratio = 32 / 60 * 21 / 40  # stored 21 x 32 of 40 x 60
        assert objects.area[place] == pytest.approx(20.5 * 12 * ratio)
        assert not objects.iscrowd[place]
    elif case == "a segmentation, but no box":
        (place,) = (i for i, number in enumerate(objects.annotation_id) if number == 5)
        scale = 32 / 60, 21 / 40
        assert objects.box[place] == pytest.approx(np.array([5, 10, 20, 12]) * [*scale, *scale])
    else:
        assert masks.get(5, True) and not masks[2]
