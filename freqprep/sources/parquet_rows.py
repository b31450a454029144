"""Images of Parquet tables, copied to a file where each can be read by itself.

The rows that are wanted are copied in one pass over their row groups. A group that has rows for
the next file, too, stays open, so that it is read once however many files its rows go to.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import BinaryIO, TypeVar

import numpy as np

from freqprep.errors import SourceError
from freqprep.sources.file_table import NO_BYTES, FileTable
from freqprep.sources.files import shown
from freqprep.sources.parquet_groups import (
    Group,
    GroupReader,
    Table,
    groups_of,
    read_table,
    rows_by_file,
)
from freqprep.storage.interruptible import in_threads
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import AnyPath

_IN_FLIGHT = 16
_MOST_MEMORY = 256 * 2**20
_MOST_FOOTERS = 16 * 2**20

ResultT = TypeVar("ResultT")


def copy_images(root: AnyPath, files: FileTable, column: str, out: BinaryIO) -> FileTable:
    """Copy the images of some rows of Parquet tables to a file; see `ImageCopier.copy`."""
    with ImageCopier(root, column) as copier:
        return copier.copy(files, out)


class ImageCopier:
    """Copies images of Parquet tables to files, one after the other; a context manager.

    Row groups are read in batches: memory does not grow with their size. Those behind a URL are
    fetched several at once.

    Parameters
    ----------
    root : Path or ObjectPath
        Folder of the source's files.
    column : str
        Column of the images: bytes, or a struct with the field ``bytes``.
    """

    def __init__(self, root: AnyPath, column: str) -> None:
        self._root, self._column = root, column
        self._memory = _Memory(_MOST_MEMORY)
        self._tables: dict[tuple[bytes, int], Table] = {}
        self._footers = 0
        self._open: dict[tuple[bytes, int, int], tuple[GroupReader, int]] = {}
        self._alone, self._closed = threading.Lock(), False

    def __enter__(self) -> ImageCopier:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the row group that is open, now or once another thread has copied."""
        self._closed = True
        if self._alone.acquire(blocking=False):
            try:
                self._drop()
            finally:
                self._alone.release()

    def copy(
        self, files: FileTable, out: BinaryIO, following: FileTable | None = None
    ) -> FileTable:
        """Copy the images of some rows, one after the other.

        Each row group is read once, from its first row on; from where the copy before has left it,
        if that stated these rows as ``following``.

        Parameters
        ----------
        files : FileTable
            Any rows of any tables, in any order; ``offset`` is the number of the row in its file.
        out : BinaryIO
            Images are appended from its position on, in no particular order.
        following : FileTable, optional
            Rows that are copied next.

        Returns
        -------
        FileTable
            The same rows in the same order: ``offset`` and ``length`` are those in ``out``, and
            ``length`` is `NO_BYTES` for a row without an image.

        Raises
        ------
        SourceError
            A file is damaged, or has no such column or row.
        SourceChangedError
            A file has another version than ``files`` states.
        """
        try:
            with self._alone:
                return self._copy(files, out, following)
        finally:
            if self._closed:
                self.close()  # whoever closed it may have found it at work

    def _copy(self, files: FileTable, out: BinaryIO, following: FileTable | None) -> FileTable:
        copies = _Copies(out, len(files))
        try:
            lookups = [partial(self._groups, files, *rows) for rows in rows_by_file(files).items()]
            groups = [group for found in self._made(lookups) for group in found]
            last = _continued(groups, following)
            calls = [partial(self._copy_group, group, copies, group is last) for group in groups]
            for _ in self._made(calls):
                pass
        except BaseException:
            self._drop()
            raise
        self._drop(last)
        return FileTable(files.paths, copies.offset, copies.length, files.version)

    def _made(self, calls: Sequence[Callable[[], ResultT]]) -> Iterator[ResultT]:
        if isinstance(self._root, ObjectPath):
            return in_threads(calls, _IN_FLIGHT)
        return (call() for call in calls)

    def _groups(
        self, files: FileTable, file: tuple[bytes, int], indices: np.ndarray
    ) -> list[Group]:
        """Return the row groups of one file that have wanted rows."""
        table = self._tables.get(file)
        if table is None:
            table = read_table(self._root, *file, self._column)
            self._footers += table.footer.serialized_size
            if self._footers <= _MOST_FOOTERS:
                self._tables[file] = table
        try:
            return groups_of(table, files.offset[indices], indices)
        except ValueError as error:
            name = shown(str(self._root / table.path.decode()).encode())
            raise SourceError(f"{name} has {error}", "convert again with --overwrite") from None

    def _copy_group(self, group: Group, copies: _Copies, stays_open: bool) -> None:
        with self._memory.of(2 * group.size):
            reader = self._reader(group)
            try:
                for index, data in reader.images(group.rows):
                    if data is not None:
                        copies.add(int(group.indices[index]), data)
            except BaseException:
                reader.close()
                raise
            if stays_open:
                self._open[group.name] = reader, self._memory.hold(2 * group.size)
            else:
                reader.close()

    def _reader(self, group: Group) -> GroupReader:
        if group.name in self._open:
            reader, held = self._open.pop(group.name)
            self._memory.hold(-held)
            if reader.first <= group.rows[0]:
                return reader
            reader.close()
        return GroupReader(self._root, group)

    def _drop(self, but: Group | None = None) -> None:
        for name in [name for name in self._open if but is None or name != but.name]:
            reader, held = self._open.pop(name)
            self._memory.hold(-held)
            reader.close()


def _continued(groups: Sequence[Group], following: FileTable | None) -> Group | None:
    """Return the row group that has rows among those that follow; the largest, if several have."""
    if following is None:
        return None
    wanted = rows_by_file(following)
    none = np.empty(0, np.int64)
    found = []
    for group in groups:
        rows = following.offset[wanted.get((group.table.path, group.table.version), none)]
        if ((rows > group.rows[-1]) & (rows < group.end)).any():
            found.append(group)
    return max(found, key=lambda group: group.end - group.first, default=None)


class _Copies:
    """Images in the file that they are copied to, from any thread."""

    def __init__(self, out: BinaryIO, count: int) -> None:
        self._out, self._alone = out, threading.Lock()
        self._end = out.tell()
        self.offset = np.zeros(count, np.int64)
        self.length = np.full(count, NO_BYTES, np.int64)

    def add(self, index: int, data: memoryview) -> None:
        with self._alone:
            self._out.write(data)
            self.offset[index], self.length[index] = self._end, len(data)
            self._end += len(data)


class _Memory:
    """Memory that threads share: one waits until there is as much as it needs."""

    def __init__(self, most: int) -> None:
        self._all = self._most = self._free = most
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def of(self, wanted: int) -> Iterator[None]:
        with self._changed:
            # What needs more than there is runs alone.
            self._changed.wait_for(lambda: self._free >= min(wanted, self._most))
            taken = min(wanted, self._most)
            self._free -= taken
        try:
            yield
        finally:
            self._give(taken)

    def hold(self, wanted: int) -> int:
        """Take memory, without waiting, that all others do without; negative to give it back."""
        held = min(wanted, self._all // 4)
        with self._changed:
            self._most -= held
        self._give(-held)
        return held

    def _give(self, count: int) -> None:
        with self._changed:
            self._free += count
            self._changed.notify_all()
