"""Objects and images of each class: equal to counting by hand, and cheap."""

import json

import numpy as np
import pytest
import synthetic
from coco_folder import coco_folder

import freqprep
from freqprep.errors import CorruptStoreError
from freqprep.store.class_counts import count_split
from freqprep.store.summary import summarize

GOLDEN = "tests/golden/format-1.0-coco.zarr"


@pytest.fixture(scope="module")
def coco(tmp_path_factory):
    folder = tmp_path_factory.mktemp("coco")
    return freqprep.open_store(synthetic.make(coco_folder(folder / "x"), folder / "x.zarr",
                                              kind="coco"))["val"]  # fmt: skip


def by_hand(split):
    """The counts, object by object."""
    objects, valid = split.objects, split.valid
    images, each, crowds, masks, without = {}, {}, 0, 0, 0
    for row in np.flatnonzero(valid).tolist():
        mine = range(*objects.of(row).indices(len(objects)))
        without += not mine
        for number in mine:
            label = int(objects.label[number])
            each[label] = each.get(label, 0) + 1
            crowds += bool(objects.iscrowd[number])
            masks += bool(objects.masks.bytes_at(number))
            images.setdefault(label, set()).add(row)
    classes = range(len(split.attributes.class_ids))
    return (
        tuple(len(images.get(k, ())) for k in classes),
        tuple(each.get(k, 0) for k in classes),
        (crowds, masks, without),
    )


@pytest.mark.parametrize("name", ["golden", "tiny"])
def test_objects_are_those_counted_one_by_one(name, coco, request):
    split = coco
    if name == "golden":
        split = freqprep.open_store(request.config.rootpath / GOLDEN)["val"]
    classes, objects = count_split(split)
    images, each, (crowds, masks, without) = by_hand(split)
    assert (classes.images, classes.objects) == (images, each)
    assert (objects.crowds, objects.masks, objects.images_without) == (crowds, masks, without)
    assert objects.total == sum(each)
    assert objects.total + objects.in_rejected == len(split.objects)
    assert objects.images + objects.images_without == split.valid.sum()


def test_a_crowd_an_image_without_objects_and_an_object_of_a_reject(coco):
    document = summarize(coco).to_dict()
    assert document["objects"] == {
        **{"total": 3, "crowds": 1, "masks": 2, "images": 2, "images_without": 1},
        "in_rejected": 1,
    }
    assert document["class_ids"] == [3, 90] or document["class_ids"] == (3, 90)
    assert document["class_objects"] == (2, 1) and document["class_images"] == (2, 1)
    assert document["unlabelled"] is None
    json.dumps(document, allow_nan=False)


def test_masks_boxes_and_annotations_are_not_read(coco, monkeypatch):
    read, asked = type(coco).array, []
    monkeypatch.setattr(
        type(coco), "array", lambda self, name: asked.append(name) or read(self, name)
    )
    count_split(freqprep.open_store(coco.path.parent)["val"])
    assert not {"mask", "box", "annotation", "area"} & {*asked}


def test_images_of_each_class_and_those_without_a_label(store):
    split = freqprep.open_store(store)["train"]
    classes, objects = count_split(split)
    labels = split.labels[split.valid]
    assert objects is None and classes.objects is None
    assert classes.images == tuple((labels == k).sum() for k in range(3))
    assert classes.unlabelled == 0
    split.__dict__["labels"] = np.where(split.labels == 1, -1, split.labels)
    classes, _ = count_split(split)
    assert classes.unlabelled == (labels == 1).sum() and classes.images[1] == 0
    assert sum(classes.images) + classes.unlabelled == split.valid.sum()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("object_offset", lambda a: a[::-1].copy()),
        ("object_offset", lambda a: a[:-1]),
        ("object_label", lambda a: a + 1000),
        ("object_label", lambda a: a - 1),
        ("iscrowd", lambda a: a[:-1]),
        ("mask_offset", lambda a: a[:-1]),
    ],
)
def test_arrays_that_do_not_fit_are_refused(coco, monkeypatch, name, value):
    split = freqprep.open_store(coco.path.parent)["val"]
    read = split.array
    monkeypatch.setattr(split, "array", lambda n: value(read(n)) if n == name else read(n))
    with pytest.raises(CorruptStoreError, match="do not fit"):
        count_split(split)


def test_labels_of_no_class_are_refused(store):
    split = freqprep.open_store(store)["val"]
    split.__dict__["labels"] = split.labels + 1
    with pytest.raises(CorruptStoreError, match="classes that do not exist"):
        count_split(split)
