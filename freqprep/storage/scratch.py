"""Arrays of any size that are written once and then read: large ones lie in files without names.

The files are in the folder for temporary files (``TMPDIR``) and gone with the arrays, or with the
process. They are mapped: the system keeps in memory what is in use, as long as there is room.
"""

from __future__ import annotations

import mmap
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from freqprep.ragged import Ragged
from freqprep.storage.disk import full_disk_named

IN_MEMORY = 2**24
"""Bytes up to which there is no file."""

_ELEMENTS_AT_ONCE = 2**20


class Scratch:
    """Bytes that are appended to, and then read."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(IN_MEMORY, prefix="freqprep-")  # noqa: SIM115
        weakref.finalize(self, self._file.close)  # after an error nothing is left open
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes.

        Raises
        ------
        DiskFullError
            The folder for temporary files is full.
        """
        with full_disk_named(Path(tempfile.gettempdir())):
            self._file.write(data)
        self._length += memoryview(data).nbytes

    def finished(self) -> bytes | mmap.mmap:
        """Return all bytes; nothing can be appended any more."""
        with self._file as file, full_disk_named(Path(tempfile.gettempdir())):
            if self._length <= IN_MEMORY:
                file.seek(0)
                return file.read()
            file.flush()
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


class ScratchArray:
    """A one-dimensional array that is appended to, and then read; errors are those of `Scratch`.

    Parameters
    ----------
    dtype : dtype
    """

    def __init__(self, dtype: type[np.generic] | np.dtype) -> None:
        self._dtype, self._bytes = np.dtype(dtype), Scratch()

    def __len__(self) -> int:
        return len(self._bytes) // self._dtype.itemsize

    def append(self, values: np.ndarray) -> None:
        """Append values."""
        if len(values):  # an empty array has no bytes to view
            self._bytes.write(np.ascontiguousarray(values, self._dtype).data)

    def finished(self) -> np.ndarray:
        """Return all values, read-only; nothing can be appended any more."""
        if not len(self):
            return np.empty(0, self._dtype)
        return np.frombuffer(self._bytes.finished(), self._dtype)


class ScratchRagged:
    """A ragged array of bytes that is appended to, and then read; see `ScratchArray`."""

    def __init__(self) -> None:
        self._values, self._offsets = ScratchArray(np.uint8), ScratchArray(np.int64)
        self._offsets.append(np.zeros(1, np.int64))

    def append(self, rows: Ragged) -> None:
        """Append rows."""
        self._offsets.append(rows.offsets[1:] + len(self._values))
        self._values.append(rows.values)

    def finished(self) -> Ragged:
        """Return all rows; nothing can be appended any more."""
        return Ragged(self._values.finished(), self._offsets.finished())


def slices(count: int) -> Iterator[slice]:
    """Yield slices of an array of so many elements, in order, each of which fits in memory."""
    for first in range(0, count, _ELEMENTS_AT_ONCE):
        yield slice(first, first + _ELEMENTS_AT_ONCE)


def joined(parts: Iterable[np.ndarray], dtype: type[np.generic] | np.dtype) -> np.ndarray:
    """Return arrays one after the other; each is asked for when those before it are written."""
    whole = ScratchArray(dtype)
    for part in parts:
        whole.append(part)
    return whole.finished()


def each(parts: Iterable[np.ndarray], dtype: type[np.generic] | np.dtype) -> Sequence[np.ndarray]:
    """Return arrays as they are given, but kept like `joined` ones."""
    ends = []

    def counted() -> Iterable[np.ndarray]:
        for part in parts:
            ends.append(len(part))
            yield part

    whole = joined(counted(), dtype)
    return np.split(whole, np.cumsum(ends)[:-1]) if ends else []
