"""A shard's bytes: those that zarr-python writes, and no damage goes unnoticed."""

import os
import tempfile
from pathlib import Path

import google_crc32c
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from numcodecs import zstd
from zarr.codecs import Crc32cCodec, ZstdCodec

from freqprep.errors import CorruptStoreError, ShardMissingError
from freqprep.spectrum.channels import CHANNELS
from freqprep.store.schema import DEFAULT_LEVEL, ROWS_PER_SHARD
from freqprep.store.shard import ShardFile, encode, index_bytes, join

GRID = (2, 3)
INDEX_BYTES = index_bytes(CHANNELS)
SHAPE = (ROWS_PER_SHARD, *GRID)


def codes(dtype: str, grid: tuple[int, int] = GRID, seed: int = 0) -> np.ndarray:
    """Random codes, some channels all zero, the last rows empty."""
    rng = np.random.default_rng(seed)
    array = rng.normal(0, 20, (CHANNELS, ROWS_PER_SHARD, *grid)).round().clip(-128, 127)
    array[rng.random(CHANNELS) < 0.2] = 0
    array[:, 100:] = 0
    return array.astype(dtype)


def write(path: Path, parts: list[bytes]) -> ShardFile:
    data = b"".join(parts)
    path.write_bytes(data)
    return ShardFile(path, SHAPE, CHANNELS, np.dtype("int8"), len(data))


def read(file: ShardFile, positions: range | list[int]) -> dict[int, np.ndarray]:
    with file:
        return dict(file.read(positions, lambda _: np.empty(SHAPE, "int8")))


def index_of(data: bytes) -> np.ndarray:
    return np.frombuffer(data[-INDEX_BYTES:-4], "<u8").reshape(CHANNELS, 2)


def with_index(data: bytes, entries: np.ndarray) -> bytes:
    """The shard with another index, whose checksum is right."""
    index = entries.astype("<u8").tobytes()
    return data[:-INDEX_BYTES] + index + google_crc32c.value(index).to_bytes(4, "little")


@pytest.fixture(scope="module")
def whole() -> bytes:
    return b"".join(encode(codes("int8"), DEFAULT_LEVEL))


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("grid", [(1, 1), GRID, (4, 4)])
def test_the_bytes_are_those_of_zarr_python(tmp_path, dtype, grid):
    array = codes(dtype, grid)
    by_zarr = zarr.create_array(
        tmp_path / "array",
        shape=(ROWS_PER_SHARD, CHANNELS, *grid),
        shards=(ROWS_PER_SHARD, CHANNELS, *grid),
        chunks=(ROWS_PER_SHARD, 1, *grid),
        dtype=dtype,
        fill_value=0,
        compressors=[ZstdCodec(level=DEFAULT_LEVEL), Crc32cCodec()],
        config={"write_empty_chunks": True},
    )
    by_zarr[...] = array.swapaxes(0, 1)
    written = (tmp_path / "array/c/0/0/0/0").read_bytes()
    assert b"".join(encode(array, DEFAULT_LEVEL)) == written


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_chunks_follow_one_another_without_a_gap(dtype):
    data = b"".join(encode(codes(dtype), DEFAULT_LEVEL))
    entries = index_of(data).astype(np.int64)
    assert entries[0, 0] == 0
    assert (entries[1:, 0] == entries[:-1].sum(axis=1)).all()
    assert entries[-1].sum() == len(data) - INDEX_BYTES


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, CHANNELS - 1), min_size=1, max_size=20, unique=True))
def test_any_positions_read_back(positions):
    array = codes("int8")
    with tempfile.TemporaryDirectory() as folder:
        found = read(write(Path(folder, "shard"), list(encode(array, DEFAULT_LEVEL))), positions)
    assert sorted(found) == sorted(positions)
    for position, chunk in found.items():
        assert np.array_equal(chunk, array[position])


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.sets(st.integers(0, CHANNELS - 1), min_size=1))
def test_chunks_joined_are_the_shard_of_those_channels(whole, kept):
    positions = sorted(kept)
    with (
        tempfile.TemporaryDirectory() as folder,
        write(Path(folder, "shard"), [whole]) as file,
    ):
        joined = b"".join(join(file.chunks(positions)))
    assert joined == b"".join(encode(codes("int8")[positions], DEFAULT_LEVEL))


def test_a_chunk_of_other_content_is_not_copied(tmp_path):
    array = codes("int8")
    short = encode([array[0][:7], *array[1:]], DEFAULT_LEVEL)
    with (
        write(tmp_path / "shard", list(short)) as file,
        pytest.raises(CorruptStoreError, match="channel 0 is not of its chunk's length"),
    ):
        list(file.chunks([0]))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.data())
def test_any_flipped_bit_is_found(whole, data):
    in_index = data.draw(st.booleans())
    first = 8 * (len(whole) - INDEX_BYTES) if in_index else 0
    bit = data.draw(st.integers(first, 8 * len(whole) - 1))
    damaged = bytearray(whole)
    damaged[bit // 8] ^= 1 << bit % 8
    entries = index_of(whole).astype(np.int64)
    hit = int(np.searchsorted(entries[:, 0], bit // 8, side="right")) - 1
    with tempfile.TemporaryDirectory() as folder, pytest.raises(CorruptStoreError):
        read(write(Path(folder, "shard"), [bytes(damaged)]), [hit])


def test_channels_beside_a_damaged_one_still_read(tmp_path, whole):
    start = int(index_of(whole)[50, 0])
    damaged = bytearray(whole)
    damaged[start] ^= 1
    positions = [49, 51]
    found = read(write(tmp_path / "shard", [bytes(damaged)]), positions)
    assert all(np.array_equal(found[p], codes("int8")[p]) for p in positions)


@pytest.mark.parametrize("change", [-1, 1, -INDEX_BYTES, 4096], ids=str)
def test_a_file_of_another_length_is_refused(tmp_path, whole, change):
    path = tmp_path / "shard"
    path.write_bytes(whole[:change] if change < 0 else whole + bytes(change))
    with pytest.raises(CorruptStoreError, match="the manifest says"):
        ShardFile(path, SHAPE, CHANNELS, np.dtype("int8"), len(whole))


@pytest.mark.parametrize("length", [0, 3, INDEX_BYTES - 1])
def test_a_file_too_short_for_an_index_is_refused(tmp_path, whole, length):
    with pytest.raises(CorruptStoreError):
        write(tmp_path / "shard", [whole[:length]])


def test_a_file_that_is_cut_while_it_is_open_is_refused(tmp_path, whole):
    file = write(tmp_path / "shard", [whole])
    os.truncate(tmp_path / "shard", 10)
    with pytest.raises(CorruptStoreError, match="ends after"):
        read(file, range(CHANNELS))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ShardMissingError, match="shard-7"):
        ShardFile(tmp_path / "shard-7", SHAPE, CHANNELS, np.dtype("int8"), 10)
    assert issubclass(ShardMissingError, FileNotFoundError)


HUGE = 2**64 - 1


def overlap(entries: np.ndarray) -> None:
    entries[3] = entries[2]


def swap(entries: np.ndarray) -> None:
    entries[[3, 4]] = entries[[4, 3]]


def absent(entries: np.ndarray) -> None:
    entries[3] = HUGE, HUGE


def wrap_around(entries: np.ndarray) -> None:
    entries[3, 1] = HUGE - int(entries[3, 0]) + 1


def beyond(entries: np.ndarray) -> None:
    entries[-1, 1] += 1


def gap(entries: np.ndarray) -> None:
    entries[0, 0] += 1
    entries[0, 1] -= 1


def nothing(entries: np.ndarray) -> None:
    entries[1, 0] = entries[0, 0]
    entries[1, 1] += entries[0, 1]
    entries[0, 1] = 0


def all_zero(entries: np.ndarray) -> None:
    entries[:] = 0


HOSTILE = [overlap, swap, absent, wrap_around, beyond, gap, nothing, all_zero]


@pytest.mark.parametrize("change", HOSTILE, ids=lambda change: change.__name__)
def test_a_hostile_index_with_the_right_checksum_is_refused(tmp_path, whole, change):
    entries = index_of(whole).copy()
    change(entries)
    with pytest.raises(CorruptStoreError):
        write(tmp_path / "shard", [with_index(whole, entries)])


def with_frame(frame: bytes) -> list[bytes]:
    """A shard whose first chunk is the given frame; every checksum is right."""
    parts = list(encode(codes("int8"), DEFAULT_LEVEL))
    parts[0] = frame + google_crc32c.value(frame).to_bytes(4, "little")
    lengths = [len(part) for part in parts[:-1]]
    entries = np.stack([np.cumsum([0, *lengths[:-1]]), lengths], axis=1)
    return [with_index(b"".join(parts), entries)]


CHUNK = np.zeros(SHAPE, np.int8)
HALF = np.zeros(CHUNK.size // 2, np.int8)
FRAMES = {
    "shorter": zstd.compress(HALF, 1),
    "longer": zstd.compress(np.zeros(CHUNK.size + 1, np.int8), 1),
    "empty": zstd.compress(np.zeros(0, np.int8), 1),
    "two": zstd.compress(HALF, 1) * 2,
    "cut": zstd.compress(CHUNK, 1)[:-1],
    "other": b"this is not a zstd frame",
    "bomb": zstd.compress(np.zeros(2**27, np.int8), 1),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_a_frame_of_another_length_or_kind_is_refused(tmp_path, kind):
    with pytest.raises(CorruptStoreError, match="stored channel 0"):
        read(write(tmp_path / "shard", with_frame(FRAMES[kind])), [0])
