"""COCO's figures of a detector on a split: of one that knows the answers, and of what it misses."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import runs
import synthetic
import torch
from coco_reference import assert_close, reference
from coco_shapes import shapes_folder

from freqprep.augment import DetectorInput
from freqprep.augment.detector_targets import Move, targets_of
from freqprep.errors import UsageError
from freqprep.store.reader import open_store
from freqprep.store.split import Split
from freqprep.training.coco_metrics import FIGURES
from freqprep.training.coco_truth import coco_truth
from freqprep.training.distributed import World
from freqprep.training.evaluate_detector import DetectionEvaluation, evaluate_detector
from freqprep.training.evaluate_run import evaluate_run

CPU = torch.device("cpu")
ALONE = World(0, 1, CPU)
INPUTS = DetectorInput.rgb(None, 12)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """9 images of up to 48 pixels, shrunk to 40; two are rejected, one has no objects."""
    folder = shapes_folder(tmp_path_factory.mktemp("coco"), {"val": 9}, corrupt=2)
    return synthetic.make(folder, tmp_path_factory.mktemp("store") / "s.zarr", kind="coco", size=40)


@pytest.fixture(scope="module")
def val(shapes):
    return open_store(shapes)["val"]


class Oracle(torch.nn.Module):
    """Finds what is there, image after image, as far as ``keeps`` lets it."""

    def __init__(self, split: Split, keeps: Callable[[int], bool], masks: bool = True) -> None:
        super().__init__()
        self.has_masks, self._split, self._keeps = masks, split, keeps
        self._rows = iter(np.flatnonzero(split.valid).tolist())
        self.shown: list[tuple[int, int]] = []

    def forward(self, images, sizes):
        (frame,), row = sizes, next(self._rows)
        self.shown.append(frame)
        assert images.shape[:2] == (1, 3) and not self.training
        size = tuple(self._split.sizes[row].tolist())
        move = Move((0, 0), size, frame, False)
        target = targets_of(self._split.objects, row, size, move, True, CPU)
        kept = torch.tensor(
            [self._keeps(i) for i in range(len(target["labels"]))], dtype=torch.bool
        )
        boxes, labels = target["boxes"][kept], target["labels"][kept]
        found = {"boxes": boxes, "labels": labels, "scores": torch.linspace(1, 0.5, len(labels))}
        if self.has_masks:
            crops = [
                torch.nn.functional.interpolate(
                    mask[None, None, top:bottom, left:right].float(), (28, 28)
                )[0]
                for mask, box in zip(target["masks"][kept], boxes.round().int(), strict=True)
                for left, top, right, bottom in [box.tolist()]
            ]
            found["masks"] = torch.stack(crops) if crops else torch.zeros(0, 1, 28, 28)
        return [found]


def evaluated(split, keeps=lambda number: True, ids=None, masks=True) -> DetectionEvaluation:
    oracle = Oracle(split, keeps, masks).train()
    ids = split.attributes.class_ids if ids is None else ids
    found = evaluate_detector(oracle, INPUTS, split, ids, ALONE, threads=1)
    assert oracle.training  # as it was before
    expected = INPUTS.frame_sizes(split.sizes[split.valid]).tolist()
    assert [list(frame) for frame in oracle.shown] == expected
    return found


@pytest.mark.parametrize("keeps", [lambda number: True, lambda number: number != 1])
def test_figures_are_cocos_own(val, keeps):
    found = evaluated(val, keeps)
    for kind, figures, strict in (
        ("bbox", found.box, found.strict_box),
        ("segm", found.mask, found.strict_mask),
    ):
        assert_close(figures, reference(coco_truth(val), found.results, kind))
        assert_close(strict, reference(coco_truth(val, rejected=True), found.results, kind))
        assert strict.values["AP"] < figures.values["AP"]
        assert strict.values["AR100"] < figures.values["AR100"]
    perfect = keeps(1)
    assert (found.box.values["AP50"] == 1) == (found.mask.values["AP50"] == 1) == perfect
    assert (found.box.values["AP"] > 0.999) == perfect


def test_counts(val):
    found = evaluated(val)
    assert (found.images, found.rejected) == (7, 2)
    objects = val.objects
    shown = np.repeat(val.valid, np.diff(objects.offsets))
    assert found.objects == (shown & ~objects.iscrowd).sum() < shown.sum()
    rows = {int(val.array("image_id")[row]): row for row in np.flatnonzero(val.valid)}
    places = [rows[one["image_id"]] for one in found.results]
    assert places == sorted(places)
    document = found.to_dict()
    assert list(document) == [
        *("images", "rejected", "objects", "box", "mask", "strict_box", "strict_mask", "class_ap")
    ]
    assert list(document["box"]) == list(FIGURES)
    assert document["class_ap"]["box"] == found.box.class_ap and len(found.box.class_ap) == 2


def test_a_detector_without_masks_has_no_figures_of_them(val):
    found = evaluated(val, masks=False)
    assert found.mask is None and found.strict_mask is None
    assert found.box.values == evaluated(val).box.values
    assert found.to_dict()["class_ap"]["mask"] is None
    assert not any("segmentation" in one for one in found.results)


def test_nothing_found_is_nothing_right(val):
    found = evaluated(val, lambda number: False)
    assert found.results == [] and found.box.values["AP"] == 0 == found.strict_mask.values["AR1"]


def test_classes_are_matched_by_their_ids(val):
    """The network's first class is the split's second, and its second one the split lacks."""
    found = evaluated(val, ids=(90, 7))
    assert {one["category_id"] for one in found.results} == {90}
    truth = {annotation["image_id"] for annotation in coco_truth(val)["annotations"]}
    assert {one["image_id"] for one in found.results} <= truth
    assert found.box.class_ap[0] == 0  # of 3, never answered


def test_without_rejected_images_strict_figures_are_the_same(tmp_path):
    folder = shapes_folder(tmp_path / "coco", {"val": 3})
    store = synthetic.make(folder, tmp_path / "s.zarr", kind="coco", size=48)
    found = evaluated(open_store(store)["val"])
    assert found.rejected == 0 and found.strict_box == found.box and found.strict_mask == found.mask


@pytest.fixture(scope="module")
def run(val, tmp_path_factory):
    """Of a Faster R-CNN that knows one class of the two, under the split's second id."""
    config = runs.make_detector_config(val)
    config = dataclasses.replace(config, class_ids=(90, 7), class_names=("disc", "other"))
    return runs.make_run(tmp_path_factory.mktemp("runs") / "detector", val, config)


def test_scores_name_what_a_run_does_not_know(run, val, shapes, capsys, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    scored = evaluate_run(run, shapes, "val", ALONE, batch_size=1, threads=1)
    assert torch.backends.cudnn.benchmark  # as it was
    assert scored.class_map.tolist() == [-1, 0]
    document = scored.to_dict()
    assert [(one["id"], one["name"], one["known"]) for one in document["classes"]] == [
        *((3, "box", False), (90, "disc", True))
    ]
    assert sum(one["objects"] for one in document["classes"]) == document["objects"]
    assert document["classes"][0]["box_AP"] == 0 and document["classes"][0]["mask_AP"] is None
    assert document["mask"] is None and document["rows"] == 9
    (note,) = document["notes"]
    assert note.startswith("the network does not know 1 of the 2 classes (3): their ")
    assert f"note: {note}" in capsys.readouterr().err


def test_what_cannot_be_scored_is_refused(run, run_folder, shapes, store):
    with pytest.raises(UsageError, match="has no labels"):
        evaluate_run(run_folder, shapes, "val", ALONE, batch_size=1, threads=1)
    with pytest.raises(UsageError, match="no annotated objects"):
        evaluate_run(run, store, "val", ALONE, batch_size=1, threads=1)
    with pytest.raises(UsageError, match="it has: val"):
        evaluate_run(run, shapes, "test", ALONE, batch_size=1, threads=1)
