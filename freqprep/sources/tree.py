"""Trees of a source's files: a folder of this machine, or the objects of a bucket listed once.

The modules of the sources know `SourceTree` only. A folder answers as the system does; a bucket has
no folders, so one list of all keys below the source makes them, in memory.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol, TypeAlias

import numpy as np

from freqprep.errors import SourceError
from freqprep.progress import counted
from freqprep.ragged import Ragged
from freqprep.sources.file_table import WHOLE_FILE, FileTable
from freqprep.sources.files import open_source, shown
from freqprep.sources.object_tree import HEAD_BYTES, ObjectStat, ObjectTree
from freqprep.sources.source_files import root_of
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import AnyPath

Stat: TypeAlias = os.stat_result | ObjectStat


class Entry(Protocol):
    """Entry of a folder; `os.DirEntry` of bytes is one."""

    @property
    def name(self) -> bytes:
        """Name in the folder."""

    def is_dir(self) -> bool:
        """Return whether it is a folder, or a link to one."""

    def stat(self) -> Stat:
        """Return the status, of a link that of its target; raises OSError if it is broken."""


class SourceTree(Protocol):
    """Files of a source. Paths are relative to its root, with slashes."""

    @property
    def root(self) -> AnyPath:
        """Folder or prefix of the source."""

    def entries(self, folder: bytes) -> Iterator[Entry]:
        """Yield what is directly in a folder.

        Raises
        ------
        SourceError
            It cannot be listed; its content would be lost silently.
        """

    def stat(self, path: bytes) -> Stat | None:
        """Return the status of a file or folder; None if there is none."""

    def walk(self, folder: bytes, enter: Callable[[bytes], bool]) -> Iterator[bytes]:
        """Yield the paths of all files below a folder, sorted by name in each.

        Folders for whose names ``enter`` returns False, and links to folders, are left out.
        """

    def open(self, path: bytes) -> BinaryIO:
        """Open a regular file for reading.

        Raises
        ------
        SourceError
            It cannot be opened, or is not a regular file.
        """

    def heads(self, paths: Sequence[bytes]) -> Iterator[bytes | None]:
        """Yield the first 16 bytes of regular files; None of one that cannot be read.

        In a bucket, which needs a request for each, nothing of files that have an extension.
        """


def source_tree(source: AnyPath) -> SourceTree:
    """Return the tree of a source that is a folder.

    Raises
    ------
    SourceError
        It is not one, or is on a web server.
    """
    if isinstance(source, ObjectPath):
        return _bucket_tree(source)
    if source.is_dir():
        return LocalTree(source)
    raise _no_folder(source)


def _bucket_tree(source: ObjectPath) -> SourceTree:
    if source.is_web:
        raise SourceError(
            f"{source}: folders of a web server cannot be listed",
            "copy the folder to a bucket or to this machine; freqprep convert parquet and"
            " webdataset read files of a web server, by a pattern of their names",
        )
    if root_of(source) != source:
        raise _no_folder(source)
    objects = counted(source.statuses(), f"listing {source}", "objects")
    tree = ObjectTree(source, ((key.encode(), *status) for key, status in objects))
    if tree.is_empty:
        raise _no_folder(source)
    return tree


def _no_folder(source: AnyPath) -> SourceError:
    remedy = "name the data set's top folder"
    if source.suffix == ".json":
        remedy += ", and the file with --annotations"
    why = ": no object is below it, or it is a pattern" if isinstance(source, ObjectPath) else ""
    return SourceError(f"{source} is not a folder{why}", remedy)


class LocalTree:
    """Folder of this machine.

    Parameters
    ----------
    root : Path
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._top = os.fsencode(root)

    def entries(self, folder: bytes) -> Iterator[os.DirEntry[bytes]]:
        """Yield what is directly in a folder; see `SourceTree`."""
        full = os.path.join(self._top, folder)
        try:
            with os.scandir(full) as entries:
                yield from entries
        except OSError as error:
            raise SourceError(
                f"cannot list the folder {shown(full)}: {error.strerror}",
                "make it readable, or move it out of the source",
            ) from error

    def stat(self, path: bytes) -> os.stat_result | None:
        """Return the status of a file or folder; None if there is none."""
        try:
            return os.stat(os.path.join(self._top, path))
        except OSError:
            return None

    def walk(self, folder: bytes, enter: Callable[[bytes], bool]) -> Iterator[bytes]:
        """Yield the paths of all files below a folder; see `SourceTree`."""
        start = os.path.join(self._top, folder)
        for parent, children, names in os.walk(start):
            children[:] = sorted(filter(enter, children))
            inside = os.path.join(folder, os.path.relpath(parent, start))
            for name in sorted(names):
                yield os.path.normpath(os.path.join(inside, name))

    def open(self, path: bytes) -> BinaryIO:
        """Open a regular file for reading; see `SourceTree`."""
        return open_source(os.path.join(self._top, path))

    def heads(self, paths: Sequence[bytes]) -> Iterator[bytes | None]:
        """Yield the first 16 bytes of regular files; None of one that cannot be read."""
        for path in paths:
            try:
                with self.open(path) as file:
                    yield file.read(HEAD_BYTES)
            except (SourceError, OSError):
                yield None


def file_table(tree: SourceTree, paths: list[bytes]) -> FileTable:
    """List files with sizes and versions; both are 0 for what is not a regular file.

    ``paths`` are relative to the tree's root; links are followed.
    """
    length = np.zeros(len(paths), np.int64)
    version = np.zeros(len(paths), np.int64)
    for row, path in enumerate(paths):
        status = tree.stat(path)
        if status is not None and stat.S_ISREG(status.st_mode):
            length[row], version[row] = status.st_size, status.st_mtime_ns
    offset = np.full(len(paths), WHOLE_FILE, np.int64)
    return FileTable(Ragged.of_bytes(paths), offset, length, version)
