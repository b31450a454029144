"""A split in xarray: what `read` gives, no more read than was asked for, rejected rows as NaN."""

import copy
import sys
import warnings

import numpy as np
import pytest
import synthetic
import xarray
from hypothesis import given, settings
from hypothesis import strategies as st

import freqprep
from freqprep.errors import MissingPackageError
from freqprep.spectrum.channels import CHANNELS, NAMES
from freqprep.store.shard import ShardFile

LAWS = settings(max_examples=60, deadline=None, derandomize=True)


@pytest.fixture(scope="module", params=["store", "crop_store"])
def split(request) -> freqprep.Split:
    return freqprep.open_store(request.getfixturevalue(request.param))["train"]


@pytest.fixture(scope="module")
def dataset(split) -> xarray.Dataset:
    return split.to_xarray()


@pytest.fixture(scope="module")
def everything(split) -> np.ndarray:
    """All coefficients as `read` gives them, NaN where there are none."""
    expected = np.full((len(split), CHANNELS, *split.attributes.encoding.geometry.grid), np.nan)
    expected[split.valid] = split.read(split.valid)
    return expected.astype(np.float32)


@pytest.fixture
def chunks_read(monkeypatch) -> list[int]:
    """Stored positions of the chunks decoded since the test began."""
    read: list[int] = []
    plain = ShardFile.read

    def counted(self, positions, into=None):
        read.extend(positions)
        return plain(self, positions, into)

    monkeypatch.setattr(ShardFile, "read", counted)
    return read


def test_values_are_those_of_read(dataset, everything):
    assert dataset["coefficients"].dims == ("image", "channel", "row", "column")
    assert dataset["coefficients"].dtype == np.float32
    assert np.isnan(everything).any()
    np.testing.assert_array_equal(dataset["coefficients"].values, everything)


def test_images_and_channels_say_what_they_are(dataset, split):
    assert dataset["channel"].values.tolist() == list(NAMES)
    parts = zip(
        *(dataset[name].values.tolist() for name in ("component", "v", "h")),
        strict=True,
    )
    assert [f"{component}_{v}_{h}" for component, v, h in parts] == list(NAMES)
    np.testing.assert_array_equal(dataset["step"], split.steps)
    for name, expected in (("label", split.labels), ("valid", split.valid), ("size", split.sizes)):
        np.testing.assert_array_equal(dataset[name], expected)
    assert dataset["image"].values.tolist() == list(range(len(split)))
    assert dataset["key"].values.tolist() == list(split.keys)
    names = split.attributes.class_names
    assert dataset["class_name"].values.tolist() == [names[label] for label in split.labels]
    assert dataset["side"].values.tolist() == ["height", "width"]
    assert dataset.attrs["content_id"] == split.content_id


def test_a_table_of_labels_reads_no_coefficient(dataset, split, chunks_read):
    frame = dataset[["key", "label", "class_name", "valid"]].to_dataframe()
    assert frame["key"].tolist() == list(split.keys)
    assert frame["label"].tolist() == split.labels.tolist()
    assert "coefficients" in repr(dataset) and str(split.labels[0]) in dataset._repr_html_()
    copy.deepcopy(dataset)
    assert not chunks_read and not dataset["coefficients"].variable._in_memory


def test_what_is_selected_alone_is_read(split, everything, chunks_read):
    dataset = freqprep.open_store(split.path.parent)["train"].to_xarray()
    one = dataset["coefficients"].sel(channel="y_0_0")
    assert not chunks_read
    np.testing.assert_array_equal(one, everything[:, 0])
    assert len(chunks_read) == split.shards == 2

    chunks_read.clear()
    dataset = freqprep.open_store(split.path.parent)["train"].to_xarray()  # nothing kept
    second_shard = dataset["coefficients"].isel(image=slice(128, None))
    two = second_shard.sel(channel=["y_0_0", "cb_0_0"])
    np.testing.assert_array_equal(two, everything[128:][:, [0, 64]])
    assert len(chunks_read) == 2

    chunks_read.clear()
    rejected = np.flatnonzero(~split.valid)
    assert np.isnan(dataset["coefficients"].isel(image=rejected).values).all()
    assert not chunks_read


def test_channels_and_images_by_what_they_are(dataset, split, everything):
    luma = dataset["coefficients"].isel(channel=(dataset["component"] == "y").values)
    np.testing.assert_array_equal(luma, everything[:, :64])
    first = split.attributes.class_names[0]
    mine = dataset.isel(image=(dataset["class_name"] == first).values)
    np.testing.assert_array_equal(mine["image"], np.flatnonzero(split.labels == 0))
    row = int(np.flatnonzero(split.valid)[3])
    found = dataset.set_xindex("key").sel(key=split.keys[row])
    np.testing.assert_array_equal(found["coefficients"], everything[row])


@given(data=st.data())
@LAWS
def test_any_index_gives_what_numpy_gives(data, dataset, everything):
    kinds = []
    for length in everything.shape:
        number = st.integers(-length, length - 1)
        # xarray itself fails on an empty slice that goes backwards.
        slices = st.slices(length).filter(lambda s, n=length: range(n)[s] or (s.step or 1) > 0)
        kinds.append(data.draw(number | slices | st.lists(number, max_size=5).map(np.array)))
    index = tuple(i.astype(int) if isinstance(i, np.ndarray) else i for i in kinds)
    expected = everything
    for axis in reversed(range(4)):
        expected = expected[(slice(None),) * axis + (index[axis],)]
    axes = dict(zip(dataset["coefficients"].dims, index, strict=True))
    np.testing.assert_array_equal(dataset["coefficients"].isel(axes), expected)


def test_points_of_one_dimension(dataset, everything):
    images = xarray.DataArray([140, 3, 3], dims="point")
    channels = xarray.DataArray([64, 0, 191], dims="point")
    points = dataset["coefficients"].isel(image=images, channel=channels)
    np.testing.assert_array_equal(points, everything[[140, 3, 3], [64, 0, 191]])


def test_assigning_changes_the_data_set_alone(split, everything):
    dataset = split.to_xarray().isel(image=slice(0, 4), channel=slice(0, 2))
    dataset["coefficients"][{"image": 0}] = 7
    assert (dataset["coefficients"][0] == 7).all()
    np.testing.assert_array_equal(split.to_xarray()["coefficients"][:4, :2], everything[:4, :2])


def test_an_image_without_a_class_has_an_empty_name(store):
    split = freqprep.open_store(store)["val"]
    split.__dict__["labels"] = np.full(len(split), -1)
    assert set(split.to_xarray()["class_name"].values) == {""}


def test_a_split_of_one_image(tmp_path):
    source = synthetic.image_folder(tmp_path / "source", {"train": 1}, corrupt=0)
    split = freqprep.open_store(synthetic.make(source, tmp_path / "one.zarr"))["train"]
    dataset = split.to_xarray()
    np.testing.assert_array_equal(dataset["coefficients"].isel(image=0), split.read(0)[0])
    np.testing.assert_array_equal(dataset["coefficients"].mean(), split.read(0).mean())


def test_without_xarray_it_says_what_to_install(split, monkeypatch):
    monkeypatch.setitem(sys.modules, "xarray", None)
    monkeypatch.delitem(sys.modules, "freqprep.store.xarray_view", raising=False)
    with pytest.raises(MissingPackageError, match=r"pip install 'freqprep\[xarray\]'"):
        split.to_xarray()


def test_nothing_warns(split):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert split.to_xarray()["coefficients"][0].values.size
