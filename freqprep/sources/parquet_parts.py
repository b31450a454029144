"""Columns that a listing needs of each Parquet file: all but the bytes of the images."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from freqprep.errors import SourceError
from freqprep.progress import Progress
from freqprep.sources.options import SourceOptions
from freqprep.sources.parquet_file import TableFile, arrow
from freqprep.sources.parquet_groups import batch_rows, flat_images
from freqprep.sources.parquet_schema import Columns, find_columns
from freqprep.sources.source_files import SourceFile
from freqprep.storage.interruptible import in_threads
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import AnyPath
from freqprep.storage.scratch import Scratch

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = 65_536
_IN_FLIGHT = 16
_SHORT = 1024  # bytes of a row that may be too short for an image


@dataclass(frozen=True)
class Part:
    """Rows of one file, without their images.

    Attributes
    ----------
    file : SourceFile
    where : str
        The file, for messages.
    columns : Columns
    unused : list of str
        Names of the other columns.
    groups : ndarray of int64
        Length of each row group that is not empty.
    has_images : bool
        Whether a row has an image; true without a look if the file is large enough for images.
    values : dict of str to ChunkedArray
        Columns and fields of `Columns.read`, by their names there.
    """

    file: SourceFile
    where: str
    columns: Columns
    unused: list[str]
    groups: np.ndarray
    has_images: bool
    values: dict[str, pa.ChunkedArray]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.groups.sum())


def read_parts(
    root: AnyPath, files: Sequence[SourceFile], options: SourceOptions, like: Part | None = None
) -> list[Part]:
    """Read all columns that a listing needs, of some files of a source.

    Parameters
    ----------
    root : Path or ObjectPath
        Folder of the source's files.
    files : sequence of SourceFile
    options : SourceOptions
    like : Part, optional
        File that these must be like; by default the first of them.

    Returns
    -------
    list of Part

    Raises
    ------
    SourceError
        A file is damaged, or its columns are not found; see `find_columns`. Files differ in the
        columns of images and labels, or in the names of classes.
    """
    calls = [partial(_read, root, file, options) for file in files]
    remote = isinstance(root, ObjectPath)
    parts, columns = [], _KeptColumns()
    with Progress("list", len(files), unit="table") as progress:
        for part in in_threads(calls, _IN_FLIGHT) if remote else (call() for call in calls):
            like = like or part
            _check_alike(like, part)
            columns.append(part.values)
            parts.append(dataclasses.replace(part, values={}))
            progress.update(1)
    every = zip(parts, columns.finished(), strict=True)
    return [dataclasses.replace(part, values=values) for part, values in every]


class _KeptColumns:
    """Columns of files in Arrow's own format: those of many rows are not in memory."""

    def __init__(self) -> None:
        self._bytes, self._ends = Scratch(), [0]

    def append(self, columns: dict[str, pa.ChunkedArray]) -> None:
        out, table = arrow().BufferOutputStream(), arrow().table(columns)
        with arrow().ipc.new_stream(out, table.schema) as stream:
            stream.write_table(table)
        self._bytes.write(memoryview(out.getvalue()))
        self._ends.append(len(self._bytes))

    def finished(self) -> Iterator[dict[str, pa.ChunkedArray]]:
        content = arrow().py_buffer(self._bytes.finished())
        for begin, end in itertools.pairwise(self._ends):
            with arrow().ipc.open_stream(content.slice(begin, end - begin)) as stream:
                table = stream.read_all()
            yield dict(zip(table.column_names, table.columns, strict=True))


def _read(root: AnyPath, file: SourceFile, options: SourceOptions) -> Part:
    with TableFile(root, file.path, file.version, file.length) as table:
        columns = find_columns(table.schema, table.name, options)
        batches = list(table.batches(columns.read, _ROWS))
        with table.named_errors():
            values = {name: _joined(batches, name, table.schema) for name in columns.read}
            for column in values.values():
                column.validate(
                    full=True
                )  # texts that are not UTF-8, offsets that are out of range
            footer = table.metadata
            groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
            lengths = np.array([group.num_rows for group in groups], np.int64)
            size = sum(group.total_byte_size for group in groups)
        if any(len(column) != lengths.sum() for column in values.values()):
            raise SourceError(
                f"{table.name} has columns of other lengths than its {lengths.sum()} rows",
                "download it again",
            )
        has_images = _has_images(table, columns.leaf, int(lengths.sum()), size)
        table.check_unchanged()
    unused = columns.unused(table.schema)
    return Part(file, table.name, columns, unused, lengths[lengths > 0], has_images, values)


def _joined(batches: list[pa.RecordBatch], name: str, schema: pa.Schema) -> pa.ChunkedArray:
    column, _, field = (name, "", "") if name in schema.names else name.rpartition(".")
    kind = schema.field(column).type
    kind = kind.field(field).type if field else kind
    if arrow().types.is_dictionary(kind):
        kind = kind.value_type
    chunks = []
    for batch in batches:
        chunk = batch.column(column)
        if field:
            (chunk,) = chunk.flatten()
        if arrow().types.is_dictionary(chunk.type):
            chunk = chunk.dictionary_decode()
        chunks.append(chunk)
    return arrow().chunked_array(chunks, kind)


def _has_images(table: TableFile, leaf: str, rows: int, size: int) -> bool:
    """Return whether a row has an image, from the file itself if its rows are shorter than images.

    The counts of nulls in its footer are left alone: pyarrow ends the process at those of
    encrypted columns.
    """
    if not rows or size > _SHORT * rows:
        return True
    for batch in table.batches([leaf], batch_rows(table.schema, leaf, size)):
        with table.named_errors():
            images = flat_images(batch.column(0))
            if images.null_count < len(images):
                return True
    return False


def _check_alike(first: Part, other: Part) -> None:
    """Refuse files that do not belong together; order and further columns may differ."""
    for name in ("leaf", "label", "objects", "category", "numbered"):
        one, two = getattr(first.columns, name), getattr(other.columns, name)
        if one != two:
            what = {"leaf": "images", "numbered": "labels that are numbers"}.get(name, name)
            raise SourceError(
                f"{first.where} and {other.where} have other columns: {what} {one!r} and {two!r}",
                "name files of one data set, for example with a pattern: 'data/train-*.parquet'",
            )
    one, two = first.columns.names, other.columns.names
    if one != two:
        raise SourceError(
            f"{first.where} and {other.where} have other names of classes: {_difference(one, two)}",
            "name files of one data set, or give the names of all with --class-names FILE",
        )


def _difference(one: tuple[str, ...] | None, two: tuple[str, ...] | None) -> str:
    if one is None or two is None:
        return "one has none"
    if len(one) != len(two):
        return f"{len(one)} and {len(two)} names"
    label = next(i for i, (a, b) in enumerate(zip(one, two, strict=True)) if a != b)
    return f"label {label} is {one[label]!r} and {two[label]!r}"
