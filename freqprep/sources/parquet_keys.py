"""Keys and ids of the rows of tables.

Keys are those that the same images have in folders, where paths are given.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from freqprep.errors import SourceError
from freqprep.ragged import Ragged
from freqprep.sources.files import shown
from freqprep.sources.parquet_file import arrow
from freqprep.sources.parquet_parts import Part
from freqprep.storage.repeated_rows import first_repeated
from freqprep.storage.scratch import ScratchRagged
from freqprep.text.quantities import plural

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS_AT_ONCE = 2**16


def row_keys(
    parts: Sequence[Part], labels: np.ndarray, class_ids: Sequence[str | int], split: str
) -> tuple[Ragged, tuple[str, ...]]:
    """Return the key of each row of a split.

    It is ``class/path``, as in a folder of class folders, or ``path`` for a row without a class;
    of an absolute path the file's name. If a row has no path, or two rows would have one key, all
    rows of the split have ``FILE:ROW`` instead.

    Parameters
    ----------
    parts : sequence of Part
        Files of the split.
    labels : ndarray of int64, shape (n,)
        Index of each row's class; -1 for none.
    class_ids : sequence of str or int
    split : str
        Name of the split, for the note.

    Returns
    -------
    keys : Ragged of uint8
        Unique.
    notes : tuple of str
        Why there are no paths in them, though the tables have paths.
    """
    if any(part.columns.path is None for part in parts):
        return _numbered(parts), ()
    count, missing = sum(part.rows for part in parts), sum(map(_missing, parts))
    if missing == count:
        return _numbered(parts), ()
    if missing:
        note = f"{split}: {missing} of {plural(count, 'row')} have no path: keys are FILE:ROW"
        return _numbered(parts), (note,)
    written, ends = ScratchRagged(), itertools.accumulate(part.rows for part in parts)
    for part, end in zip(parts, ends, strict=True):
        written.append(_ragged(_joined(_paths(part), labels[end - part.rows : end], class_ids)))
    keys = written.finished()
    repeated = first_repeated(keys.blocks, count)
    if repeated is not None:
        note = f"{split}: paths repeat, such as {shown(repeated)}: keys are FILE:ROW"
        return _numbered(parts), (note,)
    return keys, ()


def image_ids(parts: Sequence[Part], split: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the ids of the images of a split, or the numbers of its rows.

    Parameters
    ----------
    parts : sequence of Part
        Files of the split.
    split : str
        Name of the split, for the note.

    Returns
    -------
    ids : ndarray of int64, shape (n,)
        Unique.
    notes : tuple of str
        Why they are not those of the tables, though there is a column of them.

    Raises
    ------
    SourceError
        An id is not a number of 64 bits with a sign.
    """
    numbers = np.arange(sum(part.rows for part in parts), dtype=np.int64)
    having = [part for part in parts if part.columns.image_id is not None]
    if not having:
        return numbers, ()
    values = [part.values[part.columns.image_id or ""] for part in having]
    if len(having) < len(parts):
        why = "is not in all tables"
    elif not all(arrow().types.is_integer(column.type) for column in values):
        why = "is not of whole numbers"
    elif missing := sum(column.null_count for column in values):
        why = f"is missing in {missing} of {plural(len(numbers), 'row')}"
    else:
        ids = np.concatenate(list(map(_whole, having, values)))
        if len(np.unique(ids)) == len(numbers):
            return ids, ()
        why = "repeats"
    name = having[0].columns.image_id
    return numbers, (f"{split}: {name} {why}: ids of the images are the numbers of the rows",)


def _whole(part: Part, values: pa.ChunkedArray) -> np.ndarray:
    # Each by itself: NumPy joins numbers with and without a sign as floats, which lose digits.
    try:
        numbers: np.ndarray = values.cast(arrow().int64()).to_numpy()
    except arrow().ArrowInvalid as error:
        raise SourceError(
            f"{part.where}: {part.columns.image_id!r} has a number beyond 64 bits with a sign:"
            f" {error}",
            "write smaller numbers, or leave the column out",
        ) from error
    return numbers


def _paths(part: Part) -> pa.Array:
    return part.values[part.columns.path or ""].cast(arrow().large_binary()).combine_chunks()


def _missing(part: Part) -> int:
    compute = arrow().compute
    lengths = compute.fill_null(compute.binary_length(_paths(part)), 0)
    return int(compute.sum(compute.equal(lengths, 0)).as_py() or 0)


def _joined(paths: pa.Array, labels: np.ndarray, class_ids: Sequence[str | int]) -> pa.Array:
    compute, binary = arrow().compute, arrow().large_binary()
    names = [str(id_).encode() for id_ in class_ids]
    paths = _within_class(paths, labels, names)
    classes = arrow().array([*(name + b"/" for name in names), b""], binary)
    # -1 takes the last one: rows without a class have their path alone.
    prefixes = classes.take(arrow().array(np.where(labels < 0, len(names), labels)))
    return compute.binary_join_element_wise(prefixes, paths, arrow().scalar(b"", binary))


def _within_class(paths: pa.Array, labels: np.ndarray, names: Sequence[bytes]) -> pa.Array:
    """Return paths relative to the folder of their class, whatever is above it."""
    compute = arrow().compute
    nested = np.flatnonzero(compute.match_substring(paths, "/").to_numpy(zero_copy_only=False))
    if not len(nested):
        return paths
    changed = paths.to_pylist()
    for row in nested.tolist():
        path = changed[row]
        if path.startswith(b"/"):
            path = path.rpartition(b"/")[2] or path
        if labels[row] >= 0:
            path = path.removeprefix(names[labels[row]] + b"/") or path
        changed[row] = path
    return arrow().array(changed, arrow().large_binary())


def _ragged(keys: pa.Array) -> Ragged:
    _, offsets, data = keys.buffers()
    edges = np.frombuffer(offsets, np.int64)[keys.offset : keys.offset + len(keys) + 1]
    values = np.frombuffer(data, np.uint8)[edges[0] : edges[-1]]
    return Ragged(values, edges - edges[0])


def _numbered(parts: Sequence[Part]) -> Ragged:
    keys = ScratchRagged()
    for part in parts:
        for first in range(0, part.rows, _ROWS_AT_ONCE):
            rows = range(first, min(first + _ROWS_AT_ONCE, part.rows))
            keys.append(Ragged.of_bytes(part.file.path + b":%d" % row for row in rows))
    return keys.finished()
