"""Small files of a split: arrays, the document of the coefficients, and the manifest of all.

Arrays are appended to in parts, so that those of a large split are never in memory as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from freqprep.ragged import Ragged
from freqprep.storage.disk import FileEntry
from freqprep.storage.paths import hash_file, walk_files
from freqprep.store import schema
from freqprep.store.layout import shard_name, shard_number
from freqprep.store.manifest import GROUP_DOCUMENT, Manifest, content_id, group_document
from freqprep.store.schema import (
    COEFFICIENTS,
    DEFAULT_LEVEL,
    ArraySpec,
    SplitAttributes,
    chunk_shape,
    shard_shape,
)
from freqprep.store.shard_table import SHARDS_PER_PART, part_name, part_of

SMALL_CHUNK_ROWS = 2**20


class WrittenArrays(NamedTuple):
    """The manifest of a split whose arrays are written, and the documents to write last.

    Attributes
    ----------
    manifest : Manifest
    manifest_bytes : bytes
    content_id : str
    group_document : bytes
        Content of the split's ``zarr.json``.
    shard_bytes : ndarray of int64, shape (shards,)
        Lengths of the shards.
    """

    manifest: Manifest
    manifest_bytes: bytes
    content_id: str
    group_document: bytes
    shard_bytes: np.ndarray


class SplitWriter:
    """Writer of a split's arrays into its folder, without the coefficients' shards.

    Parameters
    ----------
    folder : Path
        Local folder; it may have the shards.
    attributes : SplitAttributes
        Those of the plan.
    """

    def __init__(self, folder: Path, attributes: SplitAttributes) -> None:
        self.folder, self._attributes = folder, attributes
        self._arrays: dict[str, _ArrayWriter] = {}
        self._shards: dict[str, FileEntry] = {}  # of a simple manifest
        self._lengths: list[np.ndarray] = []
        self._waiting: list[FileEntry] = []  # of the next part
        self._parts = 0
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

    def append(self, name: str, spec: ArraySpec, values: np.ndarray) -> None:
        """Append rows to an array.

        Parameters
        ----------
        name : str
        spec : ArraySpec
        values : ndarray, shape (rows, ...)
        """
        if name not in self._arrays:
            self._arrays[name] = _ArrayWriter(self.folder, name, spec)
        self._arrays[name].append(np.ascontiguousarray(values, dtype=spec.dtype))

    def add_shards(self, entries: Iterable[FileEntry]) -> None:
        """Add length and hash of the next shards."""
        entries = list(entries)
        first = sum(map(len, self._lengths))
        self._lengths.append(np.array([entry.file_bytes for entry in entries], np.int64))
        if not schema.is_large(self._attributes.images):
            names = (shard_name(first + index) for index in range(len(entries)))
            self._shards.update(zip(names, entries, strict=True))
            return
        self._waiting += entries
        while len(self._waiting) >= SHARDS_PER_PART:
            self._write_part()

    def finish(self, attributes: SplitAttributes) -> WrittenArrays:
        """Write what waits, and return the manifest of all."""
        for array in self._arrays.values():
            array.close()
        if self._waiting:
            self._write_part()
        files = dict(self._shards)
        for path in walk_files(self.folder):
            if path != GROUP_DOCUMENT and shard_number(path) is None:
                files[path] = hash_file(self.folder / path)
        manifest = Manifest(attributes.to_dict(), files)
        data = manifest.to_bytes()
        identity = content_id(data)
        document = group_document(manifest, identity, self.folder)
        lengths = np.concatenate([np.empty(0, np.int64), *self._lengths])
        return WrittenArrays(manifest, data, identity, document, lengths)

    def _write_part(self) -> None:
        path = self.folder / part_name(self._parts)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(part_of(self._waiting[:SHARDS_PER_PART]))
        del self._waiting[:SHARDS_PER_PART]
        self._parts += 1


class RaggedWriter:
    """A ragged array of the images that is appended to in parts.

    Parameters
    ----------
    writer : SplitWriter
    name : str
    """

    def __init__(self, writer: SplitWriter, name: str) -> None:
        self._writer, self._name, self._values = writer, name, -1

    def append(self, rows: Ragged) -> None:
        """Append rows."""
        specs, offset = schema.IMAGE_ARRAYS, f"{self._name}_offset"
        self._writer.append(self._name, specs[self._name], rows.values)
        if self._values < 0:
            self._values = 0
            self._writer.append(offset, specs[offset], rows.offsets[:1])
        self._writer.append(offset, specs[offset], rows.offsets[1:] + self._values)
        self._values += len(rows.values)


Fill = Callable[[SplitWriter], SplitAttributes]
"""Appends all arrays and shards to a writer, and returns the split's final attributes."""


class _ArrayWriter:
    """An array whose rows come in parts; whole chunks are written as soon as they are there."""

    def __init__(self, folder: Path, name: str, spec: ArraySpec) -> None:
        self._folder, self._name, self._spec = folder, name, spec
        self._waiting: list[np.ndarray] = []
        self._rows = self._written = 0
        self._array: Any = None

    def append(self, values: np.ndarray) -> None:
        self._waiting.append(values)
        self._rows += len(values)
        if self._rows - self._written >= SMALL_CHUNK_ROWS:
            waiting = self._joined()
            whole = len(waiting) - len(waiting) % SMALL_CHUNK_ROWS
            self._write(waiting[:whole])
            self._waiting = [waiting[whole:].copy()]

    def close(self) -> None:
        self._write(self._joined())
        if self._array.shape[0] != self._rows:
            self._array.resize((self._rows, *self._array.shape[1:]))

    def _joined(self) -> np.ndarray:
        return self._waiting[0] if len(self._waiting) == 1 else np.concatenate(self._waiting)

    def _write(self, values: np.ndarray) -> None:
        end = self._written + len(values)
        if self._array is None:
            self._array = _create_array(
                self._folder,
                self._name,
                DEFAULT_LEVEL,
                shape=values.shape,
                chunks=(max(1, min(len(values), SMALL_CHUNK_ROWS)), *values.shape[1:]),
                dtype=values.dtype,
                dimension_names=self._spec.dimensions,
            )
        elif end > self._array.shape[0]:
            self._array.resize((end, *values.shape[1:]))
        self._array[self._written : end] = values
        self._written = end


def _create_array(folder: Path, name: str, level: int, **layout: Any) -> Any:
    """Create an array of a split with the codecs and fill value of the format."""
    import zarr  # the slowest import of all; only the end of a conversion needs it
    from zarr.codecs import Crc32cCodec, ZstdCodec
    from zarr.storage import LocalStore

    class AnyFileSystem(LocalStore):
        """Folder of which this process is the only writer: what is new needs no hard link."""

        async def set_if_not_exists(self, key: str, value: Any) -> None:
            if not (self.root / key).exists():
                await self.set(key, value)

    return zarr.create_array(
        AnyFileSystem(folder),
        name=name,
        fill_value=0,
        compressors=[ZstdCodec(level=level), Crc32cCodec()],
        config={"write_empty_chunks": True},
        **layout,
    )
