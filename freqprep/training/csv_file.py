"""Tables as CSV files: UTF-8, text quoted, numbers bare, as Python's csv module writes them."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from freqprep.errors import UsageError
from freqprep.storage.disk import full_disk_named, write_parts

SUFFIX = ".csv"

BOX_HEADS = ("left", "top", "width", "height")
"""Names of a box's columns."""

Cell = str | int | float | None


def check_csv(path: Path | None) -> None:
    """Refuse a name that is not a CSV file's.

    Raises
    ------
    UsageError
    """
    if path is not None and path.suffix.lower() != SUFFIX:
        raise UsageError(f"{str(path)!r} does not name a CSV file", f"end it in {SUFFIX}")


def write_csv(path: Path, heads: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Write a table, whole or not at all.

    Text is written as it is: what the csv module reads back is what was given, also commas,
    quotes, line breaks, bytes of names that are not UTF-8 (as they are in the file system) and
    a leading ``=``, which spreadsheet programs take for a formula. None is an empty cell.

    Parameters
    ----------
    path : Path
        A file that is there is replaced.
    heads : sequence of str
    rows : iterable of sequence of str, int, float or None

    Raises
    ------
    DiskFullError
    """
    folder = path.absolute().parent
    with full_disk_named(folder):
        write_parts(path, _lines(heads, rows), folder)


def _lines(heads: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Iterator[bytes]:
    buffer = io.StringIO()
    # All text is quoted: a carriage return would not be otherwise, with lines that end in \n.
    writer = csv.writer(buffer, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    for row in itertools.chain([heads], rows):
        writer.writerow(row)
        text = buffer.getvalue()
        try:
            yield text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:  # half of a pair, from JSON: no file system gives that
            yield text.encode("utf-8", "surrogatepass")
        buffer.seek(0)
        buffer.truncate()
