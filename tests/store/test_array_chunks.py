"""Small arrays are decoded as zarr-python decodes them, or refused."""

import json
import math

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.codecs import Crc32cCodec, ZstdCodec

from freqprep.errors import CorruptStoreError
from freqprep.store.array_chunks import array_layout, chunk_name, decoded
from freqprep.store.schema import IMAGE_ARRAYS, OBJECT_ARRAYS

TYPES = sorted({spec.dtype for spec in (*IMAGE_ARRAYS.values(), *OBJECT_ARRAYS.values())})
CHECKED = [ZstdCodec(level=1), Crc32cCodec()]


def make(folder, values, chunk, codecs=CHECKED):
    """Write an array by zarr-python; return its document, and its chunks by name."""
    made = zarr.create_array(
        folder, shape=values.shape, chunks=chunk, dtype=values.dtype, compressors=codecs,
        fill_value=0, config={"write_empty_chunks": True}, overwrite=True,
    )  # fmt: skip
    made[...] = values
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    return files.pop("zarr.json"), files


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_any_array_is_what_zarr_python_reads(tmp_path_factory, data):
    shape = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=3))
    chunk = [data.draw(st.integers(1, length)) for length in shape]
    dtype = data.draw(st.sampled_from(TYPES))
    seed = data.draw(st.integers(0, 99))
    values = np.random.default_rng(seed).integers(0, 200, shape).astype(dtype)
    codecs = data.draw(st.sampled_from([CHECKED, CHECKED[:1]]))
    folder = tmp_path_factory.mktemp("arrays") / "array"
    document, files = make(folder, values, chunk, codecs)
    layout = array_layout(document, len(files), "it")
    count = math.ceil(shape[0] / chunk[0])
    whole = decoded(files, range(count), layout, "it")
    assert whole.dtype == dtype and np.array_equal(whole, zarr.open_array(folder, mode="r")[...])
    first, stop = sorted(data.draw(st.integers(0, count)) for _ in range(2))
    part = decoded(files, range(first, stop), layout, "it")
    assert np.array_equal(part, values[first * chunk[0] : stop * chunk[0]])


@pytest.fixture
def array(tmp_path):
    return make(tmp_path, np.arange(12, dtype=np.int32), (5,))


def test_each_flipped_bit_of_a_chunk_is_found(array):
    document, files = array
    layout = array_layout(document, 3, "it")
    name = chunk_name([1])
    for position in range(8 * len(files[name])):
        wrong = bytearray(files[name])
        wrong[position // 8] ^= 1 << position % 8
        with pytest.raises(CorruptStoreError, match=f"it has a chunk {name} that"):
            decoded({**files, name: bytes(wrong)}, range(3), layout, "it")
    for length in range(len(files[name])):
        with pytest.raises(CorruptStoreError, match=f"it has a chunk {name} that"):
            decoded({**files, name: files[name][:length]}, range(3), layout, "it")


def test_a_chunk_of_another_name_is_missing(array):
    document, files = array
    files["c/7"] = files.pop("c/1")
    with pytest.raises(CorruptStoreError, match="it lacks c/1"):
        decoded(files, range(3), array_layout(document, 3, "it"), "it")


BYTES, ZSTD, CRC = ({"name": name} for name in ("bytes", "zstd", "crc32c"))


@pytest.mark.parametrize(
    "change",
    [
        {"zarr_format": 2},
        {"node_type": "group"},
        {"codecs": [{"name": "bytes", "configuration": {"endian": "big"}}, ZSTD, CRC]},
        {"codecs": [BYTES, CRC, ZSTD]},
        {"codecs": [{"name": "transpose", "configuration": {"order": [0]}}, BYTES, ZSTD, CRC]},
        {"storage_transformers": [{"name": "any"}]},
        {"chunk_key_encoding": {"name": "v2"}},
        {"chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}}},
        {"chunk_grid": {"name": "rectilinear"}},
        {"shape": []},
        {"shape": [True]},
        {"shape": [-12]},
        {"data_type": "float16"},
    ],
    ids=str,
)
def test_an_array_of_another_form_is_refused(array, change):
    document, _ = array
    assert array_layout(document, 3, "it").shape == (12,)
    with pytest.raises(CorruptStoreError, match=r"it has (a document that cannot|3 chunks)"):
        array_layout(json.dumps({**json.loads(document), **change}).encode(), 3, "it")
