"""Codecs and chunk shapes on one real shard: bytes, encoding and decoding time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import zarr
from numcodecs import Blosc, Zstd
from numcodecs.abc import Codec
from zarr.codecs import Crc32cCodec, ZstdCodec
from zarr.storage import MemoryStore

from freqprep.convert.request import Request
from freqprep.convert.run import convert
from freqprep.spectrum.channels import STORED_POSITION, published
from freqprep.store import shard
from freqprep.store.reader import open_store
from freqprep.store.schema import DEFAULT_LEVEL
from tests.benchmarks.table import show

_ROUNDS = 3
_CODECS: list[tuple[str, Codec]] = [
    ("zstd 1", Zstd(1)),
    ("zstd 3", Zstd(3)),
    ("zstd 6", Zstd(6)),
    ("blosc zstd 1, bitshuffle", Blosc("zstd", 1, Blosc.BITSHUFFLE)),
    ("blosc zstd 1, no shuffle", Blosc("zstd", 1, Blosc.NOSHUFFLE)),
    ("blosc lz4 5, bitshuffle", Blosc("lz4", 5, Blosc.BITSHUFFLE)),
    ("blosc lz4 5, no shuffle", Blosc("lz4", 5, Blosc.NOSHUFFLE)),
]
_SHAPES = [(128, 1), (64, 1), (32, 1), (16, 1), (128, 4), (1, 192), (1, 1)]


def run(data: Path, folder: Path) -> dict[str, object]:
    convert(Request("imagenet", data / "imagenet", folder / "s.zarr"))
    split = open_store(folder / "s.zarr")["train"]
    codes = np.zeros((128, 192, 64, 64), np.int8)
    raster = split.read_codes(range(128))
    codes[:, list(STORED_POSITION)] = raster
    source = float(split.array("source_bytes")[:128].mean())
    picked = {STORED_POSITION[index] for index in published("square-24").indices}
    header = ("", "192: KB/image", "x source", "24: KB/image", "encode ms", "decode 24 images/s")
    by_codec = [
        (name, *_measure(codes, (128, 1), codec, picked, source)) for name, codec in _CODECS
    ]
    print("chunks of 128 images x 1 channel")
    show(header, by_codec)
    by_shape = [
        (f"{n} images x {c} channels", *_measure(codes, (n, c), Zstd(1), picked, source))
        for n, c in _SHAPES
    ]
    ours, theirs = _shard_encoders(codes)
    print(f"\nencoding the shard, CPU ms an image: {ours:.2f} here, {theirs:.2f} by zarr-python")
    print("\nzstd 1; 24 = every chunk that holds one of the published 24")
    show(header, by_shape)
    return {"codecs": by_codec, "shapes": by_shape, "shard_encoders": (ours, theirs)}


def _shard_encoders(codes: np.ndarray) -> tuple[float, float]:
    """CPU milliseconds per image: freqprep's encoder, and zarr-python writing the same array."""
    by_channel = np.ascontiguousarray(codes.transpose(1, 0, 2, 3))
    array = zarr.create_array(
        MemoryStore(),
        shape=codes.shape,
        shards=codes.shape,
        chunks=(codes.shape[0], 1, *codes.shape[2:]),
        dtype=codes.dtype,
        compressors=[ZstdCodec(level=DEFAULT_LEVEL), Crc32cCodec()],
        config={"write_empty_chunks": True},
    )

    def write() -> None:
        array[...] = codes

    ours = _best(lambda: [len(part) for part in shard.encode(by_channel, DEFAULT_LEVEL)])
    return ours / len(codes) * 1e3, _best(write) / len(codes) * 1e3


def _measure(
    codes: np.ndarray, shape: tuple[int, int], codec: Codec, picked: set[int], source: float
) -> tuple[float, ...]:
    images, channels = shape
    chunks = [
        (np.ascontiguousarray(codes[i : i + images, c : c + channels]), range(c, c + channels))
        for i in range(0, len(codes), images)
        for c in range(0, codes.shape[1], channels)
    ]
    encoded: list[bytes] = []

    def encode() -> None:
        encoded[:] = [bytes(codec.encode(chunk)) for chunk, _ in chunks]

    encode_seconds = _best(encode)
    wanted = [e for e, (_, held) in zip(encoded, chunks, strict=True) if picked & set(held)]
    out = np.empty_like(chunks[0][0])
    decode_seconds = _best(lambda: [codec.decode(one, out) for one in wanted])
    every = sum(map(len, encoded)) / len(codes)
    return (
        every / 1e3,
        every / source,
        sum(map(len, wanted)) / len(codes) / 1e3,
        encode_seconds / len(codes) * 1e3,
        len(codes) / decode_seconds,
    )


def _best(work: Callable[[], object]) -> float:
    times = []
    for _ in range(_ROUNDS):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)
