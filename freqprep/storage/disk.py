"""Files that are whole or not there, also after a power cut; and a full disk by its name."""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from freqprep.errors import DiskFullError

_ASIDE = ".writing-"
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True)
class FileEntry:
    """One file: its length in bytes and its SHA-256 in hexadecimal."""

    file_bytes: int
    sha256: str


@contextlib.contextmanager
def full_disk_named(where: Path) -> Iterator[None]:
    """Turn the system's "no space", "quota" and "file too large" into `DiskFullError`."""
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK_FULL:
            raise
        raise DiskFullError(
            f"{error.strerror} while writing to {where} ({free_bytes(where) / 1e6:.0f} MB free)",
            "make room and run the same command again, a conversion or a training with --resume",
        ) from None


def free_bytes(path: Path) -> int:
    """Free space of the disk where a path is or will be."""
    place = Path(os.path.abspath(path))
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def sync_folder(folder: Path) -> None:
    """Make the folder's names durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Make a file's content durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_parts(path: Path, parts: Iterable[bytes], aside: Path) -> FileEntry:
    """Write a file aside, sync it, rename it into place; return its length and hash.

    What was written aside is removed where that fails.
    """
    digest = hashlib.sha256()
    written = 0
    name = aside / f"{_ASIDE}{path.name}-{secrets.token_hex(4)}"
    # The system applies the umask: asking for it means to change it, for all threads.
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            for part in parts:
                file.write(part)
                digest.update(part)
                written += len(part)
            file.flush()
            os.fsync(descriptor)
        os.rename(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
    sync_folder(path.parent)
    return FileEntry(written, digest.hexdigest())


def remove_aside(folder: Path, names: Iterable[str]) -> None:
    """Remove what `write_parts` left of some files when its process was killed."""
    for name in names:
        for path in folder.glob(f"{_ASIDE}{glob.escape(name)}-*"):
            path.unlink(missing_ok=True)
