"""Class ids of tables and tars: numbers, texts, and the wnids of ImageNet under any name."""

import re

import pytest

from freqprep.errors import SourceError
from freqprep.sources.class_ids import classes_of, numbered_classes, read_class_names
from freqprep.sources.imagenet_labels import class_names
from freqprep.storage.paths import as_path

WNIDS, NAMES = tuple(class_names()), tuple(class_names().values())


def test_ids_are_names_where_these_are_unique_and_numbers_elsewhere():
    assert numbered_classes(1, None, "x").ids == ("0", "1")
    assert numbered_classes(0, ["cat", "dog"], "x").ids == ("cat", "dog")
    classes = numbered_classes(1, ["cat", "dog", "dog"], "x")
    assert (classes.ids, classes.names) == (("0", "1", "2"), ("cat", "dog", "dog"))
    assert classes_of(["cat", "dog"]).ids == classes_of(["cat", "dog"]).names == ("cat", "dog")


@pytest.mark.parametrize(
    "names",
    [
        NAMES,
        [f"{name}, another lemma" for name in NAMES],
        [f"A lemma, {name.upper().replace(' ', '_')}" for name in NAMES],
        [name if number % 2 == 0 else "worded otherwise" for number, name in enumerate(NAMES)],
        [*NAMES[:9], "sunglasses", *NAMES[10:]],
    ],
)
def test_imagenet_has_its_wnids_however_it_is_named(names):
    classes = numbered_classes(5, names, "x")
    assert (classes.ids, classes.names) == (WNIDS, tuple(names))


def test_wnids_as_names_have_imagenets_names():
    classes = numbered_classes(5, WNIDS, "x")
    assert (classes.ids, classes.names) == (WNIDS, NAMES)


def test_some_of_imagenets_wnids_are_ids_with_its_names():
    assert classes_of(WNIDS[3:5]).names == NAMES[3:5]
    assert numbered_classes(1, WNIDS[3:5], "x").ids == WNIDS[3:5]
    assert classes_of(["n99999999"]).names == ("n99999999",)  # of another synset


IMAGENETTE = {
    "tench": "n01440764",
    "English springer": "n02102040",
    "cassette player": "n02979186",
    "chain saw, chainsaw": "n03000684",
    "church, church building": "n03028079",
    "French_horn": "n03394916",
    "garbage truck, dustcart": "n03417042",
    "gas pump": "n03425413",
    "golf ball": "n03445777",
    "parachute, chute": "n03888257",
}


def test_ten_names_of_imagenets_classes_have_their_wnids():
    names, wnids = list(IMAGENETTE), tuple(IMAGENETTE.values())
    found = classes_of([str(number) for number in range(10)], names)
    assert (found.ids, found.names) == (wnids, tuple(names))
    for others in (names[:9], [*names[:9], "lathe operator"], [*names, "crane"], [*names, "tench"]):
        ids = [str(number) for number in range(len(others))]
        assert classes_of(ids, others).ids in (tuple(others), tuple(ids))


@pytest.mark.parametrize(
    "names",
    [
        NAMES[:999],
        NAMES[::-1],
        [f"{n}" for n in range(1000)],
        # One name is missing behind a quarter, or three quarters: the others are shifted.
        [*NAMES[:300], *NAMES[301:], "another"],
        [*NAMES[:800], *NAMES[801:], "another"],
        [name if number % 3 == 0 else "another" for number, name in enumerate(NAMES)],
        [*NAMES[:980], *NAMES[:979:-1]],
    ],
)
def test_other_names_are_not_taken_for_imagenets(names):
    classes = numbered_classes(0, names, "x")
    assert (len(classes.ids), classes.names) == (len(names), tuple(names))
    assert not set(classes.ids) & set(WNIDS)


def test_labels_without_a_name_are_refused():
    with pytest.raises(SourceError, match=re.escape("a.tar: label 2, but there are 2 class")):
        numbered_classes(2, ["cat", "dog"], "a.tar")
    with pytest.raises(SourceError, match=r"label 100000.*--label-column"):
        numbered_classes(100_000, None, "a.tar")


def test_names_are_read_from_a_file_or_an_object(tmp_path, bucket):
    content = "\ufeffcat \r\n crème brûlée\r\n\n".encode()
    (tmp_path / "names.txt").write_bytes(content)
    bucket.put("data/names.txt", content)
    for path in (tmp_path / "names.txt", as_path(f"{bucket.url}/data/names.txt")):
        assert read_class_names(path) == ["cat", "crème brûlée"]


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "line 1: no class name"),
        (b"cat\n\ndog\n", "line 2: no class name"),
        (b"\xff\xfe", "not UTF-8"),
        (b"x\n" * 100_001, "at most 100000"),
        (b"x" * (2**24 + 1), "more than 16777216 bytes"),
        (None, "cannot read"),
    ],
)
def test_files_that_are_no_list_of_names_are_refused(tmp_path, content, words):
    if content is not None:
        (tmp_path / "names.txt").write_bytes(content)
    with pytest.raises(SourceError, match=f"{words}"):
        read_class_names(tmp_path / "names.txt")
