"""Small files of a split: arrays, the document of the coefficients, and the manifest of all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from freqprep.storage.disk import FileEntry
from freqprep.storage.paths import hash_file, walk_files
from freqprep.store.manifest import GROUP_DOCUMENT, Manifest, content_id, group_document
from freqprep.store.schema import (
    COEFFICIENTS,
    DEFAULT_LEVEL,
    ArraySpec,
    SplitAttributes,
    chunk_shape,
    shard_shape,
)

_SMALL_CHUNK_ROWS = 2**20


class WrittenArrays(NamedTuple):
    """The manifest of a split whose arrays are written, and the documents to write last.

    Attributes
    ----------
    manifest : Manifest
    manifest_bytes : bytes
    content_id : str
    group_document : bytes
        Content of the split's ``zarr.json``.
    """

    manifest: Manifest
    manifest_bytes: bytes
    content_id: str
    group_document: bytes


def write_arrays(
    folder: Path,
    attributes: SplitAttributes,
    arrays: Mapping[str, np.ndarray],
    specs: Mapping[str, ArraySpec],
    shards: Mapping[str, FileEntry],
) -> WrittenArrays:
    """Write the arrays of a split into its folder, without the coefficients' shards.

    Parameters
    ----------
    folder : Path
        Local folder; it may have the shards.
    attributes : SplitAttributes
    arrays : mapping of str to ndarray
    specs : mapping of str to ArraySpec
        Type and dimensions of each array.
    shards : mapping of str to FileEntry
        Path of each shard relative to the split -> length and hash.

    Returns
    -------
    WrittenArrays
    """
    _write_all(folder, attributes, arrays, specs)
    small = set(walk_files(folder)) - set(shards) - {GROUP_DOCUMENT}
    files = {**shards, **{path: hash_file(folder / path) for path in small}}
    manifest = Manifest(attributes.to_dict(), files)
    data = manifest.to_bytes()
    identity = content_id(data)
    return WrittenArrays(manifest, data, identity, group_document(manifest, identity, folder))


def _write_all(
    folder: Path,
    attributes: SplitAttributes,
    arrays: Mapping[str, np.ndarray],
    specs: Mapping[str, ArraySpec],
) -> None:
    encoding = attributes.encoding
    shards = shard_shape(encoding.geometry, len(attributes.channels))
    _create_array(
        folder,
        COEFFICIENTS,
        attributes.level,
        shape=(attributes.images, *shards[1:]),
        shards=shards,
        chunks=chunk_shape(encoding.geometry),
        dtype=encoding.dtype,
        dimension_names=("image", "channel", "row", "column"),
    )
    for name, spec in specs.items():
        data = np.ascontiguousarray(arrays[name], dtype=spec.dtype)
        rows = max(1, min(len(data), _SMALL_CHUNK_ROWS))
        array = _create_array(
            folder,
            name,
            DEFAULT_LEVEL,
            shape=data.shape,
            chunks=(rows, *data.shape[1:]),
            dtype=data.dtype,
            dimension_names=spec.dimensions,
        )
        array[...] = data


def _create_array(folder: Path, name: str, level: int, **layout: Any) -> Any:
    """Create an array of a split with the codecs and fill value of the format."""
    import zarr  # the slowest import of all; only the end of a conversion needs it
    from zarr.codecs import Crc32cCodec, ZstdCodec
    from zarr.storage import LocalStore

    return zarr.create_array(
        LocalStore(folder),
        name=name,
        fill_value=0,
        compressors=[ZstdCodec(level=level), Crc32cCodec()],
        config={"write_empty_chunks": True},
        **layout,
    )
