"""Small arrays of a split: each file is read once, checked, and decoded from memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from freqprep.errors import CorruptStoreError, ShardMissingError, StoreError
from freqprep.storage.disk import FileEntry

RESTORE = "restore the split from a copy, or convert again with --overwrite"
"""What to do about a damaged split."""


def read_array(split_folder: Path, files: Mapping[str, FileEntry], name: str) -> np.ndarray:
    """Read an array; parameters and errors beside these are those of `Split.array`.

    Parameters
    ----------
    split_folder : Path
    files : mapping of str to FileEntry
        Files of the split, from its manifest.
    name : str

    Returns
    -------
    ndarray
    """
    import zarr  # the slowest import of all; loader and selections do not need it
    from zarr.buffer.cpu import Buffer
    from zarr.storage import MemoryStore

    content = _checked(split_folder, files, name)
    buffers = {key: Buffer.from_bytes(data) for key, data in content}
    try:
        array = zarr.open_array(MemoryStore(buffers, read_only=True), mode="r")
        return np.asarray(array[...])
    except Exception as error:  # checksum and decoding errors of many types
        raise CorruptStoreError(
            f"array {name} of {split_folder} cannot be read: {error}", RESTORE
        ) from None


def _checked(
    split_folder: Path, files: Mapping[str, FileEntry], name: str
) -> Iterator[tuple[str, bytes]]:
    """Yield the files of an array, which are what the manifest says."""
    prefix = f"{name}/"
    paths = [path for path in files if path.startswith(prefix)]
    if not paths:
        raise StoreError(f"{split_folder} has no array {name!r}")
    for path in paths:
        try:
            data = (split_folder / path).read_bytes()
        except FileNotFoundError:
            raise ShardMissingError(f"{split_folder / path} is missing", RESTORE) from None
        if FileEntry.of(data) != files[path]:
            raise CorruptStoreError(f"{split_folder / path} is not what the manifest says", RESTORE)
        yield path.removeprefix(prefix), data
