"""Splits that only format 1.1 has read like all others: other steps, a subset of channels."""

import json
import math

import numpy as np
import pytest
import subset
import synthetic
import tensorstore
import xarray
import zarr

import freqprep
from freqprep.engines import Workers
from freqprep.errors import CorruptStoreError, UnknownChannelError, UsageError
from freqprep.spectrum.channels import CHANNELS, NAMES, STORED_ORDER
from freqprep.spectrum.dct import grid_of
from freqprep.spectrum.quantization import dequantize
from freqprep.store.selection_costs import selection_costs
from freqprep.store.shard import index_bytes
from freqprep.store.verify import verify


@pytest.fixture(scope="module", params=["coarse_store", "subset_store", "fine_store"])
def newer(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def split(newer) -> freqprep.Split:
    return freqprep.open_store(newer)["val"]


@pytest.fixture
def part(subset_store) -> freqprep.Split:
    return freqprep.open_store(subset_store)["train"]


def test_each_split_states_format_1_1_and_the_root_1_0(newer):
    assert json.loads((newer / "zarr.json").read_bytes())["attributes"]["format_version"] == "1.0"
    for split in freqprep.open_store(newer).values():
        assert split.manifest.attributes["format_version"] == "1.1"
        assert split.attributes.format_version == "1.1"


def test_they_verify_and_a_flipped_bit_is_found(newer, tmp_path):
    found = verify(newer, Workers(1))
    splits = freqprep.open_store(newer).values()
    assert found.problems == ()
    assert found.chunks == sum(one.shards * len(one.attributes.channels) for one in splits)
    copy = next(synthetic.copies(newer, tmp_path))
    synthetic.flip(copy / "val/coefficients/c/0/0/0/0", 8 * 100)
    (problem,) = {problem.where for problem in verify(copy, Workers(1)).problems}
    assert problem == "val/coefficients/c/0/0/0/0"


def test_a_step_that_is_not_the_stated_one_is_found(newer, tmp_path):
    copy = next(synthetic.copies(newer, tmp_path))
    array = zarr.open_array(copy / "val/step", mode="r+")
    array[0] = array[0] * 2
    synthetic.reseal(copy / "val")
    assert [problem.where for problem in verify(copy, Workers(1)).problems] == ["val/step"]


def test_codes_coefficients_and_pixels_agree(split):
    stored = sorted(split.attributes.channels)
    rows = np.flatnonzero(split.valid)
    codes, read = split.read_codes(rows), split.read(rows)
    precision = split.attributes.encoding.precision
    assert codes.dtype == precision.codes and codes.shape[1] == len(stored)
    np.testing.assert_array_equal(read, dequantize(codes, precision.step_table[stored]))
    some = [stored[-1], stored[0]]
    np.testing.assert_array_equal(split.read(rows, some), read[:, [-1, 0]])
    assert np.array_equal(np.flatnonzero(np.isfinite(split.steps)), stored)
    row = int(rows[0])
    assert split.image(row).shape == (*split.sizes[row], 3)
    rest = dequantize(codes[0], precision.step_table[stored])
    rows_, columns = grid_of(*split.sizes[row].tolist())
    assert np.abs(rest[:, :rows_, :columns]).sum() == np.abs(rest).sum()


def test_moments_are_those_of_the_codes(split):
    codes = split.read_codes(split.valid).astype(np.int64)
    stored = sorted(split.attributes.channels)
    absent = np.setdiff1d(np.arange(CHANNELS), stored)
    np.testing.assert_array_equal(split.moments.total[stored], codes.sum(axis=(0, 2, 3)))
    squares = (codes**2).sum(axis=(0, 2, 3))
    np.testing.assert_array_equal(split.moments.total_squares[stored], squares)
    assert not split.moments.total[absent].any() and not split.moments.total_squares[absent].any()


def test_the_kept_channels_read_as_in_the_store_with_all(subset_store, coarse_store):
    for name, part in freqprep.open_store(subset_store).items():
        whole = freqprep.open_store(coarse_store)[name]
        kept = sorted(part.attributes.channels)
        np.testing.assert_array_equal(
            part.read_codes(part.valid), whole.read_codes(whole.valid, kept)
        )
        row = int(np.flatnonzero(part.valid)[0])
        np.testing.assert_array_equal(part.image(row), whole.image(row, kept))
        assert part.attributes.packed.content_id == whole.content_id


def test_what_is_not_stored_is_refused_by_name(part):
    for wrong, named in (("all", "y_0_6"), ("y_0_0,cr_7_7", "cr_7_7"), ([191], "cr_7_7")):
        for read in (part.read, part.read_codes, lambda rows, c: part.image(rows[0], c)):
            with pytest.raises(UnknownChannelError, match=f"does not store .*{named}"):
                read([int(np.flatnonzero(part.valid)[0])], wrong)
    with pytest.raises(UsageError, match="from 1 to 49, got 50"):
        freqprep.channels(50, part)
    chosen = freqprep.channels(49, part).indices
    assert sorted(chosen) == sorted(part.attributes.channels)
    energies = part.moments.total_squares[list(chosen)] * part.steps[list(chosen)] ** 2.0
    assert (np.diff(energies) <= 0).all()


def test_zarr_and_tensorstore_read_the_stored_arrays(newer, split):
    group = zarr.open_group(newer / "val", mode="r")
    names, precision = group.attrs["channels"], group.attrs["quantization"]
    codes = group["coefficients"][...]
    order = np.argsort([NAMES.index(name) for name in names])
    np.testing.assert_array_equal(codes[split.valid][:, order], split.read_codes(split.valid))
    parts = [name.split("_") for name in names]
    steps = [precision["steps"][component][int(v)][int(h)] for component, v, h in parts]
    np.testing.assert_array_equal(group["step"][...], steps)
    spec = {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": str(newer / "val/coefficients")},
    }
    again = tensorstore.open(spec, open=True).result().read().result()
    np.testing.assert_array_equal(again, codes)


def test_the_index_has_an_entry_for_each_channel(newer, split):
    data = (newer / "val/coefficients/c/0/0/0/0").read_bytes()
    with split.open_shard(0) as file:
        lengths = file.chunk_lengths
    assert len(data) == lengths.sum() + index_bytes(len(split.attributes.channels))
    assert index_bytes(len(lengths)) == 16 * len(lengths) + 4


def test_xarray_has_the_stored_channels_in_raster_order(split):
    dataset = split.to_xarray()
    stored = sorted(split.attributes.channels)
    assert dataset["channel"].values.tolist() == [NAMES[index] for index in stored]
    parts = zip(*(dataset[n].values.tolist() for n in ("component", "v", "h")), strict=True)
    assert [f"{c}_{v}_{h}" for c, v, h in parts] == dataset["channel"].values.tolist()
    np.testing.assert_array_equal(dataset["step"], split.steps[stored])
    np.testing.assert_array_equal(dataset["coefficients"][split.valid], split.read(split.valid))
    one = dataset["coefficients"].sel(channel=["cr_0_0", "y_0_0"])[split.valid]
    np.testing.assert_array_equal(one, split.read(split.valid, ["cr_0_0", "y_0_0"]))
    assert isinstance(dataset.isel(channel=-1)["coefficients"].mean().item(), float)
    assert isinstance(dataset, xarray.Dataset)


def test_costs_are_of_what_is_stored(part, subset_store):
    known = [freqprep.channels(name) for name in ("paper-6", "paper-48", "paper-64", "all")]
    everything = freqprep.channels(None, part)
    six, fortyeight, *absent, all_stored = selection_costs([*known, everything], [part])
    assert (six.stored, six.ranges, fortyeight.ranges, all_stored.ranges) == (True, 3, 2, 1)
    assert six.bytes_per_image < fortyeight.bytes_per_image < all_stored.bytes_per_image
    assert all_stored.share == 1.0
    files = sum(part.shard_table.entry(shard).file_bytes for shard in range(part.shards))
    assert all_stored.bytes_per_image == pytest.approx(files / part.valid.sum())
    for cost in absent:
        assert (cost.stored, cost.ranges, cost.bytes_per_image, cost.share) == (False, *[None] * 3)


def test_ranges_follow_the_positions_of_the_split(coarse_store, tmp_path):
    store = subset.keep(coarse_store, tmp_path / "few.zarr", [0, 63, 64, 127, 191])
    split = freqprep.open_store(store)["val"]
    assert split.attributes.channels == tuple(i for i in STORED_ORDER if i in {0, 63, 64, 127, 191})
    (whole,) = selection_costs([freqprep.channels([0, 63, 64, 127, 191])])
    (here,) = selection_costs([freqprep.channels([0, 63, 64, 127, 191])], [split])
    assert (whole.ranges, here.ranges) == (4, 1)


def test_one_channel_alone_is_a_store(coarse_store, tmp_path):
    store = subset.keep(coarse_store, tmp_path / "one.zarr", [65])
    assert verify(store, Workers(1)).problems == ()
    split, whole = (freqprep.open_store(path)["train"] for path in (store, coarse_store))
    np.testing.assert_array_equal(split.read(split.valid), whole.read(whole.valid, [65]))
    assert split.to_xarray()["channel"].values.tolist() == ["cb_0_1"]


HOSTILE = {
    "a step of 3": lambda d: d["quantization"]["steps"]["cb"][0].__setitem__(0, 3),
    "a step of NaN": lambda d: d["quantization"]["steps"]["y"][7].__setitem__(7, math.nan),
    "3x8x7 tables": lambda d: [row.pop() for t in d["quantization"]["steps"].values() for row in t],
    "out of order": lambda d: d["channels"].reverse(),
    "repeated": lambda d: d["channels"].append(d["channels"][-1]),
    "unknown": lambda d: d["channels"].__setitem__(0, "y_0_8"),
    "none": lambda d: d["channels"].clear(),
    "level 0": lambda d: d["compression"].update(level=0),
    "level as text": lambda d: d["compression"].update(level="17"),
    "level true": lambda d: d["compression"].update(level=True),
    "float codes": lambda d: d["quantization"].update(codes="float64"),
    "packed otherwise": lambda d: d["packed"].update(when="now"),
    "an older version": lambda d: d.update(format_version="1.0"),
    "nested deep": lambda d: d.update(packed=json.loads("[" * 500 + "]" * 500)),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_manifest_is_a_named_error(subset_store, tmp_path, change):
    copy = next(synthetic.copies(subset_store, tmp_path))
    manifest, _ = synthetic.read_manifest(copy / "val")
    change(manifest.attributes)
    synthetic.write_manifest(copy / "val", manifest)
    with pytest.raises(CorruptStoreError, match=r"attributes are malformed|is damaged"):
        freqprep.open_store(copy)["val"]
    assert [problem.where for problem in verify(copy, Workers(1)).problems] == ["val/manifest.json"]


CONTRADICTORY = {
    "fewer channels": lambda d: d["channels"].pop(),
    "another channel": lambda d: d["channels"].insert(0, "y_0_6"),
    "wider codes": lambda d: d["quantization"].update(codes="int16"),
    "another step": lambda d: d["quantization"]["steps"]["y"][0].__setitem__(0, 64),
}


@pytest.mark.parametrize("change", CONTRADICTORY.values(), ids=CONTRADICTORY)
def test_a_manifest_that_contradicts_its_files_is_a_named_error(subset_store, tmp_path, change):
    copy = next(synthetic.copies(subset_store, tmp_path))
    manifest, _ = synthetic.read_manifest(copy / "val")
    change(manifest.attributes)
    manifest.attributes["channels"].sort(key=lambda n: STORED_ORDER.index(NAMES.index(n)))
    synthetic.write_manifest(copy / "val", manifest)
    split = freqprep.open_store(copy)["val"]
    assert verify(copy, Workers(1)).problems
    if change is not CONTRADICTORY["another step"]:  # the array of steps is the one that counts
        with pytest.raises(CorruptStoreError):
            split.read(split.valid)
