"""Quantities in words are grammatical for one and for many."""

import pytest

from freqprep.text.quantities import plural, tally


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("sample without an image", "2 samples without an image"),
        ("hidden or system file", "2 hidden or system files"),
        ("symlink loop", "2 symlink loops"),
        ("image whose name has more than one dot", "2 images whose name has more than one dot"),
        ("annotation of an unlisted image", "2 annotations of an unlisted image"),
        ("member that is not a class archive", "2 members that are not a class archive"),
        ("archive beside its unpacked folder", "2 archives beside their unpacked folder"),
        ("image outside any class folder", "2 images outside any class folder"),
        ("outside any class folder", "2 outside any class folder"),
        ("of no sample", "2 of no sample"),
        ("not an image (.txt)", "2 not an image (.txt)"),
        ("split without images (a of b)", "2 splits without images (a of b)"),
    ],
)
def test_what_is_counted_is_one_or_several(one, two):
    assert tally({one: 1}) == f"1 {one}"
    assert tally({one: 2}) == two
    assert tally({one: 2, "tar without an image": 1}) == f"{two}, 1 tar without an image"


def test_nothing_counted_is_none():
    assert tally({}) == "none"


def test_nouns_have_their_plural():
    assert [plural(2, noun) for noun in ("box", "class", "image")] == [
        "2 boxes",
        "2 classes",
        "2 images",
    ]
    assert plural(1, "box") == "1 box" and plural(1200, "shard") == "1,200 shards"
