"""Reading gives what other readers of Zarr give, for any rows and channels, or an error."""

import builtins
import io
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import synthetic
import tensorstore
import xarray
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import freqprep
from freqprep.errors import (
    RejectedRowError,
    UnknownChannelError,
    UnknownSplitError,
    UsageError,
)
from freqprep.spectrum.channels import CHANNELS, NAMES, STORED_ORDER
from freqprep.store.reader import find_row
from freqprep.store.schema import IMAGE_ARRAYS
from freqprep.text.terminal import on_one_line, read_escapes

LAWS = settings(max_examples=80, deadline=None, derandomize=True)


@pytest.fixture(scope="module", params=["store", "crop_store"])
def split_path(request) -> Path:
    return request.getfixturevalue(request.param) / "train"


@pytest.fixture(scope="module")
def split(split_path) -> freqprep.Split:
    return freqprep.open_store(split_path.parent)["train"]


@pytest.fixture(scope="module")
def raster(split_path) -> np.ndarray:
    """All codes by zarr-python alone, channels in raster order."""
    stored = zarr.open_group(split_path, mode="r")["coefficients"][...]
    return stored[:, np.argsort(STORED_ORDER)]


def valid_rows(split: freqprep.Split) -> np.ndarray:
    return np.flatnonzero(split.valid)


@st.composite
def some_rows(draw, split: freqprep.Split):
    """Rows as a user may write them, none of them rejected."""
    good = valid_rows(split)
    chosen = draw(st.lists(st.sampled_from(good.tolist()), max_size=12))
    negative = draw(st.lists(st.booleans(), min_size=len(chosen), max_size=len(chosen)))
    signed = [row - len(split) * below for row, below in zip(chosen, negative, strict=True)]
    form = draw(st.sampled_from(["list", "array", "int", "mask", "range", "slice"]))
    if form == "int":
        return chosen[0] if chosen else int(good[0])
    if form == "mask":
        mask = np.zeros(len(split), bool)
        mask[chosen] = True
        return mask if draw(st.booleans()) else mask.tolist()
    if form in ("range", "slice"):
        start, step = draw(st.sampled_from(good.tolist())), draw(st.sampled_from([1, 2, -1, -3]))
        run = [start]
        while len(run) < 9 and 0 <= run[-1] + step < len(split) and split.valid[run[-1] + step]:
            run.append(run[-1] + step)
        stop = run[-1] + (1 if step > 0 else -1)
        if form == "range":
            return range(start, stop, step)
        return slice(start, None if stop < 0 else stop, step)
    dtype = draw(st.sampled_from([np.int64, np.int16])) if form == "array" else None
    return np.array(signed, dtype) if form == "array" else signed


def positions(rows, length: int) -> list[int]:
    """The same rows as plain numbers."""
    if isinstance(rows, slice):
        return list(range(length))[rows]
    if isinstance(rows, int):
        return [rows]
    rows = list(rows)
    if rows and isinstance(rows[0], bool | np.bool_):
        return np.flatnonzero(rows).tolist()
    return [int(row) for row in rows]


names = st.lists(st.sampled_from(NAMES), min_size=1, max_size=8, unique=True)
any_channels = st.one_of(
    st.none(),
    st.sampled_from(["paper-6", "square-24", "learned-24", "all", "triangle-9", "zigzag-3+1+0"]),
    st.lists(st.integers(0, CHANNELS - 1), min_size=1, max_size=20, unique=True),
    names,
    names.map(",".join),
    st.sampled_from(["paper-48", "triangle-30"]).map(freqprep.channels),
)


@LAWS
@given(st.data())
def test_any_rows_and_channels_are_those_of_the_whole(split, raster, data):
    rows, wanted = data.draw(some_rows(split)), data.draw(any_channels)
    indices = list(freqprep.channels("all" if wanted is None else wanted).indices)
    expected = raster[positions(rows, len(split))][:, indices]
    codes = split.read_codes(rows, wanted)
    assert codes.dtype == raster.dtype
    assert codes.shape == expected.shape
    assert np.array_equal(codes, expected)
    coefficients = split.read(rows, wanted)
    assert coefficients.dtype == np.float32
    steps = split.steps[indices][:, None, None]
    assert np.array_equal(coefficients, expected.astype(np.float32) * steps)


def test_one_whole_read_is_the_whole(split, raster):
    assert np.array_equal(split.read_codes(split.valid), raster[split.valid])


def test_what_is_read_is_the_callers_own(split):
    row = valid_rows(split)[:1]
    first = split.read_codes(row)
    kept = first.copy()
    first[:] = 1
    assert np.array_equal(split.read_codes(row), kept)


def test_rejected_rows_hold_zeros_for_readers_that_do_not_know_them(split, raster):
    assert not raster[~split.valid].any()


@pytest.mark.parametrize("wrong", [True, [[0, 1]], [0.5], ["a"], np.zeros((2, 2), int)], ids=str)
def test_rows_that_are_not_rows_are_refused(split, wrong):
    with pytest.raises((TypeError, IndexError)):
        split.read_codes(wrong)


def test_a_row_outside_is_an_index_error(split):
    for row in (len(split), -len(split) - 1, 10**12):
        with pytest.raises(IndexError, match=str(row)):
            split.read([0 if split.valid[0] else int(valid_rows(split)[0]), row])
        with pytest.raises(IndexError):
            split.image(row)
    with pytest.raises(IndexError):
        split.read(np.ones(len(split) + 1, bool))


def test_a_rejected_row_is_named_with_its_reason(split):
    row = int(np.flatnonzero(~split.valid)[0])
    for rows in ([row], row - len(split), np.arange(len(split)) == row):
        with pytest.raises(RejectedRowError) as caught:
            split.read(rows, "paper-6")
        assert split.keys[row] in str(caught.value) and split.defect(row) in str(caught.value)
    with pytest.raises(LookupError):
        split.image(row)


def test_unknown_names_list_the_known_ones(split, store):
    with pytest.raises(UnknownChannelError, match="square-24"):
        split.read([], "square-25")
    with pytest.raises(UnknownSplitError, match="train, val"):
        freqprep.open_store(store)["test"]
    assert freqprep.open_store(store).get("test") is None
    with pytest.raises(UsageError, match="name one of: train, val"):
        freqprep.open_store(store).only(None)


def test_a_store_is_a_mapping_of_its_splits(store):
    opened = freqprep.open_store(str(store))
    assert list(opened) == ["train", "val"] and len(opened) == 2
    assert "train" in opened and "test" not in opened
    assert opened["train"] is opened["train"]
    assert [len(split) for split in opened.values()] == [160, 24]


def test_dimension_names_are_those_of_the_schema(split_path):
    group = zarr.open_group(split_path, mode="r")
    names = {name: array.metadata.dimension_names for name, array in group.arrays()}
    assert names.pop("coefficients") == ("image", "channel", "row", "column")
    assert names == {name: spec.dimensions for name, spec in IMAGE_ARRAYS.items()}


def by_zarr(path: Path) -> np.ndarray:
    return zarr.open_array(path, mode="r")[...]


def by_tensorstore(path: Path) -> np.ndarray:
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{path}/"}}
    return tensorstore.open(spec, open=True, read=True).result().read().result()


@pytest.mark.parametrize("read", [by_zarr, by_tensorstore])
def test_every_array_is_the_same_to_other_readers(split, split_path, raster, read):
    for name, spec in IMAGE_ARRAYS.items():
        ours, theirs = split.array(name), read(split_path / name)
        assert ours.dtype == theirs.dtype == spec.dtype
        assert np.array_equal(ours, theirs), name
    stored = read(split_path / "coefficients")
    assert np.array_equal(stored[:, np.argsort(STORED_ORDER)], raster)


def test_xarray_opens_a_split_as_one_data_set(split, split_path, raster):
    with xarray.open_zarr(split_path, chunks=None) as dataset:
        assert set(dataset.variables) == {*IMAGE_ARRAYS, "coefficients"}
        for name in IMAGE_ARRAYS:
            assert np.array_equal(dataset[name].values, split.array(name)), name
        stored = dataset["coefficients"].values
        assert dataset.sizes["image"] == len(split)
        assert dataset.attrs["content_id"] == split.content_id
    assert np.array_equal(stored[:, np.argsort(STORED_ORDER)], raster)


def test_the_image_is_the_source_within_the_rounding(store, source):
    split = freqprep.open_store(store)["train"]
    checked = 0
    for row in valid_rows(split).tolist():
        with Image.open(source / "train" / split.keys[row]) as image:
            expected = np.asarray(image.convert("RGB"), np.float64)
        if expected.shape[:2] != tuple(split.sizes[row]):
            continue  # resized
        shown = split.image(row)
        assert shown.dtype == np.uint8 and shown.shape == expected.shape
        assert np.abs(shown - expected).mean() < 3
        checked += 1
    assert checked > 20


def test_an_image_of_few_channels_is_smooth(split):
    row = int(valid_rows(split)[0])
    whole, flat = split.image(row), split.image(row - len(split), ["y_0_0", "cb_0_0", "cr_0_0"])
    assert whole.shape == flat.shape
    blocks = flat[: flat.shape[0] // 8 * 8, : flat.shape[1] // 8 * 8]
    blocks = blocks.reshape(blocks.shape[0] // 8, 8, -1, 8, 3)
    assert (blocks == blocks[:, :1, :, :1]).all()


def test_keys_are_the_names_bytes_and_all(tmp_path):
    source = tmp_path / "source"
    wanted = [b"a/\xff\xfe.jpg", b"a/line\nbreak.jpg", b"a/ space .jpg", "a/é.jpg".encode()]
    for seed, key in enumerate(wanted):
        path = os.path.join(os.fsencode(source), key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(synthetic.picture(seed))
    split = freqprep.open_store(synthetic.make(source, tmp_path / "out.zarr"))["train"]
    assert sorted(os.fsencode(key) for key in split.keys) == sorted(wanted)
    assert split.keys[-1] == split.keys[len(split) - 1] == split.keys[:][-1]
    for row, key in enumerate(split.keys):
        assert find_row(split, key) == row == find_row(split, str(row))
        assert find_row(split, str(row - len(split))) == row
    for text in ("4", "-5", "²", "--1", "no such key"):
        with pytest.raises(UsageError):
            find_row(split, text)


@LAWS
@given(st.lists(st.binary(max_size=9).filter(lambda key: b"\\" not in key), unique=True))
def test_what_is_printed_is_safe_and_read_again(names):
    for key in (os.fsdecode(name) for name in names):
        printed = on_one_line(key)
        assert printed.isprintable() and read_escapes(printed) == key


def test_a_backslash_that_is_in_a_key_is_no_escape():
    split = SimpleNamespace(path="s", keys=["\x1b", "\\x1b", "\\folder\\x"])
    assert [find_row(split, on_one_line(key)) for key in split.keys] == [1, 1, 2]


def opened_files(monkeypatch, action: Callable[[], object]) -> list[str]:
    """Paths opened while ``action`` runs."""
    seen: list[str] = []
    openers = [(os, "open"), (builtins, "open"), (io, "open")]
    with monkeypatch.context() as patch:
        for module, name in openers:
            original = getattr(module, name)

            def record(path, *args, original=original, **options):
                seen.append(os.fspath(path) if not isinstance(path, int) else str(path))
                return original(path, *args, **options)

            patch.setattr(module, name, record)
        action()
    return seen


def test_opening_asks_for_no_shard_and_reading_for_one_shard_once(store, monkeypatch):
    opened = opened_files(monkeypatch, lambda: freqprep.open_store(store)["train"])
    assert opened and not [path for path in opened if "coefficients" in path]
    split = freqprep.open_store(store)["train"]
    rows = valid_rows(split)[:9]
    opened = opened_files(monkeypatch, lambda: split.read(rows, "square-24"))
    assert len([path for path in opened if "/coefficients/c/" in path]) == 1
    again = opened_files(monkeypatch, lambda: split.read(rows[::-1], "square-24"))
    assert not [path for path in again if "/coefficients/c/" in path]
