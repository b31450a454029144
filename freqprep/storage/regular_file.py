"""Reading whole files that may come from anyone: never a pipe or device, and never without end."""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedRandom
from pathlib import Path

from freqprep.errors import CorruptStoreError
from freqprep.storage.object_path import ObjectPath

_KINDS = {
    stat.S_IFDIR: "directory",
    stat.S_IFIFO: "FIFO",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
}

# A FIFO without a writer would block open() for ever; O_NONBLOCK returns at once and changes
# nothing for regular files.
READ_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
"""Flags of `os.open` for a file that may be anything."""


def file_kind(mode: int) -> str:
    """Return a word for the kind of a file that is not regular, from its ``st_mode``."""
    return _KINDS.get(stat.S_IFMT(mode), "special file")


def open_regular(path: Path | bytes, shown: str | None = None) -> int:
    """Open a regular file for reading; links are followed.

    Parameters
    ----------
    path : Path or bytes
    shown : str, optional
        The path as a message has it; needed for bytes.

    Returns
    -------
    int
        Descriptor of the open file.

    Raises
    ------
    OSError
        It cannot be opened.
    CorruptStoreError
        It is not a regular file.
    """
    descriptor = os.open(path, READ_FLAGS)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    raise _no_file(shown or path, file_kind(mode))


def open_or_create(path: Path, flags: int, mode: int) -> int:
    """Open a regular file to be written to, or create it; the last name may be no link.

    Parameters
    ----------
    path : Path
    flags : int
        Of `os.open`: how it is written to.
    mode : int
        Permissions of a new file.

    Returns
    -------
    int
        Descriptor of the open file.

    Raises
    ------
    OSError
        It cannot be opened.
    CorruptStoreError
        It is not a regular file, or a link to one: what is written would go elsewhere.
    """
    flags |= os.O_CREAT | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, mode)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise
        kind = "symbolic link" if path.is_symlink() else file_kind(path.stat().st_mode)
        raise _no_file(path, kind) from None
    found = os.fstat(descriptor).st_mode
    if stat.S_ISREG(found):
        return descriptor
    os.close(descriptor)
    raise _no_file(path, file_kind(found))


def open_to_append(path: Path) -> BufferedRandom:
    """Open a file for reading and appending, or create it; errors as of `open_or_create`."""
    return open(open_or_create(path, os.O_RDWR | os.O_APPEND, 0o666), "a+b")


def _no_file(path: object, kind: str) -> CorruptStoreError:
    return CorruptStoreError(f"{path} is a {kind}, not a file", "remove or replace it")


def read_regular(path: Path | ObjectPath, most: int) -> bytes:
    """Read a file of this machine, or an object, of at most a number of bytes.

    Raises
    ------
    OSError
        It cannot be read.
    CorruptStoreError
        It is not a regular file, or larger; one that grows while it is read is larger, too.
    ObjectStoreError
        The server refuses, or cannot be reached.
    """
    if isinstance(path, ObjectPath):
        data = path.read_bytes(most)
    else:
        with open(open_regular(path), "rb") as file:
            data = file.read(most + 1)
    if len(data) > most:
        raise CorruptStoreError(f"{path} has more than {most} bytes", "restore it from a copy")
    return data
