"""Attributes survive the way through JSON, and odd ones are refused."""

import copy
import dataclasses
import json
import math

import pytest
import subset
from hypothesis import given, settings
from hypothesis import strategies as st

from freqprep.errors import CorruptStoreError, FormatVersionError
from freqprep.images.encoding import Encoding
from freqprep.images.geometry import Geometry
from freqprep.spectrum.channels import STORED_ORDER
from freqprep.spectrum.quantization import PRECISIONS
from freqprep.store import schema
from freqprep.store.packed import Packed
from freqprep.store.row_order import WINDOW_ROWS
from freqprep.store.schema import (
    IMAGE_ARRAYS,
    OBJECT_ARRAYS,
    SplitAttributes,
    check_format,
    chunk_shape,
    shard_shape,
)
from freqprep.store.versions import library_versions

orientations = st.sampled_from(["apply", "keep"])
sizes = st.integers(1, 4096)
geometries = st.one_of(
    st.builds(Geometry, st.just("fit"), sizes, st.none(), orientations),
    st.tuples(sizes, sizes, orientations).map(
        lambda drawn: Geometry("crop", min(drawn[:2]), max(drawn[:2]), drawn[2])
    ),
)
precisions = st.sampled_from([*PRECISIONS.values(), subset.MIXED, subset.FINE])
encodings = st.builds(Encoding, geometries, precisions)
stored = st.one_of(
    st.just(STORED_ORDER),
    st.sets(st.sampled_from(STORED_ORDER), min_size=1).map(
        lambda kept: tuple(index for index in STORED_ORDER if index in kept)
    ),
)
packed = st.none() | st.just(Packed("0a" * 32, {"zarr": "3"}))
ids = st.one_of(st.integers(0, 10**6), st.text(max_size=8))
classes = st.lists(st.tuples(ids, st.text(max_size=8)), max_size=4).map(tuple)
text = st.text(min_size=1, max_size=8)


@st.composite
def attributes(draw) -> SplitAttributes:
    known = draw(classes)
    images = draw(st.integers(0, 10**7))
    return SplitAttributes(
        split=draw(text),
        source_split=draw(text),
        source_kind=draw(text),
        images=images,
        rejected=draw(st.integers(0, images)),
        encoding=draw(encodings),
        seed=draw(st.integers(0, 2**32 - 1)),
        class_ids=tuple(identity for identity, _ in known),
        class_names=tuple(name for _, name in known),
        versions=draw(st.dictionaries(text, text, max_size=2)),
        channels=draw(stored),
        level=draw(st.sampled_from([1, 1, 17])),
        packed=draw(packed),
        window=draw(st.sampled_from([None, None, WINDOW_ROWS])),
    )


@settings(max_examples=100, deadline=None, derandomize=True)
@given(attributes())
def test_attributes_survive_json(wanted):
    data = json.loads(json.dumps(wanted.to_dict()))
    assert SplitAttributes.from_dict(data) == wanted
    assert SplitAttributes.from_dict(data).to_dict() == wanted.to_dict()
    as_before = wanted.encoding.precision.name in ("int8", "int16") and (
        len(wanted.channels),
        wanted.level,
        wanted.packed,
    ) == (192, 1, None)
    newest = wanted.window is not None or wanted.images > 2**23
    assert data["format_version"] == ("1.2" if newest else "1.0" if as_before else "1.1")
    older = set(data) == OLDER_KEYS and set(data["quantization"]) == {"precision"}
    assert older == (as_before and not newest)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(encodings)
def test_an_encoding_survives_json_and_its_chunks_fill_its_shards(encoding):
    assert Encoding.from_dict(json.loads(json.dumps(encoding.to_dict()))) == encoding
    shard, chunk = shard_shape(encoding.geometry), chunk_shape(encoding.geometry)
    assert shard[0] == chunk[0] and chunk[1] == 1 and shard[2:] == chunk[2:]


OLDER_KEYS = {
    "format", "format_version", "split", "source_split", "source_kind", "images", "rejected",
    "transform", "channels", "geometry", "quantization", "order", "classes", "versions",
}  # fmt: skip
EXAMPLE = SplitAttributes(
    "train", "train", "imagefolder", 3, 1,
    Encoding(Geometry("fit", 32, None, "apply"), PRECISIONS["int8"]), 0, ("a",), ("a",), {},
)  # fmt: skip


@pytest.mark.parametrize("name", sorted(set(EXAMPLE.to_dict()) - {"transform"}))
def test_a_missing_attribute_is_refused(name):
    data = {key: value for key, value in EXAMPLE.to_dict().items() if key != name}
    with pytest.raises((CorruptStoreError, FormatVersionError)):
        SplitAttributes.from_dict(data)


@pytest.mark.parametrize(
    "change",
    [
        {"channels": ["y_0_0"]},
        {"geometry": {"kind": "fit"}},
        {"geometry": {"kind": "warp", "size": 32, "resize": None, "orientation": "apply"}},
        {"quantization": {"precision": "int4"}},
        {"images": "many"},
        {"images": "17"},
        {"images": True},
        {"images": 3.0},
        {"rejected": 4},
        {"rejected": -1},
        {"split": None},
        {"order": None},
        {"order": {"seed": "0"}},
        {"classes": []},
        {"classes": {"ids": ["a", "b"], "names": ["a"]}},
        {"classes": {"ids": [True], "names": ["a"]}},
        {"classes": {"ids": ["a"], "names": [1]}},
        {"versions": {"zarr": 3}},
        {"versions": ["zarr"]},
        # what only format 1.1 has
        {"compression": {"codec": "zstd", "level": 1}},
        {"packed": {"content_id": "0a" * 32, "versions": {}}},
        {"quantization": subset.MIXED.to_dict()},
        {"quantization": PRECISIONS["int8"].to_dict()},
        {"channels": ["y_0_0", "cb_0_0"]},
        # what only format 1.2 has
        {"order": {"seed": 0, "rule": "runs", "window": WINDOW_ROWS}},
    ],
    ids=str,
)
def test_a_malformed_attribute_is_refused(change):
    with pytest.raises(CorruptStoreError, match="malformed"):
        SplitAttributes.from_dict(EXAMPLE.to_dict() | change)


NEWER = dataclasses.replace(
    EXAMPLE,
    encoding=Encoding(EXAMPLE.encoding.geometry, subset.MIXED),
    channels=STORED_ORDER[:4],
    level=17,
    packed=Packed("0a" * 32, {"zarr": "3"}),
)


def steps_with(*places: object, value: object) -> dict:
    """Quantization of `NEWER` with another value at a key of its steps."""
    quantization = copy.deepcopy(NEWER.to_dict()["quantization"])
    where = quantization["steps"]
    for place in places[:-1]:
        where = where[place]
    where[places[-1]] = value
    return {"quantization": quantization}


@pytest.mark.parametrize(
    "change",
    [
        *(
            steps_with("cb", 3, 4, value=value)
            for value in (
                3,
                0,
                -8,
                2048,
                2.0**-5,
                math.nan,
                math.inf,
                True,
                "8",
                None,
                [8],
                10**400,
            )
        ),
        steps_with("y", 7, value=[8] * 7),
        steps_with("y", 7, value="8" * 8),
        steps_with("cr", value=[[8] * 8] * 7),
        steps_with("cr", value=None),
        steps_with("alpha", value=[[8] * 8] * 8),
        {"quantization": {**subset.MIXED.to_dict(), "codes": "float64"}},
        {"quantization": {**subset.MIXED.to_dict(), "codes": ["int8"]}},
        {"quantization": {**subset.MIXED.to_dict(), "precision": "int8"}},
        {"quantization": {**subset.MIXED.to_dict(), "precision": 8}},
        {"quantization": {**subset.MIXED.to_dict(), "precision": "a\x1b[2J"}},
        {"quantization": {**subset.MIXED.to_dict(), "steps": [8] * 192}},
        {"quantization": {"precision": "int8"}},
        {"quantization": {"precision": "mixed", "codes": "int8"}},
        {"quantization": "mixed"},
        {"channels": []},
        {"channels": ["y_0_0", "y_0_0"]},
        {"channels": ["y_0_1", "y_0_0"]},
        {"channels": ["y_0_0", "y_8_0"]},
        {"channels": ["y_0_0", 1]},
        {"channels": ["y_0_0", ["y_0_1"]]},
        {"channels": "y_0_0"},
        {"channels": {"y_0_0": 0}},
        *({"compression": {"codec": "zstd", "level": n}} for n in (0, 23, "17", True, 1.0, None)),
        {"compression": {"codec": "gzip", "level": 1}},
        {"compression": {"codec": "zstd"}},
        {"compression": 17},
        {"compression": None},
        {"packed": None},
        {"packed": {}},
        {"packed": "0a" * 32},
        {"packed": {"content_id": "0a" * 32}},
        {"packed": {"content_id": "0A" * 32, "versions": {}}},
        {"packed": {"content_id": 7, "versions": {}}},
        {"packed": {"content_id": "0a" * 32, "versions": {"zarr": 3}}},
        {"packed": {"content_id": "0a" * 32, "versions": {}, "more": 1}},
        {"format_version": "1.0"},
        {"order": {"seed": 0, "rule": "runs", "window": WINDOW_ROWS}},
    ],
    ids=lambda change: str(change)[:60],
)
def test_a_malformed_attribute_of_format_1_1_is_refused(change):
    data = json.loads(json.dumps(NEWER.to_dict()))
    assert SplitAttributes.from_dict(data) == NEWER
    with pytest.raises(CorruptStoreError, match="malformed") as caught:
        SplitAttributes.from_dict(data | change)
    assert len(str(caught.value)) < 300 and str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["compression", "quantization", "channels"])
def test_a_missing_attribute_of_format_1_1_is_refused(name):
    data = {key: value for key, value in NEWER.to_dict().items() if key != name}
    with pytest.raises(CorruptStoreError, match="malformed"):
        SplitAttributes.from_dict(data)


NEWEST = dataclasses.replace(EXAMPLE, window=WINDOW_ROWS)


@pytest.mark.parametrize("window", [0, 128, -WINDOW_ROWS, 2 * WINDOW_ROWS, "16384", 16384.0, None])
def test_other_windows_are_refused(window):
    data = NEWEST.to_dict()
    assert SplitAttributes.from_dict(data) == NEWEST
    with pytest.raises(CorruptStoreError, match="malformed"):
        SplitAttributes.from_dict(data | {"order": {**data["order"], "window": window}})


@pytest.mark.parametrize(
    ("reader", "known", "unknown"), [("1.0", EXAMPLE, NEWER), ("1.1", NEWER, NEWEST)]
)
def test_a_reader_of_an_older_version_refuses_a_newer_one_by_name(
    monkeypatch, reader, known, unknown
):
    monkeypatch.setattr(schema, "FORMAT_VERSION", reader)
    assert SplitAttributes.from_dict(known.to_dict()) == known
    newer = unknown.format_version
    with pytest.raises(FormatVersionError, match=rf"format {newer}.*reads up to {reader}"):
        SplitAttributes.from_dict(unknown.to_dict())


@pytest.mark.parametrize("version", ["1.3", "2.0", "0.1", "1", "", "1.0.0", "1.-1", None])
def test_only_this_major_and_up_to_this_minor_is_read(version):
    check_format({"format": "freqprep", "format_version": "1.0"})
    with pytest.raises(FormatVersionError):
        check_format({"format": "freqprep", "format_version": version})
    with pytest.raises(FormatVersionError, match="not a freqprep store"):
        check_format({"format": "other", "format_version": "1.0"})


def test_versions_name_what_decides_the_bytes():
    assert set(library_versions()) == {"freqprep", "numcodecs", "pillow", "simplejpeg", "zarr"}


def test_array_names_and_dimensions_do_not_collide():
    assert not IMAGE_ARRAYS.keys() & OBJECT_ARRAYS.keys()
    for specs in (IMAGE_ARRAYS, OBJECT_ARRAYS):
        for name, spec in specs.items():
            if f"{name}_offset" in specs:
                assert spec.dtype == "uint8" and specs[f"{name}_offset"].dtype == "int64"
