"""Small arrays of large splits, decoded once on a machine and mapped by all its processes.

The copies are in ``freqprep-<user id>/<content id>/`` in the folder for temporary files, which
nobody else may write to. A copy is written aside under a lock, from chunks whose hashes are
checked, and renamed when it is whole. It is named after its content, so it is never out of date;
it may be deleted at any time, and the processes that map it keep it until they end.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from freqprep.errors import UsageError
from freqprep.progress import Progress
from freqprep.storage.disk import full_disk_named
from freqprep.store.chunked_array import ChunkedArray

_PRIVATE = 0o700


def mapped_copy(array: ChunkedArray, name: str, content_id: str) -> np.ndarray:
    """Return an array of a split, mapped from this machine's copy; made if there is none.

    Parameters
    ----------
    array : ChunkedArray
    name : str
    content_id : str
        Content id of the split.

    Returns
    -------
    ndarray
        Read-only.

    Raises
    ------
    UsageError
        The folder for temporary files has a folder of that name that is not this user's alone.
    DiskFullError
        There is no room for the copy.
    ShardMissingError, CorruptStoreError
        A chunk is missing or damaged.
    """
    if 0 in array.shape:  # nothing can be mapped
        return np.empty(array.shape, array.dtype)
    folder = _private(
        _private(Path(tempfile.gettempdir()) / f"freqprep-{os.getuid()}") / content_id
    )
    path = folder / f"{name}.npy"
    if (found := _mapped(path, array)) is not None:
        return found
    with _locked(folder / "lock"), full_disk_named(folder):
        if (found := _mapped(path, array)) is not None:  # another process was faster
            return found
        for left_over in folder.glob(".writing-*"):  # of a process that was killed
            left_over.unlink()
        aside = folder / f".writing-{name}-{secrets.token_hex(4)}"
        try:
            _copy(array, aside, name)
            os.rename(aside, path)
        finally:
            aside.unlink(missing_ok=True)
        copied = _mapped(path, array)
        assert copied is not None
        return copied


class _Reopened(NamedTuple):
    """A whole mapped copy, for another process of this machine."""

    path: str


def pickled(array: Any) -> Any:
    """Return what to pickle for an array: of a mapped copy its path, not its content."""
    whole = isinstance(array, np.memmap) and isinstance(array.base, mmap.mmap)
    return _Reopened(str(array.filename)) if whole else array


def unpickled(state: Any) -> Any:
    """Return the array that `pickled` was called on."""
    if not isinstance(state, _Reopened):
        return state
    return np.load(state.path, mmap_mode="r", allow_pickle=False)


def _copy(array: ChunkedArray, path: Path, name: str) -> None:
    with open(path, "wb") as file, Progress(f"copy {name}", len(array), unit="row") as progress:
        header = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape}
        np.lib.format.write_array_header_1_0(file, header)
        for block in array.blocks():
            file.write(np.ascontiguousarray(block, array.dtype).data)
            progress.update(len(block))
        file.flush()
        os.fsync(file.fileno())  # else a power loss may leave a whole name on zeros


def _mapped(path: Path, array: ChunkedArray) -> np.ndarray | None:
    """Return a copy that is there; None if there is none, or it is not whole."""
    try:
        found: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return found if (found.shape, found.dtype) == (array.shape, array.dtype) else None


def _private(folder: Path) -> Path:
    """Return a folder that belongs to this user and that no other may write to."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, _PRIVATE)
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise UsageError(
            f"{folder} is not a folder that this user alone may write to",
            "remove it, or set TMPDIR to another folder",
        )
    return folder


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with open(path, "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
