"""Small arrays of a split: each file is read once, checked, and decoded from memory."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from freqprep.errors import CorruptStoreError, ShardMissingError, StoreError
from freqprep.storage.concurrency import for_each
from freqprep.storage.disk import FileEntry
from freqprep.storage.paths import AnyPath

RESTORE = "restore the split from a copy, or convert again with --overwrite"
"""What to do about a damaged split."""


def read_array(split_folder: AnyPath, files: Mapping[str, FileEntry], name: str) -> np.ndarray:
    """Read an array; parameters and errors beside these are those of `Split.array`.

    Parameters
    ----------
    split_folder : Path or ObjectPath
    files : mapping of str to FileEntry
        Files of the split, from its manifest.
    name : str

    Returns
    -------
    ndarray
    """
    prefix = f"{name}/"
    keys = [path.removeprefix(prefix) for path in files if path.startswith(prefix)]
    if not keys:
        raise StoreError(f"{split_folder} has no array {name!r}")
    paths = [split_folder / name / key for key in keys]
    content = zip(keys, paths, for_each(_read, paths), strict=True)
    found = {key: _checked(path, data, files[prefix + key]) for key, path, data in content}
    return decoded(found, slice(None), f"array {name} of {split_folder}")


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
        raise CorruptStoreError(f"{what} cannot be read: {error}", RESTORE) from None


def read_checked(path: AnyPath, entry: FileEntry) -> bytes:
    """Read a small file of a split; its bytes must be those that the manifest states.

    Raises
    ------
    ShardMissingError, CorruptStoreError
        They are not.
    """
    return _checked(path, _read(path), entry)


def _read(path: AnyPath) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ShardMissingError(f"{path} is missing", RESTORE) from None


def _checked(path: AnyPath, data: bytes, entry: FileEntry) -> bytes:
    if FileEntry.of(data) != entry:
        raise CorruptStoreError(f"{path} is not what the manifest says", RESTORE)
    return data
