"""What a Python prompt shows of a store and its parts is a line that says what they are."""

import numpy as np
import pytest

import freqprep
from freqprep.ragged import Ragged
from freqprep.spectrum.channels import NAMES, PUBLISHED

LONGEST = 160
GOLDEN = "tests/golden/format-1.0-coco.zarr"


@pytest.fixture(scope="module")
def store(request) -> freqprep.Store:
    return freqprep.open_store(request.config.rootpath / GOLDEN)


@pytest.fixture(scope="module")
def split(store) -> freqprep.Split:
    return store["val"]


def line(shown: object) -> str:
    text = repr(shown)
    assert "\n" not in text and len(text) <= LONGEST, text
    assert "..., " not in text and " at 0x" not in text, text
    return text


def test_objects_are_counted(split):
    objects = split.objects
    masks = sum(bool(objects.masks.bytes_at(number)) for number in range(len(objects)))
    assert line(objects) == (
        f"ObjectTable(objects: {len(objects)}, images: {len(split)}, with a mask: {masks},"
        f" crowds: {objects.iscrowd.sum()})"
    )


def test_a_store_names_its_splits_and_a_split_its_data(store, split):
    assert "'val'" in repr(store)
    assert f"images={len(split)}" in repr(split) and split.content_id[:12] in repr(split)


def test_attributes_count_the_classes(split):
    found = line(split.attributes)
    assert f"classes={len(split.attributes.class_ids)}" in found
    assert f"images={len(split)}, rejected={split.attributes.rejected}" in found
    assert split.attributes.encoding.precision.name in found


def test_moments_keys_manifest_and_ragged_arrays(split):
    assert line(split.moments) == f"Moments({split.moments.count} blocks, 192 channels)"
    assert line(split.stored_moments) == line(split.moments)
    assert line(split.keys) == f"Keys({len(split)} rows)"
    assert f"{len(split.manifest.files)} files" in line(split.manifest)
    assert line(Ragged.of_bytes([b"ab", b""])) == "Ragged(2 rows, 2 values of uint8)"
    wide = Ragged(np.zeros((9, 4)), np.arange(10))
    assert line(wide) == "Ragged(9 rows, 9 values of float64)"


@pytest.mark.parametrize("name", [*PUBLISHED, "all", "triangle-7", "y_0_0", "y_0_0,cr_7_7"])
def test_a_selection_shows_its_first_channels(name):
    selection = freqprep.channels(name)
    text = line(selection)
    noun = "channel" if len(selection) == 1 else "channels"
    assert text.startswith(f"Selection({name!r}, {len(selection)} {noun}: ")
    named = text.rstrip(")").rpartition(": ")[2].split(" ")
    assert named[0] == selection.names[0] and named[-1] == selection.names[-1]
    assert {*named} - {"..."} <= {*selection.names}
    assert ("..." in named) == (len(selection) > 8)


def test_a_selection_of_many_names_is_a_line():
    assert "..." in line(freqprep.channels(",".join(NAMES)))


def test_selections_that_differ_look_different():
    assert len({repr(freqprep.channels([name])) for name in NAMES}) == len(NAMES)
