"""Files of a split's small arrays: each is read once, checked, and decoded from memory."""

from __future__ import annotations

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
from freqprep.storage.regular_file import read_regular
from freqprep.storage.strict_json import parse
from freqprep.store.manifest import GROUP_DOCUMENT, Manifest, read_manifest, replaced
from freqprep.store.schema import IMAGE_ARRAYS, OBJECT_ARRAYS
from freqprep.store.zstd_frame import LONGEST_HEADER, content_bytes

RESTORE = REPAIR

_TYPES = {spec.dtype for spec in (*IMAGE_ARRAYS.values(), *OBJECT_ARRAYS.values())}
_MOST_CHUNK_BYTES = 2**27
_MOST_FILE_BYTES = 2**28
_CODECS = ["bytes", "zstd"], ["bytes", "zstd", "crc32c"]


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
        lengths = {p: self.listed[name].file_bytes for name, p in zip(names, paths, strict=True)}
        try:
            content = zip(
                names, paths, for_each(lambda p: _read(p, lengths[p]), paths), strict=True
            )
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

    @property
    def chunk_bytes(self) -> int:
        """Length of a decoded chunk; those at the end of an array are as long."""
        return math.prod(self.chunk) * self.dtype.itemsize


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
        layout = _layout(parse(document))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
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
    if (codecs := [codec["name"] for codec in document["codecs"]]) not in _CODECS:
        raise ValueError(f"codecs {codecs!r:.60}")
    return ArrayLayout(shape, chunk, dtype)


def decoded(files: Mapping[str, bytes], rows: slice, layout: ArrayLayout, what: str) -> np.ndarray:
    """Decode rows of an array from the content of its document and of the chunks that hold them.

    Parameters
    ----------
    files : mapping of str to bytes
        Content by name inside the array's folder.
    rows : slice
    layout : ArrayLayout
        Of its document: a chunk that would decode to another length is not decoded.
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

    for name, data in files.items():
        stated = content_bytes(data[:LONGEST_HEADER])
        if name != GROUP_DOCUMENT and stated != layout.chunk_bytes:
            raise CorruptStoreError(
                f"{what} has a chunk {name} that is not of {layout.chunk_bytes} bytes", RESTORE
            )
    buffers: dict[str, AnyBuffer] = {key: Buffer.from_bytes(data) for key, data in files.items()}
    try:
        array = zarr.open_array(MemoryStore(buffers, read_only=True), mode="r")
        return np.asarray(array[rows])
    except Exception as error:  # checksum and decoding errors of many types
        why = str(error) or type(error).__name__
        raise CorruptStoreError(f"{what} cannot be read: {why}", RESTORE) from None


def _read(path: AnyPath, stated: int) -> bytes:
    if stated > _MOST_FILE_BYTES:
        raise CorruptStoreError(f"{path} has {stated} bytes by the manifest", RESTORE)
    try:
        return read_regular(path, max(stated, 0))
    except FileNotFoundError:
        raise ShardMissingError(f"{path} is missing", RESTORE) from None


def _checked(path: AnyPath, data: bytes, entry: FileEntry) -> bytes:
    if FileEntry.of(data) != entry:
        raise CorruptStoreError(f"{path} is not what the manifest says", RESTORE)
    return data
