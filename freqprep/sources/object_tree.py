"""Folders of a bucket, which has none: made in memory from one list of all keys."""

from __future__ import annotations

import os
import stat
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import BinaryIO, NamedTuple

from freqprep.sources.files import extension, open_file
from freqprep.storage.concurrency import IN_FLIGHT
from freqprep.storage.interruptible import in_threads
from freqprep.storage.object_path import ObjectPath

HEAD_BYTES = 16
"""Bytes of a file's beginning that say whether it is an image."""


class ObjectStat(NamedTuple):
    """Status of an object, or of a prefix as a folder, by the names of `os.stat_result`.

    ``st_mtime_ns`` is the version; see `freqprep.sources.file_table.FileTable`.
    """

    st_mode: int
    st_size: int
    st_mtime_ns: int
    st_dev: int
    st_ino: int


class _ObjectEntry(NamedTuple):
    name: bytes
    status: ObjectStat

    def is_dir(self) -> bool:
        return stat.S_ISDIR(self.status.st_mode)

    def stat(self) -> ObjectStat:
        return self.status


class _Prefix:
    """Entries directly below a prefix: objects in columns, as there may be millions of them."""

    def __init__(self, number: int) -> None:
        self.status = ObjectStat(stat.S_IFDIR, 0, 0, 0, number)
        self.folders: set[bytes] = set()
        self.names: list[bytes] = []
        self._length, self._version = array("q"), array("q")
        self._rows: dict[bytes, int] = {}

    def add(self, name: bytes, length: int, version: int) -> None:
        self.names.append(name)
        self._length.append(length)
        self._version.append(version)

    def find(self, name: bytes) -> ObjectStat | None:
        if len(self._rows) < len(self.names):  # when first asked
            self._rows = {name: row for row, name in enumerate(self.names)}
        row = self._rows.get(name)
        return None if row is None else self._status(row)

    def objects(self) -> Iterator[_ObjectEntry]:
        """Yield the objects; an empty one with the name of a folder only marks the folder."""
        for row, name in enumerate(self.names):
            if self._length[row] or name not in self.folders:
                yield _ObjectEntry(name, self._status(row))

    def _status(self, row: int) -> ObjectStat:
        return ObjectStat(stat.S_IFREG, self._length[row], self._version[row], 0, 0)


class ObjectTree:
    """Objects below a prefix of a bucket, as they were listed.

    Parameters
    ----------
    root : ObjectPath
    objects : iterable of (bytes, int, int)
        Key relative to the root, length and version of each.
    """

    def __init__(self, root: ObjectPath, objects: Iterable[tuple[bytes, int, int]]) -> None:
        self.root = root
        self._prefixes = {b"": _Prefix(0)}
        for key, length, version in objects:
            parent, _, name = key.rpartition(b"/")
            self._prefix(parent).add(name, length, version)

    def _prefix(self, path: bytes) -> _Prefix:
        found = self._prefixes.get(path)
        if found is None:
            parent, _, name = path.rpartition(b"/")
            self._prefix(parent).folders.add(name)
            found = self._prefixes[path] = _Prefix(len(self._prefixes))
        return found

    @property
    def is_empty(self) -> bool:
        """Whether there are no objects."""
        return len(self._prefixes) == 1 and not self._prefixes[b""].names

    def entries(self, folder: bytes) -> Iterator[_ObjectEntry]:
        """Yield what is directly below a prefix."""
        here = self._prefixes[folder]
        yield from here.objects()
        for name in here.folders:
            yield _ObjectEntry(name, self._prefixes[os.path.join(folder, name)].status)

    def stat(self, path: bytes) -> ObjectStat | None:
        """Return the status of an object or prefix; None if there is none.

        A path that leads out of the tree by ``..`` needs a request.
        """
        path = _inside(path)
        if path.startswith(b"../"):
            return self._outside(path)
        if path in self._prefixes:
            return self._prefixes[path].status
        parent, _, name = path.rpartition(b"/")
        found = self._prefixes.get(parent)
        return None if found is None else found.find(name)

    def _outside(self, path: bytes) -> ObjectStat | None:
        try:
            length, version = (self.root.parent / path[3:].decode()).status()
        except FileNotFoundError:
            return None
        return ObjectStat(stat.S_IFREG, length, version, 0, 0)

    def walk(self, folder: bytes, enter: Callable[[bytes], bool]) -> Iterator[bytes]:
        """Yield the paths of all objects below a prefix; see `SourceTree`."""
        here = self._prefixes.get(folder)
        if here is None:
            return
        for name in sorted(entry.name for entry in here.objects()):
            yield os.path.join(folder, name)
        for name in sorted(filter(enter, here.folders)):
            yield from self.walk(os.path.join(folder, name), enter)

    def open(self, path: bytes) -> BinaryIO:
        """Open an object for reading, of the version that was listed; see `SourceTree`."""
        path = _inside(path)
        if path.startswith(b"../"):
            return open_file(self.root.parent, path[3:])
        found = self.stat(path)
        return open_file(self.root, path, None if found is None else found.st_mtime_ns)

    def heads(self, paths: Sequence[bytes]) -> Iterator[bytes | None]:
        """Yield the first 16 bytes of objects without an extension, nothing of others."""
        return in_threads((partial(self._head, path) for path in paths), IN_FLIGHT)

    def _head(self, path: bytes) -> bytes | None:
        found = self.stat(path)
        if extension(path) or found is None or not found.st_size:
            return b""
        try:
            return (self.root / path.decode()).read_range(0, HEAD_BYTES)[0]
        except (FileNotFoundError, EOFError):
            return None


def _inside(path: bytes) -> bytes:
    """Return a path without ``..``, but for those at its beginning, as keys have none."""
    return os.path.normpath(path) if b".." in path.split(b"/") else path
