"""A run on a split of any store: classes by their ids, and what is refused or said."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import runs
import synthetic
import torch
import zarr

from freqprep.errors import UnknownSplitError, UsageError
from freqprep.store.reader import open_store
from freqprep.training.class_matching import match_classes
from freqprep.training.distributed import World
from freqprep.training.evaluate_run import evaluate_run

ALONE = World(0, 1, torch.device("cpu"))


def scored(run, store, split="val"):
    return evaluate_run(run, store, split, ALONE, batch_size=16, threads=1)


@pytest.fixture(scope="module")
def train(store):
    return open_store(store)["train"]


def another_run(folder, train, ids):
    """A run whose network answers these classes."""
    config = dataclasses.replace(runs.make_config(train), class_ids=ids, class_names=ids)
    return runs.make_run(folder, train, config)


def test_classes_are_matched_by_id(train, store, tmp_path):
    first = scored(another_run(tmp_path / "a", train, ("apple", "brick", "cloud")), store)
    turned = scored(another_run(tmp_path / "b", train, ("cloud", "apple", "brick")), store)
    assert first.class_map.tolist() == [0, 1, 2]
    assert turned.class_map.tolist() == [1, 2, 0]
    assert first.notes == turned.notes == ()
    # The same network, its answers under other names.
    assert first.evaluation.top1 != turned.evaluation.top1
    document = first.to_dict()
    assert [one["id"] for one in document["classes"]] == ["apple", "brick", "cloud"]
    assert sum(one["correct"] for one in document["classes"]) == document["top1_correct"]
    assert sum(one["images"] for one in document["classes"]) == document["images"] == 19
    assert document["rejected"] == 5 and document["rows"] == 24
    json.dumps(document, allow_nan=False)


def test_a_class_that_the_network_lacks_is_named_and_wrong(train, store, tmp_path, capsys):
    run = another_run(tmp_path / "run", train, ("cloud", "dune", "apple", "elm"))
    found = scored(run, store)
    assert found.class_map.tolist() == [2, -1, 0]
    without = int((open_store(store)["val"].labels == 1)[open_store(store)["val"].valid].sum())
    (note,) = found.notes
    assert "does not know 1 of the 3 classes ('brick')" in note
    assert f"their {without} images count as wrong" in note
    assert capsys.readouterr().err.startswith(f"note: {note}\n")
    unknown = found.to_dict()["classes"][1]
    assert unknown == {
        **{"id": "brick", "name": "brick", "known": False},
        **{"images": without, "correct": 0, "top1": 0.0},
    }
    assert found.evaluation.answerable == 19 - without


def test_no_class_in_common_is_refused(train, store, tmp_path):
    run = another_run(tmp_path / "run", train, ("dune", "elm"))
    with pytest.raises(UsageError, match=r"knows none of the classes of .*'dune', 'elm'.*'apple'"):
        scored(run, store)


def test_ids_are_not_their_text(train):
    config = dataclasses.replace(runs.make_config(train), class_ids=(3, 90), class_names=("a", "b"))
    with pytest.raises(UsageError, match="knows none"):
        match_classes(config, train)


def test_a_store_of_another_encoding_is_evaluated_and_said(run_folder, crop_store):
    found = scored(run_folder, crop_store)
    (note,) = found.notes
    assert "fit 32, int8, orientation apply" in note
    assert "crop 24 from 27, int16, orientation apply" in note
    assert found.evaluation.images == 19


def relabelled(store, target, labels):
    """A copy of a store whose validation images have other labels."""
    shutil.copytree(store, target)
    array = zarr.open_array(target / "val" / "label", mode="r+")
    array[...] = labels(np.asarray(array[...]))
    synthetic.reseal(target / "val")
    return target


def test_images_without_labels(run_folder, store, tmp_path):
    none = relabelled(store, tmp_path / "none.zarr", lambda labels: np.full_like(labels, -1))
    with pytest.raises(UsageError, match="has no labels"):
        scored(run_folder, none)
    some = relabelled(
        store, tmp_path / "some.zarr", lambda labels: np.where(labels == 1, -1, labels)
    )
    found = scored(run_folder, some)
    (note,) = found.notes
    missing = 19 - found.evaluation.answerable
    assert note == f"without a label, counted as wrong: {missing} images" and missing > 1


def test_a_split_of_nothing_but_rejects(run_folder, tmp_path):
    source = synthetic.image_folder(tmp_path / "source", {"val": 3}, corrupt=3)
    store = synthetic.make(source, tmp_path / "x.zarr")
    with pytest.raises(UsageError, match="has no image: all were rejected"):
        scored(run_folder, store)


def test_an_unknown_split_lists_those_there_are(run_folder, store):
    with pytest.raises(UnknownSplitError, match="it has: train, val"):
        scored(run_folder, store, "test")
