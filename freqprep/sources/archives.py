"""Positions of the images in tar archives, without unpacking them."""

from __future__ import annotations

import re
import tarfile
from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, cast

from freqprep.errors import FreqprepError, SourceError
from freqprep.sources.by_class import ImageEntry
from freqprep.sources.files import open_file, opened_status, shown
from freqprep.sources.folders import (
    SNIFFED,
    is_hidden,
    is_named_image,
    looks_like_image,
    not_an_image,
)
from freqprep.storage.paths import AnyPath

_HEADER_BYTES = 64 * 2**10
"""Bytes of a request for a header, where members are large: those behind it are not read."""

_LARGEST_HEADER = 2**20
_LARGEST_PADDING = 2**20
"""Most bytes behind the end of an archive that are looked at; tar itself pads to 10 KiB."""

_HERE = re.compile(rb"^(\./+)+")
SPARSE = "sparse file"
"""`Member.kind` of a file without the bytes that are zero."""

_REMEDY = "the archive is damaged or cut off: download it again"


class Span(NamedTuple):
    """Range of bytes in an archive: all of it, or a member that is a tar itself."""

    archive: bytes
    start: int
    length: int


class Member(NamedTuple):
    """Member of an archive that is not a folder.

    Attributes
    ----------
    name : bytes
        As in the archive, without ``./`` before it.
    start, length : int
        Its bytes in the outermost file.
    kind : str
        Empty for a regular file whose bytes are there, else what it is: ``link``, ``device``.
    """

    name: bytes
    start: int
    length: int
    kind: str = ""


def members(root: AnyPath, span: Span, ignored: Counter[str]) -> list[Member]:
    """Return the regular files of an uncompressed tar; of files with one name, the last one.

    Raises
    ------
    SourceError
        The archive cannot be read, is damaged or is cut off.
    """
    with open_file(root, span.archive, buffer_bytes=_HEADER_BYTES) as file:
        return _members(file, span, ignored)


def images(
    root: AnyPath, span: Span, ignored: Counter[str], folder: bytes = b""
) -> list[ImageEntry]:
    """Return the images in an uncompressed tar, in no particular order.

    Parameters
    ----------
    root : Path or ObjectPath
        Folder of the source.
    span : Span
        Span of the tar.
    ignored : Counter
        Counts, by description, members that are not images.
    folder : bytes
        Leading folder that is removed from keys.

    Returns
    -------
    list of ImageEntry

    Raises
    ------
    SourceError
        The archive cannot be read, is damaged or is cut off.
    """
    found = []
    with open_file(root, span.archive) as file:
        version = opened_status(file).version
        for name, start, length, _ in _members(file, span, ignored):
            key = name.removeprefix(folder + b"/")
            if any(map(is_hidden, key.split(b"/"))):
                ignored["hidden or system file"] += 1
            elif is_named_image(key) or looks_like_image(_head(file, start, length)):
                found.append(ImageEntry(key, span.archive, start, length, version))
            else:
                ignored[not_an_image(key)] += 1
    return found


def _head(file: BinaryIO, start: int, length: int) -> bytes:
    file.seek(start)
    return file.read(min(SNIFFED, length))


def _members(file: BinaryIO, span: Span, ignored: Counter[str]) -> list[Member]:
    found: dict[bytes, Member] = {}
    for member in entries(file, span):
        name = member.name.lstrip(b"/")
        if member.kind:
            ignored["not a regular file in an archive"] += 1
        else:
            found[name] = member._replace(name=name)
    return list(found.values())


def entries(file: BinaryIO, span: Span) -> Iterator[Member]:
    """Yield the members of an uncompressed tar in order, except folders.

    The file may be read between two of them.

    Raises
    ------
    SourceError
        The archive cannot be read, is damaged or is cut off.
    """
    for info in _headers(file, span):
        if not info.isdir():
            name = _HERE.sub(b"", info.name.encode("utf-8", "surrogateescape"))
            yield Member(name, info.offset_data, info.size, _kind(info))


def _kind(info: tarfile.TarInfo) -> str:
    if info.issparse():
        return SPARSE
    if info.isreg():
        return ""
    return "link" if info.issym() or info.islnk() else "device"


class _Headers:
    """File that `tarfile` reads headers from: no more at once than these can have."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _LARGEST_HEADER:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._file.read(size)


def _headers(file: BinaryIO, span: Span) -> Iterator[tarfile.TarInfo]:
    # tarfile takes a damaged header for the end of the archive and stops silently, so the
    # block at which it stopped is checked here.
    end = span.start + span.length
    last = ""
    file.seek(span.start)
    try:
        headers = cast(BinaryIO, _Headers(file))
        with tarfile.open(fileobj=headers, mode="r:", encoding="utf-8") as tar:
            for info in tar:
                if info.size < 0:
                    raise tarfile.ReadError(f"a member of {info.size} bytes")
                last = f" after {info.name!r}"
                # Else all members of a large archive stay in memory.
                tar.members.clear()  # type: ignore[attr-defined]
                if info.isreg() and info.offset_data + info.size > end:
                    raise SourceError(
                        f"{_where(span)}: the member {info.name!r} needs bytes up to"
                        f" {info.offset_data + info.size}, but there are {end}",
                        _REMEDY,
                    )
                yield info
            stopped = tar.offset
    except FreqprepError:
        raise
    except (
        tarfile.TarError,
        OSError,
        EOFError,
        ValueError,
        ArithmeticError,
        RecursionError,
    ) as error:
        raise SourceError(f"{_where(span)}: not a whole tar{last}: {error}", _REMEDY) from error
    _check_end(file, span, stopped, last)


def _check_end(file: BinaryIO, span: Span, stopped: int, last: str) -> None:
    """Refuse an archive without the empty block that ends it, or with more than those behind it."""
    end = span.start + span.length
    file.seek(stopped)
    if stopped + tarfile.BLOCKSIZE > end or any(file.read(tarfile.BLOCKSIZE)):
        raise SourceError(
            f"{_where(span)}: no member header and no end of archive at byte {stopped}{last}",
            _REMEDY,
        )
    behind = stopped + tarfile.BLOCKSIZE
    if any(file.read(min(end - behind, _LARGEST_PADDING))):
        raise SourceError(
            f"{_where(span)}: it ends at byte {stopped}{last}, but other data follow: they may be"
            " a second archive",
            "unpack it with tar --ignore-zeros -xf and pack it again, or download it again",
        )


def _where(span: Span) -> str:
    return f"{shown(span.archive)} at byte {span.start}" if span.start else shown(span.archive)
