"""Mutants of stores that contradict themselves behind right hashes."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import synthetic
from fuzz import sealed
from fuzz.mutation import mutant, mutant_document

import freqprep
from freqprep.engines import Workers
from freqprep.errors import FreqprepError
from freqprep.store.layout import shard_number
from freqprep.store.manifest import GROUP_DOCUMENT, MANIFEST, Manifest, content_id
from freqprep.store.summary import summarize
from freqprep.store.verify import verify

_VALUES: dict[str, tuple[Any, ...]] = {
    "shape": ([], [0], [1], [-1], [2**31], [2**62], [12, 2], [12, 1, 1], 12, "12", [True], [1.0]),
    "chunk_grid": ({}, {"name": "regular"}, "regular", {"name": "rectilinear"}),
    "chunk_key_encoding": ({"name": "v2"}, {}, {"name": "default", "configuration": {}}),
    "data_type": ("int8", "uint64", "float16", "complex64", "string", "r24", "bool", {}, None),
    "fill_value": (None, "NaN", "0x00", [0, 0], 1e300, -1, 2**70, True, "a", {}),
    "codecs": (
        [], [{}], [{"name": "bytes"}], ["bytes", "zstd"], [{"name": "gzip"}], [{"name": "blosc"}],
        [{"name": "bytes", "configuration": {"endian": "big"}}, {"name": "zstd"}],
        [{"name": "bytes"}, {"name": "zstd", "configuration": {"level": 10**9}}],
        [{"name": "transpose", "configuration": {"order": [5]}}, {"name": "bytes"}],
        [{"name": "sharding_indexed"}],
    ),
    "dimension_names": ([], ["a"] * 99, [None], "image", [{}]),
    "attributes": ({}, None, [], {"a": "b" * 999}),
    "zarr_format": (2, 4, "3", None),
    "node_type": ("group", None, "array "),
    "storage_transformers": ([{}], [{"name": "x"}], None),
}  # fmt: skip


class Whole(NamedTuple):
    """A store as it was written."""

    store: Path
    files: dict[str, bytes]  # of its split
    channels: int


def seeds(folder: Path) -> Whole:
    source = synthetic.image_folder(folder / "images", {"train": 4}, corrupt=1)
    store = synthetic.make(source, folder / "mutant.zarr", size=16)
    split = freqprep.open_store(store)["train"]
    return Whole(store, synthetic.contents(store / "train"), len(split.attributes.channels))


def run(whole: Whole, chance: random.Random, folder: Path) -> str:
    """Change a file behind right hashes; verify the store, or read from it."""
    split = whole.store / "train"
    files = dict(whole.files)
    manifest = json.loads(files.pop(MANIFEST))
    del files[GROUP_DOCUMENT]
    if chance.random() < 0.35:
        manifest = _manifest(manifest, chance)
    for _ in range(chance.choice((0, 1, 1, 2)) or not _differs(manifest, whole)):
        name = chance.choice(list(files))
        files[name] = _file(name, whole, chance)
        manifest = _noted(manifest, name, files[name])
    try:
        for name, data in files.items():
            if data is not whole.files[name]:
                (split / name).write_bytes(data)
        _seal(split, manifest)
        return _read(whole.store, chance)
    finally:
        for name, data in whole.files.items():
            if files.get(name) is not data:
                (split / name).write_bytes(data)


def _differs(manifest: Any, whole: Whole) -> bool:
    return bool(manifest != json.loads(whole.files[MANIFEST]))


def _manifest(manifest: Any, chance: random.Random) -> Any:
    """Change the attributes, or the names, lengths and hashes of files."""
    if chance.random() < 0.6:
        return {**manifest, "attributes": mutant_document(manifest["attributes"], chance)}
    return mutant_document(manifest, chance)


def _noted(manifest: Any, name: str, data: bytes) -> Any:
    """Return a manifest that has the length and the hash of a file, if it still lists files."""
    if isinstance(manifest, dict) and isinstance(manifest.get("files"), dict):
        manifest["files"][name] = [len(data), content_id(data)]
    return manifest


def _file(name: str, whole: Whole, chance: random.Random) -> bytes:
    data = whole.files[name]
    if name.endswith(GROUP_DOCUMENT):
        return _array_document(data, chance)
    if shard_number(name) is not None:
        return sealed.shard(data, chance, whole.channels)
    return sealed.with_crc32c(sealed.frame(data[:-4], chance))


def _array_document(data: bytes, chance: random.Random) -> bytes:
    found = json.loads(data)
    for _ in range(chance.choice((1, 1, 2))):
        key = chance.choice(list(found))
        if chance.random() < 0.6 and key in _VALUES:
            found[key] = chance.choice(_VALUES[key])
        elif chance.random() < 0.3 and isinstance(found.get("shape"), list):
            found["shape"] = [chance.choice((0, 1, 2**20, 2**40)) for _ in found["shape"]]
        else:
            found = mutant_document(found, chance)
            if not isinstance(found, dict) or not found:
                break
    return json.dumps(found).encode() if chance.random() < 0.95 else mutant(data, chance)


def _read(store: Path, chance: random.Random) -> str:
    if chance.random() < 0.3:
        return "a problem found" if verify(store, Workers(1)).problems else "accepted"
    opened = freqprep.open_store(store)["train"]
    if chance.random() < 0.3:
        summarize(opened)
    else:
        opened.read_codes(np.flatnonzero(opened.valid)[:3])
        assert opened.labels.size == len(list(opened.keys)) == len(opened)
    return "read"


def _seal(split: Path, document: Any) -> None:
    """Write a manifest, and the group's document that follows from it if one does."""
    try:
        manifest = Manifest(document["attributes"], {})
        data = json.dumps(document).encode()
        group = {"attributes": {**manifest.attributes, "content_id": content_id(data)}}
    except (KeyError, TypeError, FreqprepError):
        data, group = json.dumps(document).encode(), {"attributes": {}}
    (split / MANIFEST).write_bytes(data)
    text = json.dumps({**group, "zarr_format": 3, "node_type": "group"})
    (split / GROUP_DOCUMENT).write_text(text)
