"""Batches of splits that keep some channels, or have other steps, are what `read` gives."""

import numpy as np
import pytest
import subset

import freqprep
from freqprep.errors import UnknownChannelError
from freqprep.spectrum.channels import published

pytest.importorskip("torch")


@pytest.mark.parametrize("fixture", ["coarse_store", "fine_store", "subset_store"])
@pytest.mark.parametrize("asked", ["square-24", None, "cr_0_0,y_0_0"])
def test_batches_are_what_is_read(fixture, asked, request):
    split = freqprep.open_store(request.getfixturevalue(fixture))["train"]
    loader = freqprep.Loader(split, asked, batch_size=31)
    chosen = freqprep.channels(asked, split)
    assert loader.selection == chosen
    np.testing.assert_array_equal(loader.quantization_steps, split.steps[list(chosen.indices)])
    assert np.isfinite(loader.quantization_steps).all()
    batches = list(loader)
    assert len(batches) == 5
    for batch in batches:
        np.testing.assert_array_equal(batch.coefficients, split.read(batch.rows, asked))
        np.testing.assert_array_equal(batch.codes, split.read_codes(batch.rows, asked))


@pytest.mark.parametrize("fixture", ["fine_store", "subset_store"])
def test_a_dataset_has_the_images_that_are_read(fixture, request):
    split = freqprep.open_store(request.getfixturevalue(fixture))["val"]
    for asked in ("square-24", None):
        dataset = freqprep.Dataset(split, asked)
        for index in (0, len(dataset) - 1):
            image, label = dataset[index]
            row = int(dataset.rows[index])
            np.testing.assert_array_equal(image, split.read([row], asked)[0])
            assert label == split.labels[row]


def test_what_is_not_stored_is_refused_by_name(coarse_store, tmp_path):
    kept = published("paper-6").indices
    store = subset.keep(coarse_store, tmp_path / "few.zarr", kept)
    split = freqprep.open_store(store)["train"]
    for make in (freqprep.Loader, freqprep.Dataset):
        with pytest.raises(UnknownChannelError, match="does not store 18 of the 24"):
            make(split)
        with pytest.raises(UnknownChannelError, match="'all'"):
            make(split, "all")


def test_a_state_of_other_channels_is_refused_and_of_the_same_is_continued(subset_store):
    split = freqprep.open_store(subset_store)["train"]
    loader = freqprep.Loader(split, None, batch_size=31)
    batches = iter(loader)
    next(batches)
    state = loader.state_dict()
    rest = [batch.rows for batch in batches]
    again = freqprep.Loader(split, None, batch_size=31)
    again.load_state_dict(state)
    for one, other in zip(again, rest, strict=True):
        np.testing.assert_array_equal(one.rows, other)
