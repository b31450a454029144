"""Reads of source files that never block on anything but a regular file."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from functools import partial
from typing import BinaryIO, cast

import numpy as np

from freqprep.errors import CorruptStoreError, ImageDefect, SourceChangedError, SourceError
from freqprep.sources.file_table import NO_BYTES, WHOLE_FILE, FileTable
from freqprep.sources.listing import class_text
from freqprep.storage.concurrency import IN_FLIGHT
from freqprep.storage.interruptible import in_threads
from freqprep.storage.object_file import BUFFER_BYTES, ObjectFile
from freqprep.storage.object_listing import ObjectStatus
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import AnyPath
from freqprep.storage.regular_file import READ_FLAGS, file_kind, open_regular
from freqprep.text.terminal import on_one_line

_LONGEST_EXTENSION = 8


def shown(path: bytes) -> str:
    """Format a path for a message, on one line whatever its bytes."""
    return on_one_line(class_text(path))


def extension(path: bytes) -> bytes:
    """Return the extension of a name in lower case, without its dot; empty if it has none.

    Numbers and long texts behind a dot are none.
    """
    _, dot, found = path.rpartition(b"/")[2].rpartition(b".")
    if dot and len(found) <= _LONGEST_EXTENSION and found.isalnum() and not found.isdigit():
        return found.lower()
    return b""


def as_bytes(path: AnyPath) -> bytes:
    """Return a path or URL as bytes, for messages and to join others to."""
    return os.fsencode(str(path))


def open_source(path: bytes) -> BinaryIO:
    """Open a regular file of a source for reading.

    Raises
    ------
    SourceError
        The file cannot be opened, or is not a regular file.
    """
    try:
        return os.fdopen(open_regular(path, shown(path)), "rb")
    except OSError as error:
        raise SourceError(
            f"cannot read {shown(path)}: {error.strerror}", "check the file and its permissions"
        ) from error
    except CorruptStoreError as error:
        raise SourceError(error.message, error.remedy) from None


def open_file(
    root: AnyPath, path: bytes, version: int | None = None, buffer_bytes: int = BUFFER_BYTES
) -> BinaryIO:
    """Open a file of a source for reading, of this machine or of a bucket or web server.

    Parameters
    ----------
    root : Path or ObjectPath
        Folder of the source's files.
    path : bytes
        Path of the file, relative to ``root``.
    version : int, optional
        Version that it must have, as in ``FileTable``.
    buffer_bytes : int, optional
        Fewest bytes that a request for an object's asks for.

    Returns
    -------
    BinaryIO
        A buffered one; its reads return as much as was asked for, unless the file ends before.

    Raises
    ------
    SourceError
        The file cannot be opened, or is not a regular file.
    SourceChangedError
        It has another version; for an object also whenever it is read.
    """
    if isinstance(root, ObjectPath):
        return cast(BinaryIO, _open_object(root / path.decode(), version, buffer_bytes))
    full = os.path.join(os.fsencode(root), path)
    file = open_source(full)
    found = opened_status(file).version
    if version not in (None, found):
        file.close()
        raise _changed(full, f"was last changed at {version} ns, now at {found} ns")
    return file


def open_path(path: AnyPath) -> BinaryIO:
    """Open a file for reading, wherever it is; see `open_file`."""
    if isinstance(path, ObjectPath):
        return cast(BinaryIO, _open_object(path))
    return open_source(bytes(path))


def _open_object(
    path: ObjectPath, version: int | None = None, buffer_bytes: int = BUFFER_BYTES
) -> ObjectFile:
    file = ObjectFile(path, version, buffer_bytes)
    try:
        _ = file.status  # asks for it
    except FileNotFoundError:
        raise SourceError(f"cannot read {path}: it does not exist", "check the address") from None
    return file


def opened_status(file: BinaryIO) -> ObjectStatus:
    """Return length and version, as in ``FileTable``, of what `open_file` opened."""
    if isinstance(file, ObjectFile):
        return file.status
    status = os.fstat(file.fileno())
    return ObjectStatus(status.st_size, status.st_mtime_ns)


def read_image_bytes(
    root: AnyPath, path: bytes, offset: int, length: int, version: int, limit: int
) -> bytes:
    """Read the bytes of one image, if its file has not changed since it was listed.

    Parameters
    ----------
    root : Path or ObjectPath
        Folder of the source's files.
    path : bytes
        Path of the file or archive, relative to ``root``.
    offset : int
        First byte inside the archive, or ``WHOLE_FILE``.
    length : int
        Size of the image in bytes; 0 if the file was missing, ``NO_BYTES`` for a null in a table.
    version : int
        Version of the file or archive, as in ``FileTable``; 0 if it was missing.
    limit : int
        Largest image that is read, in bytes.

    Returns
    -------
    bytes
        Exactly ``length`` bytes.

    Raises
    ------
    ImageDefect
        ``missing``, ``unreadable``, ``not_a_file``, ``too_large`` or ``empty``.
    SourceChangedError
        The file has changed since it was listed.
    """
    if length == NO_BYTES:
        raise ImageDefect("missing", "null in the table")
    if isinstance(root, ObjectPath):
        return _read_object(root / path.decode(), offset, length, version, limit)
    full = os.path.join(os.fsencode(root), path)
    listed = (length, version) != (0, 0)
    try:
        fd = os.open(full, READ_FLAGS)
    except OSError as error:
        raise _open_failure(full, error, listed) from error
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise _special_file(full, status.st_mode, listed)
        _check_unchanged(full, status, offset, length, version)
        _check_size(length, limit)
        return _read(fd, full, max(offset, 0), length)
    finally:
        os.close(fd)


def read_images(root: AnyPath, table: FileTable, limit: int) -> Iterator[bytes | ImageDefect]:
    """Read images in turn; of a bucket or web server, ahead with many requests in flight.

    Parameters
    ----------
    root : Path or ObjectPath
        Folder of the source's files.
    table : FileTable
    limit : int
        Largest image that is read, in bytes.

    Returns
    -------
    iterator of bytes or ImageDefect
        Bytes of each image, or the reason why it cannot be read; see `read_image_bytes`.

    Raises
    ------
    SourceChangedError
        A file has changed since it was listed.
    ObjectStoreError
        The server refuses, or cannot be reached.
    """

    def read(row: int) -> bytes | ImageDefect:
        offset, length, version = (
            int(column[row]) for column in (table.offset, table.length, table.version)
        )
        try:
            return read_image_bytes(root, table.paths.bytes_at(row), offset, length, version, limit)
        except ImageDefect as defect:
            return defect

    rows = range(len(table))
    if isinstance(root, ObjectPath):
        sizes = np.clip(table.length, 0, limit).tolist()
        return in_threads((partial(read, row) for row in rows), IN_FLIGHT, sizes)
    return map(read, rows)


def _read_object(path: ObjectPath, offset: int, length: int, version: int, limit: int) -> bytes:
    name, data = str(path).encode(), b""
    if (length, version) == (0, 0):
        raise ImageDefect("missing", "no such file")
    try:
        if 0 < length <= limit:
            data, status = path.read_range(max(offset, 0), length)
        else:
            status = path.status()
    except FileNotFoundError:
        raise _changed(name, "is gone") from None
    except EOFError:
        raise _changed(name, f"ends before byte {max(offset, 0) + 1}") from None
    if status.version != version:
        raise _changed(name, "has been written again")
    _check_length(name, status.length, offset, length)
    _check_size(length, limit)
    if len(data) != length:
        raise _changed(name, f"ends after {max(offset, 0) + len(data)} bytes")
    return data


_OF_THE_MACHINE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE)
"""Errors that say nothing of a file: they stop the run, which can be resumed."""


def _open_failure(full: bytes, error: OSError, listed: bool) -> Exception:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        # A disk that disappears must stop the run, not reject every image on it.
        return _changed(full, "is gone") if listed else ImageDefect("missing", "no such file")
    if error.errno in _OF_THE_MACHINE:
        return error
    if error.errno == errno.ENXIO:
        return _special_file(full, os.stat(full).st_mode, listed)
    return ImageDefect("unreadable", error.strerror or str(error))


def _special_file(full: bytes, mode: int, listed: bool) -> Exception:
    if listed:
        return _changed(full, f"is now a {file_kind(mode)}")
    return ImageDefect("not_a_file", f"is a {file_kind(mode)}")


def _check_unchanged(
    full: bytes, status: os.stat_result, offset: int, length: int, version: int
) -> None:
    if status.st_mtime_ns != version:
        raise _changed(full, f"was last changed at {version} ns, now at {status.st_mtime_ns} ns")
    _check_length(full, status.st_size, offset, length)


def _check_length(full: bytes, found: int, offset: int, length: int) -> None:
    if offset == WHOLE_FILE and found != length:
        raise _changed(full, f"had {length} bytes, now {found}")
    if offset != WHOLE_FILE and found < offset + length:
        raise _changed(full, f"had {offset + length} bytes or more, now {found}")


def _check_size(length: int, limit: int) -> None:
    if length > limit:
        raise ImageDefect("too_large", f"{length} bytes; at most {limit} are read")
    if length == 0:
        raise ImageDefect("empty", "0 bytes")


def _changed(full: bytes, what: str) -> SourceChangedError:
    return SourceChangedError(
        f"{shown(full)} is not what the conversion was planned with: it {what}",
        "restore it, or convert again with --overwrite",
    )


def _read(fd: int, full: bytes, start: int, length: int) -> bytes:
    parts = []
    done = 0
    while done < length:
        try:
            part = os.pread(fd, length - done, start + done)
        except OSError as error:
            if error.errno in _OF_THE_MACHINE:
                raise
            raise ImageDefect("unreadable", error.strerror or str(error)) from error
        if not part:
            raise _changed(full, f"ends after {start + done} bytes")
        parts.append(part)
        done += len(part)
    return b"".join(parts)
