"""Names of files as other systems write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freqprep.sources.coco_names import escapes, is_structure, name_in_url, spellings, split_in

parts = st.lists(
    st.binary(min_size=1, max_size=6).filter(
        lambda part: not set(part) & set(b"/\\%\0:") and part not in (b".", b"..")
    ),
    min_size=1,
    max_size=4,
)


@given(parts)
def test_a_relative_path_is_first_of_all_itself(path):
    assert spellings(b"/".join(path))[0] == tuple(path)
    assert not escapes(b"/".join(path))


@given(parts, st.sampled_from([b"./", b"/", b"C:\\", b"c:/", b"\\\\", b"//", b"./././"]))
def test_roots_and_separators_of_other_systems_mean_the_same_path(path, lead):
    assert tuple(path) in spellings(lead + b"/".join(path))
    assert tuple(path) in spellings(lead + b"\\".join(path))


@given(parts, st.integers(0, 4), st.sampled_from([b"..", b"%2e%2e", b"%2E."]))
def test_no_spelling_of_a_path_that_steps_out_passes(path, where, step):
    for separator in (b"/", b"\\"):
        assert escapes(separator.join([*path[:where], step, *path[where:]]))


@given(st.binary(max_size=20))
def test_any_bytes_have_spellings_that_are_plain_paths(name):
    for spelling in spellings(name):
        assert spelling and not any(part in (b"", b".") or b"\0" in part for part in spelling)
        assert not any(b"/" in part for part in spelling)


@pytest.mark.parametrize(
    ("name", "spelling"),
    [
        (b"a%20b.jpg", (b"a b.jpg",)),
        (b"https://bucket.example/set/a%20b.jpg?token=1#x", (b"set", b"a b.jpg")),
        ("é.jpg".encode(), "e\N{COMBINING ACUTE ACCENT}.jpg".encode()),
        ("e\N{COMBINING ACUTE ACCENT}.jpg".encode(), "é.jpg".encode()),
    ],
)
def test_escapes_and_accents_are_spelt_both_ways(name, spelling):
    assert (spelling if isinstance(spelling, tuple) else (spelling,)) in spellings(name)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://images.cocodataset.org/train2017/000000391895.jpg", "train2017/000000391895.jpg"),
        ("http://h/a/b/c.jpg", "b/c.jpg"),
        ("http://h/c.jpg", "c.jpg"),
        ("http://h", None),
        ("c.jpg", None),
        (None, None),
        (7, None),
    ],
)
def test_the_name_of_an_image_in_its_url(url, name):
    assert name_in_url(url) == name


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("lvis_v1_train", "train"),
        ("train2017", "train2017"),
        ("val-annotations", "val"),
        ("Test", "Test"),
        ("trainval", None),
        ("train_val", None),
        ("retraining", None),
        ("result", None),
    ],
)
def test_the_split_in_a_name(name, split):
    assert split_in(name) == split


def test_folders_that_only_say_what_they_hold():
    assert all(map(is_structure, ("annotations", "train", "val_images", "test-labels", "Images")))
    assert not any(map(is_structure, ("coco", "cats", "coco_test", "", "_")))
