"""Files of a split's small arrays: each is read once, checked, and decoded from memory."""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from freqprep.errors import CorruptStoreError, FreqprepError, ShardMissingError
from freqprep.storage.concurrency import for_each
from freqprep.storage.disk import FileEntry
from freqprep.storage.paths import AnyPath
from freqprep.storage.ranged_file import REPAIR
from freqprep.store.manifest import GROUP_DOCUMENT, Manifest, read_manifest, replaced
from freqprep.store.schema import IMAGE_ARRAYS, OBJECT_ARRAYS

RESTORE = REPAIR

_TYPES = {spec.dtype for spec in (*IMAGE_ARRAYS.values(), *OBJECT_ARRAYS.values())}
_MOST_CHUNK_BYTES = 2**27


class SmallFiles:
    """The files of a split that its manifest lists by name: read one by one, and checked.

    Parameters
    ----------
    folder : Path or ObjectPath
        Folder of the split.
    manifest : Manifest
    content_id : str
    """

    def __init__(self, folder: AnyPath, manifest: Manifest, content_id: str) -> None:
        self.folder, self.manifest, self.content_id = folder, manifest, content_id

    @property
    def listed(self) -> Mapping[str, FileEntry]:
        """Length and hash of each file."""
        return self.manifest.files

    def read(self, names: Sequence[str]) -> list[bytes]:
        """Read files, several at a time; their bytes must be those that the manifest states.

        Raises
        ------
        ShardMissingError, CorruptStoreError
            They are not.
        StoreError
            They are not, because another split is there since this one was opened.
        """
        paths = [self.folder / name for name in names]
        try:
            content = zip(names, paths, for_each(_read, paths), strict=True)
            return [_checked(path, data, self.listed[name]) for name, path, data in content]
        except (ShardMissingError, CorruptStoreError):
            self._refuse_replaced()
            raise

    def _refuse_replaced(self) -> None:
        try:
            _, now = read_manifest(self.folder)
        except (FreqprepError, OSError):
            return  # no split is there: the file itself is what to name
        if now != self.content_id:
            raise replaced(self.folder, self.content_id) from None


class ArrayLayout(NamedTuple):
    """Layout of an array, as its document states it.

    Attributes
    ----------
    shape : tuple of int
    chunk : tuple of int
        Shape of a chunk.
    dtype : dtype
    """

    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    dtype: np.dtype


def document_name(name: str) -> str:
    """Return the path of an array's document relative to its split."""
    return f"{name}/{GROUP_DOCUMENT}"


def array_layout(files: SmallFiles, name: str, document: bytes) -> ArrayLayout:
    """Parse the document of a small array, before anything is allocated.

    Raises
    ------
    CorruptStoreError
        It is not the document of a small array, or the manifest does not list as many chunks.
    """
    what = f"array {name} of {files.folder}"
    try:
        layout = _layout(json.loads(document))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CorruptStoreError(
            f"{what} has a document that cannot be read: {error}", RESTORE
        ) from None
    sides = zip(layout.shape, layout.chunk, strict=True)
    needed = math.prod(-(-length // side) for length, side in sides)
    listed = sum(path.startswith(f"{name}/c/") for path in files.listed)
    if listed != needed:
        raise CorruptStoreError(f"{what} has {listed} chunks, and {needed} are needed", RESTORE)
    return layout


def _layout(document: dict[str, Any]) -> ArrayLayout:
    grid = document["chunk_grid"]["configuration"]["chunk_shape"]
    shape, chunk = (tuple(map(operator.index, sizes)) for sizes in (document["shape"], grid))
    if (kind := document["data_type"]) not in _TYPES:
        raise ValueError(f"values of type {kind!r:.60}")
    dtype = np.dtype(kind)
    if len(shape) != len(chunk) or min(chunk) < 1 or min(shape) < 0:
        raise ValueError(f"chunks of {chunk} in an array of {shape}")
    if math.prod(chunk) * dtype.itemsize > _MOST_CHUNK_BYTES:
        raise ValueError(f"chunks of {chunk}")
    return ArrayLayout(shape, chunk, dtype)


def decoded(files: Mapping[str, bytes], rows: slice, what: str) -> np.ndarray:
    """Decode rows of an array from the content of its document and of the chunks that hold them.

    Parameters
    ----------
    files : mapping of str to bytes
        Content by name inside the array's folder.
    rows : slice
    what : str
        The array, for messages.

    Returns
    -------
    ndarray

    Raises
    ------
    CorruptStoreError
        The files are not those of such an array.
    """
    import zarr  # the slowest import of all; loader and selections do not need it
    from zarr.abc.buffer import Buffer as AnyBuffer
    from zarr.buffer.cpu import Buffer
    from zarr.storage import MemoryStore

    buffers: dict[str, AnyBuffer] = {key: Buffer.from_bytes(data) for key, data in files.items()}
    try:
        array = zarr.open_array(MemoryStore(buffers, read_only=True), mode="r")
        return np.asarray(array[rows])
    except Exception as error:  # checksum and decoding errors of many types
        why = str(error) or type(error).__name__
        raise CorruptStoreError(f"{what} cannot be read: {why}", RESTORE) from None


def _read(path: AnyPath) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ShardMissingError(f"{path} is missing", RESTORE) from None


def _checked(path: AnyPath, data: bytes, entry: FileEntry) -> bytes:
    if FileEntry.of(data) != entry:
        raise CorruptStoreError(f"{path} is not what the manifest says", RESTORE)
    return data
