"""Attributes survive the way through JSON, and odd ones are refused."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freqprep.errors import CorruptStoreError, FormatVersionError
from freqprep.images.encoding import Encoding
from freqprep.images.geometry import Geometry
from freqprep.spectrum.quantization import PRECISIONS
from freqprep.store.schema import (
    IMAGE_ARRAYS,
    OBJECT_ARRAYS,
    SplitAttributes,
    check_format,
    chunk_shape,
    library_versions,
    shard_shape,
)

orientations = st.sampled_from(["apply", "keep"])
sizes = st.integers(1, 4096)
geometries = st.one_of(
    st.builds(Geometry, st.just("fit"), sizes, st.none(), orientations),
    st.tuples(sizes, sizes, orientations).map(
        lambda drawn: Geometry("crop", min(drawn[:2]), max(drawn[:2]), drawn[2])
    ),
)
encodings = st.builds(Encoding, geometries, st.sampled_from(sorted(PRECISIONS)))
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
    )


@settings(max_examples=100, deadline=None, derandomize=True)
@given(attributes())
def test_attributes_survive_json(wanted):
    data = json.loads(json.dumps(wanted.to_dict()))
    assert SplitAttributes.from_dict(data) == wanted
    assert SplitAttributes.from_dict(data).to_dict() == wanted.to_dict()


@settings(max_examples=50, deadline=None, derandomize=True)
@given(encodings)
def test_an_encoding_survives_json_and_its_chunks_fill_its_shards(encoding):
    assert Encoding.from_dict(json.loads(json.dumps(encoding.to_dict()))) == encoding
    shard, chunk = shard_shape(encoding.geometry), chunk_shape(encoding.geometry)
    assert shard[0] == chunk[0] and chunk[1] == 1 and shard[2:] == chunk[2:]


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
        {"order": None},
        {"classes": []},
    ],
    ids=str,
)
def test_a_malformed_attribute_is_refused(change):
    with pytest.raises(CorruptStoreError, match="malformed"):
        SplitAttributes.from_dict(EXAMPLE.to_dict() | change)


@pytest.mark.parametrize("version", ["1.2", "2.0", "0.1", "1", "", "1.0.0", "1.-1", None])
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
