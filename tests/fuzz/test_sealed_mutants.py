"""Mutants behind right checksums: functions of their seed, most with every checksum right."""

import io
import json
import random
import tarfile
import zipfile
import zlib
from collections.abc import Callable

import google_crc32c
import numpy as np
import pytest
from coco_folder import coco_folder
from fuzz import annotations, arrays, sealed, tars
from numcodecs import zstd
from synthetic import encoded, pixels
from tar_shards import tar_of

from freqprep.spectrum.channels import CHANNELS
from freqprep.spectrum.moments import Moments
from freqprep.storage.document_hash import HASH_KEY, with_hash, without_hash
from freqprep.store.journal import RowResults, ShardResult, line_of
from freqprep.store.records import Header, headers, record_of
from freqprep.store.shard import encode

MUTANTS = 80
Mutate = Callable[[bytes, random.Random], bytes]

ENTRY = ShardResult(0, "0" * 64, 9, RowResults.empty(4), Moments.zero(CHANNELS))
IMAGE = encoded(pixels(1, 9, 17))
TAR = tar_of([("1.jpg", IMAGE), ("1.cls", b"0")])


def array() -> bytes:
    out = io.BytesIO()
    np.save(out, np.arange(9))
    return out.getvalue()


def packed() -> bytes:
    out = io.BytesIO()
    np.savez(out, a=np.arange(9), b=np.zeros((2, 2)))
    return out.getvalue()


def annotated(folder) -> bytes:
    (path,) = (coco_folder(folder / "coco") / "annotations").iterdir()
    return path.read_bytes()


def in_archive(data: bytes, chance: random.Random) -> bytes:
    return sealed.archive(data, chance, lambda _, content, chance: arrays.npy(content, chance))


def in_shard(data: bytes, chance: random.Random) -> bytes:
    return sealed.shard(data, chance, 3)


FILES: dict[str, tuple[Callable, Mutate]] = {
    "document": (lambda _: json.dumps(with_hash({"a": [1, {"b": "c"}]})).encode(), sealed.document),
    "png": (lambda _: encoded(pixels(2, 9, 17), "PNG"), sealed.png),
    "archive": (lambda _: packed(), in_archive),
    "array": (lambda _: array(), arrays.npy),
    "shard": (lambda _: b"".join(encode(np.ones((3, 4, 2, 2), np.int8), 1)), in_shard),
    "lines": (lambda _: line_of(ENTRY), sealed.lines),
    "record": (lambda _: record_of(ENTRY), sealed.record),
    "frame": (lambda _: bytes(zstd.compress(b"a" * 99, 1)), sealed.frame),
    "tar": (lambda _: TAR, tars.tar),
    "tar in a tar": (lambda _: tar_of([("n01440764.tar", TAR)]), tars.inner),
    "annotations": (annotated, annotations.coco),
}


def mutants(name: str, folder) -> list[bytes]:
    make, mutate = FILES[name]
    data = make(folder)
    return [mutate(data, random.Random(seed)) for seed in range(MUTANTS)]


@pytest.mark.parametrize("name", FILES)
def test_mutants_are_functions_of_their_seed(name, tmp_path):
    first = mutants(name, tmp_path / "1")
    assert first == mutants(name, tmp_path / "2")
    assert len({*first}) > MUTANTS * 0.6


def document_is_right(data: bytes) -> bool:
    found = json.loads(data)
    return HASH_KEY in found and bool(without_hash(found))


def png_is_right(data: bytes) -> bool:
    at = 8
    while at < len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if zlib.crc32(data[at + 4 : end]).to_bytes(4, "big") != data[end : end + 4]:
            return False
        at = end + 4
    return True


def archive_is_right(data: bytes) -> bool:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.testzip() is None


def shard_is_right(data: bytes) -> bool:
    index, checksum = data[-16 * 3 - 4 : -4], data[-4:]
    return google_crc32c.value(index).to_bytes(4, "little") == checksum


def line_is_right(data: bytes) -> bool:
    checksum, _, line = data.rstrip(b"\n").partition(b" ")
    return checksum == b"%08x" % zlib.crc32(line)


def record_is_right(data: bytes) -> bool:
    return isinstance(next(iter(headers(io.BytesIO(data), len(data)))), Header)


def tar_is_right(data: bytes) -> bool:
    tarfile.TarInfo.frombuf(data[: tarfile.BLOCKSIZE], "utf-8", "surrogateescape")
    return True


RIGHT: dict[str, Callable[[bytes], bool]] = {
    "document": document_is_right,
    "png": png_is_right,
    "archive": archive_is_right,
    "shard": shard_is_right,
    "lines": line_is_right,
    "record": record_is_right,
    "tar": tar_is_right,
    "tar in a tar": tar_is_right,
}


@pytest.mark.parametrize("name", RIGHT)
def test_most_mutants_have_right_checksums_and_some_do_not(name, tmp_path):
    found = []
    for data in mutants(name, tmp_path):
        try:
            found.append(RIGHT[name](data))
        except Exception:
            found.append(False)
    assert 0.5 * MUTANTS < sum(found) < MUTANTS


def test_tables_are_changed_in_each_way(tmp_path):
    pytest.importorskip("pyarrow")
    import pyarrow as pa
    import pyarrow.parquet as pq
    from fuzz import tables
    from parquet_tables import labelled

    data = labelled(tmp_path / "t.parquet", [0, 1, 2]).read_bytes()
    changed = [tables.parquet(data, random.Random(seed)) for seed in range(MUTANTS)]
    assert changed == [tables.parquet(data, random.Random(seed)) for seed in range(MUTANTS)]
    schemas = set()
    for one in changed:
        try:
            schemas.add(str(pq.read_schema(io.BytesIO(one))))
        except (pa.ArrowException, OSError, ValueError):
            schemas.add("none")
    assert "none" in schemas and len(schemas) > 10
