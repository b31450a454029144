"""Numbers of classes that mean something else in another file: refused, or said."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import synthetic
from PIL import Image

import freqprep
from freqprep.convert.verify_source import compare_with_source
from freqprep.errors import SourceError
from freqprep.sources.listing import Classes, other_names

ANIMALS = {0: "cat", 1: "dog", 2: "person"}


def folder(path, categories, count=4):
    """A COCO folder as Label Studio exports it: numbers from 0 of the sorted names."""
    path.mkdir(parents=True)
    images, annotations = [], []
    for number in range(1, count + 1):
        Image.fromarray(synthetic.pixels(number, 64, 80)).save(path / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "height": 64, "width": 80})
        box = {"id": number, "image_id": number, "bbox": [5, 5, 30, 20], "iscrowd": 0}
        category = sorted(categories)[number % len(categories)]
        annotations.append({**box, "category_id": category, "area": 600})
    named = [{"id": id_, "name": name} for id_, name in categories.items()]
    document = {"images": images, "annotations": annotations, "categories": named}
    (path / "result.json").write_text(json.dumps(document))
    return path


def convert(source, store, split):
    return synthetic.make(source, store, kind="coco", split=split)


def test_a_second_source_that_numbers_its_classes_otherwise_is_refused(tmp_path):
    store = convert(folder(tmp_path / "one", ANIMALS), tmp_path / "a.zarr", "train")
    other = folder(tmp_path / "two", {0: "dog", 1: "person"})
    with pytest.raises(SourceError, match="0 is 'dog', in the store 'cat', 1 is 'person', in"):
        convert(other, store, "val")
    assert list(freqprep.open_store(store)) == ["train"]
    fewer = folder(tmp_path / "three", {2: "person", 1: "dog"})
    convert(fewer, store, "val")
    val = freqprep.open_store(store)["val"]
    assert val.attributes.class_names == ("cat", "dog", "person")
    assert set(val.objects.label.tolist()) == {1, 2}


def test_verify_refuses_it_as_well(tmp_path):
    """Such as a store of before that was refused."""
    source = folder(tmp_path / "one", ANIMALS)
    store = convert(source, tmp_path / "a.zarr", "train")
    stated = json.loads((source / "result.json").read_text())
    assert not compare_with_source(store, source, 4, "train")[1]
    stated["categories"][0]["name"] = "bird"
    (source / "result.json").write_text(json.dumps(stated))
    with pytest.raises(SourceError, match="0 is 'bird', in the store 'cat'"):
        compare_with_source(store, source, 4, "train")


def test_names_are_compared_where_they_are_names():
    found = Classes((0, 1, 2, 3, "n01", 7), ("dog", "dog", "2", "x", "fox", "new"))
    stored = Classes((0, 1, 2, 3, "n01"), ("cat", "dog", "person", "3", "Fox"))
    assert other_names(stored, found) == [(0, "cat", "dog")]


def test_an_evaluation_says_so(tmp_path):
    pytest.importorskip("torch", reason="pip install 'freqprep[train]'")
    from freqprep.training.class_matching import match_classes, renamed_note

    store = convert(folder(tmp_path / "two", {0: "dog", 1: "person"}), tmp_path / "b.zarr", "val")
    split = freqprep.open_store(store)["val"]
    config = SimpleNamespace(class_ids=(0, 1, 2), class_names=tuple(ANIMALS.values()))
    assert np.array_equal(match_classes(config, split), [0, 1])
    (note,) = renamed_note(config, split)
    assert "2 numbers of the network's have another name in the split" in note
    assert "0 is 'cat' and 'dog', 1 is 'dog' and 'person'" in note
    config.class_names = ("dog", "person", "cat")
    assert renamed_note(config, split) == []
