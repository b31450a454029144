"""Atomic, durable writes of files, and a named error for a full disk."""

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

from freqprep.errors import DiskFullError, StoreError

_ASIDE = ".writing-"
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True)
class FileEntry:
    """Length of a file in bytes, and its SHA-256 in hexadecimal."""

    file_bytes: int
    sha256: str

    @classmethod
    def of(cls, data: bytes) -> FileEntry:
        """Return length and hash of a file with this content."""
        return cls(len(data), hashlib.sha256(data).hexdigest())


@contextlib.contextmanager
def full_disk_named(where: Path) -> Iterator[None]:
    """Turn the system's errors of a full disk, quota or file size limit into `DiskFullError`."""
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK_FULL:
            raise
        raise DiskFullError(
            f"{error.strerror} while writing to {where} ({free_bytes(where) / 1e6:.0f} MB free)",
            "free some space and run the command again, a run that can resume with --resume",
        ) from None


def free_bytes(path: Path) -> int:
    """Return the free bytes of the disk that a path is or will be on."""
    existing = Path(os.path.abspath(path))
    while not existing.exists():
        existing = existing.parent
    return shutil.disk_usage(existing).free


def refuse_links(top: Path, folder: Path) -> None:
    """Refuse to write into a folder that leads out of another by a link.

    Parameters
    ----------
    top : Path
        The other; it may be reached by links itself.
    folder : Path
        Inside it. A file in it may be a link: one that is renamed there replaces it.

    Raises
    ------
    StoreError
        The folder, or one between the two, is a symbolic link.
    """
    for one in reversed((folder, *folder.parents)):
        if one.is_relative_to(top) and one != top and one.is_symlink():
            raise StoreError(
                f"{one} is a symbolic link, and nothing is written through it",
                "replace it by the folder that it leads to",
            )


def sync_folder(folder: Path) -> None:
    """Sync the entries of a folder to disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Create a folder, and those above it, durably; what exists stays as it is."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for one in missing:
        sync_folder(one.parent)


def sync_file(path: Path) -> None:
    """Sync the content of a file to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, data: bytes | memoryview) -> None:
    """Write a file durably and at once: readers see the old content or the new one."""
    aside = path.with_name(f"{path.name}.tmp")
    aside.unlink(missing_ok=True)  # it may be a link, left by who knows
    aside.write_bytes(data)
    sync_file(aside)
    os.replace(aside, path)
    sync_folder(path.parent)


def write_parts(path: Path, parts: Iterable[bytes], aside: Path) -> FileEntry:
    """Write a file under a temporary name, sync it, and rename it.

    If that fails, the temporary file is removed.

    Parameters
    ----------
    path : Path
    parts : iterable of bytes
        Content of the file.
    aside : Path
        Folder for the temporary file, on the same file system.

    Returns
    -------
    FileEntry
        Length and hash of the file.
    """
    digest = hashlib.sha256()
    written = 0
    name = aside / f"{_ASIDE}{path.name}-{secrets.token_hex(4)}"
    # The system applies the umask; reading it would mean changing it, for all threads.
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
    """Remove the temporary files of `write_parts` for some files, left by killed processes."""
    for name in names:
        for path in folder.glob(f"{_ASIDE}{glob.escape(name)}-*"):
            path.unlink(missing_ok=True)
