"""Images of Parquet tables, copied to a file where each can be read by itself.

Row groups are compressed as a whole, and rows have no position in them: to read one row is to
decode all before it. So the rows that are wanted are copied in one pass over their row groups.
"""

from __future__ import annotations

import contextlib
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, TypeVar

import numpy as np

from freqprep.errors import SourceError
from freqprep.sources.listing import NO_BYTES, FileTable
from freqprep.sources.parquet_file import TableFile, arrow
from freqprep.storage.interruptible import in_threads
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import AnyPath

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_IN_FLIGHT = 16
_MOST_MEMORY = 256 * 2**20
_BATCH_BYTES = 4 * 2**20
_MOST_ROWS = 1024

ResultT = TypeVar("ResultT")


class _Table(NamedTuple):
    """One file, as it was found.

    Attributes
    ----------
    path : bytes
    version, length : int
    footer : FileMetaData
    leaf : str
        Column of the bytes of images, such as ``image.bytes``.
    """

    path: bytes
    version: int
    length: int
    footer: pq.FileMetaData
    leaf: str


class _Group(NamedTuple):
    """Wanted rows of one row group.

    Attributes
    ----------
    table : _Table
    number : int
        Number of the row group in its file.
    first_row, length : int
        First row of the group in its file, and number of rows.
    size : int
        Bytes of the group, decompressed.
    rows : ndarray of int64
        Wanted rows, sorted, numbered in the file.
    indices : ndarray of int64
        Index in the `FileTable` of each.
    """

    table: _Table
    number: int
    first_row: int
    length: int
    size: int
    rows: np.ndarray
    indices: np.ndarray


def copy_images(root: AnyPath, files: FileTable, column: str, out: BinaryIO) -> FileTable:
    """Copy the images of some rows of Parquet tables to a file, one after the other.

    Each row group is read once, in batches: memory does not grow with its size. Row groups behind
    a URL are fetched several at once.

    Parameters
    ----------
    root : Path or ObjectPath
        Folder of the source's files.
    files : FileTable
        Any rows of any tables, in any order; ``offset`` is the number of the row in its file.
    column : str
        Column of the images: bytes, or a struct with the field ``bytes``.
    out : BinaryIO
        Images are appended from its position on, in no particular order.

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
    copies = _Copies(out, len(files))
    remote = isinstance(root, ObjectPath)
    lookups = [partial(_groups, root, column, files, *rows) for rows in _by_file(files)]
    groups = [group for found in _made(lookups, remote) for group in found]
    memory = _Memory(_MOST_MEMORY)
    for _ in _made([partial(_copy_group, root, group, copies, memory) for group in groups], remote):
        pass
    return FileTable(files.paths, copies.offset, copies.length, files.version)


def image_leaf(schema: pa.Schema, column: str) -> str | None:
    """Return the column of the bytes of images; None if ``column`` is not one of images."""
    types = arrow().types
    index = schema.get_field_index(column)
    if index < 0:
        return None
    kind = schema.field(index).type
    name = column
    if types.is_struct(kind) and (inner := kind.get_field_index("bytes")) >= 0:
        kind, name = kind.field(inner).type, f"{column}.bytes"
    if types.is_dictionary(kind):
        kind = kind.value_type
    tests = (types.is_binary, types.is_large_binary, types.is_binary_view)
    return name if any(test(kind) for test in tests) else None


def _made(calls: Sequence[Callable[[], ResultT]], remote: bool) -> Iterator[ResultT]:
    return in_threads(calls, _IN_FLIGHT) if remote else (call() for call in calls)


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
        self._most = self._free = most
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def of(self, wanted: int) -> Iterator[None]:
        wanted = min(wanted, self._most)  # what needs more than there is runs alone
        with self._changed:
            self._changed.wait_for(lambda: self._free >= wanted)
            self._free -= wanted
        try:
            yield
        finally:
            with self._changed:
                self._free += wanted
                self._changed.notify_all()


def _by_file(files: FileTable) -> list[tuple[bytes, int, np.ndarray]]:
    """Return path, version and indices of the rows of each file."""
    indices: dict[tuple[bytes, int], list[int]] = defaultdict(list)
    for index, version in enumerate(files.version.tolist()):
        indices[files.paths.bytes_at(index), version].append(index)
    return [(*file, np.array(found, np.int64)) for file, found in sorted(indices.items())]


def _groups(
    root: AnyPath, column: str, files: FileTable, path: bytes, version: int, indices: np.ndarray
) -> list[_Group]:
    """Return the row groups of one file that have wanted rows."""
    with TableFile(root, path, version) as table:
        leaf = image_leaf(table.schema, column)
        if leaf is None:
            raise SourceError(
                f"{table.name} has no column {column!r} of images as bytes",
                "name another with --image-column",
            )
        footer = table.metadata
        known = _Table(path, version, table.length, footer, leaf)
        with table.named_errors():
            groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
            lengths = [group.num_rows for group in groups]
            sizes = [group.total_byte_size for group in groups]
        ends = np.cumsum(lengths, dtype=np.int64)
        order = np.argsort(files.offset[indices], kind="stable")
        rows, indices = files.offset[indices][order], indices[order]
        if len(rows) and not 0 <= rows[0] <= rows[-1] < sum(lengths):
            raise SourceError(
                f"{table.name} has {sum(lengths)} rows, but row {rows[-1]} was listed",
                "convert again with --overwrite",
            )
        found = []
        cuts = np.searchsorted(rows, ends)
        for number, end in enumerate(cuts.tolist()):
            mine = slice(int(cuts[number - 1]) if number else 0, end)
            if mine.start < mine.stop:
                count = lengths[number]
                place = (number, int(ends[number]) - count, count, sizes[number])
                found.append(_Group(known, *place, rows[mine], indices[mine]))
        return found


def _copy_group(root: AnyPath, group: _Group, copies: _Copies, memory: _Memory) -> None:
    batch_rows = max(1, min(_MOST_ROWS, _BATCH_BYTES * group.length // max(group.size, 1)))
    first, (*file, leaf) = group.first_row, group.table
    with memory.of(2 * group.size), TableFile(root, *file) as table:
        for batch in table.batches([leaf], batch_rows, [group.number]):
            begin, end = np.searchsorted(group.rows, [first, first + batch.num_rows]).tolist()
            images = flat_images(batch.column(0))
            for index in range(begin, end):
                with table.named_errors():
                    data = images[int(group.rows[index]) - first].as_buffer()
                if data is not None:
                    copies.add(int(group.indices[index]), memoryview(data))
            first += batch.num_rows
            if first > group.rows[-1]:
                break
        table.check_unchanged()
        if first <= group.rows[-1]:
            raise SourceError(
                f"{table.name}: row group {group.number} ends before row {group.rows[-1]}",
                "download the file again",
            )


def flat_images(images: pa.Array) -> pa.Array:
    """Return the bytes of a column of images, as an array with their nulls."""
    types = arrow().types
    if types.is_struct(images.type):
        (images,) = images.flatten()  # a row that is null as a whole is null here, too
    return images.dictionary_decode() if types.is_dictionary(images.type) else images
