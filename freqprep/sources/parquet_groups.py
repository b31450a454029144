"""Row groups of Parquet tables: which of them have the wanted rows, and images read in turn.

A row group is compressed as a whole, and rows have no position in it: to reach one is to decode
all before it. So a reader of a group only goes on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from freqprep.errors import SourceError
from freqprep.sources.file_table import FileTable
from freqprep.sources.parquet_file import TableFile, arrow
from freqprep.storage.paths import AnyPath

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_BATCH_BYTES = 4 * 2**20
_MOST_ROWS = 32
_MOST_INDICES = 1024


class Table(NamedTuple):
    """One file, as it was found.

    Attributes
    ----------
    path : bytes
    version, length : int
    footer : FileMetaData
    leaf : str
        Column of the bytes of images, such as ``image.bytes``.
    ends : ndarray of int64
        Row after the last one of each row group.
    sizes : list of int
        Bytes of each row group, decompressed.
    """

    path: bytes
    version: int
    length: int
    footer: pq.FileMetaData
    leaf: str
    ends: np.ndarray
    sizes: list[int]


class Group(NamedTuple):
    """Wanted rows of one row group.

    Attributes
    ----------
    table : Table
    number : int
        Number of the row group in its file.
    first, end : int
        First row of the group in its file, and the one after its last.
    rows : ndarray of int64
        Wanted rows, sorted, numbered in the file.
    indices : ndarray of int64
        Index in the `FileTable` of each.
    """

    table: Table
    number: int
    first: int
    end: int
    rows: np.ndarray
    indices: np.ndarray

    @property
    def name(self) -> tuple[bytes, int, int]:
        """File, version and number: equal for the same group."""
        return self.table.path, self.table.version, self.number

    @property
    def size(self) -> int:
        """Bytes of the group, decompressed."""
        return self.table.sizes[self.number]


def read_table(root: AnyPath, path: bytes, version: int, column: str) -> Table:
    """Read the footer of a file.

    Raises
    ------
    SourceError
        The file is damaged, or has no such column of images.
    SourceChangedError
    """
    with TableFile(root, path, version) as table:
        leaf = image_leaf(table.schema, column)
        if leaf is None:
            raise SourceError(
                f"{table.name} has no column {column!r} of images as bytes",
                "name another with --image-column",
            )
        footer = table.metadata
        with table.named_errors():
            groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
            ends = np.cumsum([group.num_rows for group in groups], dtype=np.int64)
            sizes = [group.total_byte_size for group in groups]
        return Table(path, version, table.length, footer, leaf, ends, sizes)


def rows_by_file(files: FileTable) -> dict[tuple[bytes, int], np.ndarray]:
    """Return the indices of the rows of each file, by its path and version, sorted."""
    indices: dict[tuple[bytes, int], list[int]] = defaultdict(list)
    for index, version in enumerate(files.version.tolist()):
        indices[files.paths.bytes_at(index), version].append(index)
    return {file: np.array(found, np.int64) for file, found in sorted(indices.items())}


def groups_of(table: Table, rows: np.ndarray, indices: np.ndarray) -> list[Group]:
    """Return the row groups of a file that have wanted rows.

    Raises
    ------
    ValueError
        It has no such row.
    """
    order = np.argsort(rows, kind="stable")
    rows, indices = rows[order], indices[order]
    count = int(table.ends[-1]) if len(table.ends) else 0
    if len(rows) and not 0 <= rows[0] <= rows[-1] < count:
        raise ValueError(f"{count} rows, but row {rows[-1]} was listed")
    found, begin = [], 0
    for number, cut in enumerate(np.searchsorted(rows, table.ends).tolist()):
        if begin < cut:
            first = int(table.ends[number - 1]) if number else 0
            mine = slice(begin, cut)
            end = int(table.ends[number])
            found.append(Group(table, number, first, end, rows[mine], indices[mine]))
        begin = cut
    return found


class GroupReader:
    """A row group that is read from its first row on, in batches.

    Parameters
    ----------
    root : Path or ObjectPath
    group : Group

    Attributes
    ----------
    first : int
        Row from which on it can read.
    """

    def __init__(self, root: AnyPath, group: Group) -> None:
        table = group.table
        self.first, self._number = group.first, group.number
        self._file = TableFile(root, table.path, table.version, table.length, table.footer)
        rows = batch_rows(self._file.schema, table.leaf, group.size)
        self._batches = self._file.batches([table.leaf], rows, [group.number])
        self._images: pa.Array = []

    def images(self, rows: np.ndarray) -> Iterator[tuple[int, memoryview | None]]:
        """Read images.

        Parameters
        ----------
        rows : ndarray of int64
            Rows of the group, sorted, from ``first`` on, numbered in the file.

        Yields
        ------
        index : int
            Index in ``rows``.
        data : memoryview or None
            The image; None for a row without one.

        Raises
        ------
        SourceError
            The file is damaged.
        SourceChangedError
        """
        while True:
            end = self.first + len(self._images)
            wanted = range(*np.searchsorted(rows, [self.first, end]).tolist())
            for index in wanted:
                with self._file.named_errors():
                    data = _image(self._images, int(rows[index]) - self.first)
                yield index, data
            if end > rows[-1]:
                break
            self.first, self._images = end, []  # one batch at a time is in memory
            batch = next(self._batches, None)
            if batch is None:
                raise SourceError(
                    f"{self._file.name}: row group {self._number} ends before row {rows[-1]}",
                    "download the file again",
                )
            with self._file.named_errors():
                self._images = flat_images(batch.column(0))
        self._file.check_unchanged()

    def close(self) -> None:
        """Close the file."""
        self._images = []
        self._file.close()


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


def batch_rows(schema: pa.Schema, leaf: str, size: int) -> int:
    """Return the rows of a batch of images that is sure to fit memory.

    Images that repeat may be stored once, also where the type of the column is that of bytes: then
    each row of a batch may be as large as all that is stored.

    Parameters
    ----------
    schema : Schema
    leaf : str
        From `image_leaf`.
    size : int
        Bytes of the images as stored, decompressed.

    Returns
    -------
    int
        So many that a batch has 4 MB, or is one image, or is indices into what is stored.
    """
    if leaf in schema.names:
        kind = schema.field(leaf).type
    else:
        kind = schema.field(leaf.removesuffix(".bytes")).type.field("bytes").type
    if arrow().types.is_dictionary(kind):
        return _MOST_INDICES
    return max(1, min(_MOST_ROWS, _BATCH_BYTES // max(size, 1)))


def flat_images(images: pa.Array) -> pa.Array:
    """Return the bytes of a column of images, or the dictionary of them, with their nulls."""
    if arrow().types.is_struct(images.type):
        (images,) = images.flatten()  # a row that is null as a whole is null here, too
    return images


def _image(images: pa.Array, index: int) -> memoryview | None:
    if arrow().types.is_dictionary(images.type):
        place = images.indices[index].as_py()
        if place is None:
            return None
        images, index = images.dictionary, place
        if not 0 <= index < len(images):
            raise ValueError(f"image {index} of a dictionary of {len(images)}")
    data = images[index].as_buffer()
    return None if data is None else memoryview(data)
