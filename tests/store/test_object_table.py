"""The objects of a split, row by row."""

import numpy as np
import pytest
import synthetic

import freqprep
from freqprep.errors import CorruptStoreError, UsageError

GOLDEN = "tests/golden/format-1.0-coco.zarr"


@pytest.fixture
def split(request):
    return freqprep.open_store(request.config.rootpath / GOLDEN)["val"]


def test_rows_share_the_objects_out(split):
    objects = split.objects
    places = [objects.of(row) for row in range(len(split))]
    everything = np.concatenate([np.arange(len(objects))[place] for place in places])
    np.testing.assert_array_equal(everything, np.arange(len(objects)))
    assert len(objects) == len(objects.masks) == len(split.ragged("annotation"))


def test_a_split_without_objects_says_so(tmp_path):
    source = synthetic.image_folder(tmp_path / "source", {"train": 2})
    split = freqprep.open_store(synthetic.make(source, tmp_path / "x.zarr"))["train"]
    with pytest.raises(UsageError, match="no annotated objects"):
        _ = split.objects


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("object_offset", lambda a: a[::-1].copy()),
        ("object_offset", lambda a: a[:-1]),
        ("object_label", lambda a: a + 1000),
        ("object_label", lambda a: a[:-1]),
        ("box", lambda a: np.full_like(a, np.nan)),
        ("mask_offset", lambda a: a + 1),
    ],
)
def test_arrays_that_do_not_fit_are_refused(split, monkeypatch, name, value):
    read = split.array
    monkeypatch.setattr(split, "array", lambda n: value(read(n)) if n == name else read(n))
    with pytest.raises(CorruptStoreError, match="do not fit"):
        _ = split.objects
