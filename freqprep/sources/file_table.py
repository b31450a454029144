"""Positions of the bytes of images: each by itself, or rows of whole tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from freqprep.ragged import Ragged

WHOLE_FILE = -1
"""Value of ``FileTable.offset`` for an image that is not in an archive."""

UNKNOWN = -1
"""Value of ``FileTable.length`` for a row of a table that has not been read yet."""

NO_BYTES = -2
"""Value of ``FileTable.length`` for a row of a table that has no image."""


@dataclass(frozen=True)
class FileTable:
    """Position of the bytes of each image.

    Attributes
    ----------
    paths : Ragged of uint8
        Path of the file, archive or table, relative to `root_of` the source, as the system's bytes.
    offset : ndarray of int64, shape (n,)
        First byte inside the archive, or ``WHOLE_FILE``; the row's number in a table.
    length : ndarray of int64, shape (n,)
        Size of the image in bytes; 0 if the file is missing or not a regular one, `UNKNOWN` in a
        table, whose images have a size only once they are read, and `NO_BYTES` for a null there.
    version : ndarray of int64, shape (n,)
        Version of the file or archive: the time of its last change in ns, or a hash of its entity
        tag; 0 if it is missing or not a regular one.
    """

    paths: Ragged
    offset: np.ndarray
    length: np.ndarray
    version: np.ndarray

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, rows: np.ndarray) -> FileTable:
        """Return some rows, in the given order."""
        return FileTable(
            self.paths.take(rows), self.offset[rows], self.length[rows], self.version[rows]
        )

    @property
    def columns(self) -> dict[str, np.ndarray]:
        """Columns that a repair of the files may change, by name; as long as ``paths``."""
        return {"offset": self.offset, "length": self.length, "version": self.version}


@dataclass(frozen=True)
class TableFiles:
    """Positions of all rows of some tables, one table after the other.

    Attributes
    ----------
    paths : Ragged of uint8
        Path of each table, as in `FileTable`.
    rows : ndarray of int64, shape (tables,)
        Number of rows of each.
    version : ndarray of int64, shape (tables,)
        Version of each, as in `FileTable`.
    """

    paths: Ragged
    rows: np.ndarray
    version: np.ndarray

    def __len__(self) -> int:
        return int(self.rows.sum())

    def take(self, rows: np.ndarray) -> FileTable:
        """Return some rows, in the given order."""
        ends = np.cumsum(self.rows)
        table = np.searchsorted(ends, rows, side="right")
        offset = rows - (ends - self.rows)[table]
        length = np.full(len(rows), UNKNOWN, np.int64)
        return FileTable(self.paths.take(table), offset, length, self.version[table])

    @property
    def columns(self) -> dict[str, np.ndarray]:
        """Columns that a repair of the tables may change, by name; as long as ``paths``."""
        return {"rows": self.rows, "version": self.version}
