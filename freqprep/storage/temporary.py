"""Temporary folders and shared memory that are removed by the next command where one was killed.

Each process locks a file in its folder; the system gives the lock back however the process ends. So
a folder whose lock is free was left, whatever numbers or names processes have by then. Names of
shared memory are noted in a folder.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import re
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_PREFIX = "freqprep-"
_LOCK = "in-use"
_NEW_LOCK = f"{_LOCK}.new"
_OLD_SECONDS = 86_400
_FILES = "files"
_SEGMENTS = "segments"
_SHARED_MEMORY = Path("/dev/shm")
_FOLDER = re.compile(rf"{_PREFIX}[a-z0-9_]{{8}}")
_NAME = re.compile(r"sem\.loky-\d+-\w+")


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Create an empty folder in ``TMPDIR``, removed with all in it at the end of the block.

    After a kill the next command removes it.

    Yields
    ------
    Path
    """
    remove_abandoned()
    folder, descriptor = _make()
    try:
        files = folder / _FILES
        files.mkdir()
        yield files
    finally:
        _remove(folder, descriptor)


def _make() -> tuple[Path, int]:
    """Create a folder; return it, and the descriptor that holds its lock."""
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    lock = folder / _NEW_LOCK
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with contextlib.suppress(OSError):  # a file system without locks: nobody else removes it
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock.rename(lock.with_name(_LOCK))
    return folder, descriptor


def _remove(folder: Path, descriptor: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    os.close(descriptor)


@cache
def remove_abandoned() -> None:
    """Remove, once, what killed commands of this user have left."""
    with contextlib.suppress(OSError):
        for lock in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_LOCK}"):
            with contextlib.suppress(OSError):
                _remove_if_abandoned(lock)
        for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
            with contextlib.suppress(OSError):
                _remove_if_never_used(folder)


def _remove_if_never_used(folder: Path) -> None:
    """Remove what was left by a kill before the lock: nobody takes a day from there to its use."""
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        return
    is_old = time.time() - status.st_mtime > _OLD_SECONDS
    if is_old and _FOLDER.fullmatch(folder.name) and {*os.listdir(folder)} <= {_NEW_LOCK}:
        (folder / _NEW_LOCK).unlink(missing_ok=True)
        folder.rmdir()  # fails if it is used meanwhile


def _remove_if_abandoned(lock: Path) -> None:
    folder = lock.parent
    if folder.is_symlink() or folder.lstat().st_uid != os.getuid():
        return
    descriptor = os.open(lock, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # an error while it is in use
        noted = folder / _SEGMENTS
        for name in noted.read_text().split() if noted.is_file() else ():
            if _NAME.fullmatch(name):
                (_SHARED_MEMORY / name).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)


class _Noted:
    """The names of this process's shared memory, in a folder of its own."""

    def __init__(self) -> None:
        self._lock, self._process, self._file = threading.Lock(), 0, Path()

    def note(self, pattern: str) -> None:
        """Note what is there now."""
        with self._lock:
            if self._process != os.getpid():  # the first time, or after a fork
                folder, descriptor = _make()
                self._process, self._file = os.getpid(), folder / _SEGMENTS
                atexit.register(self._end, self._process, folder, descriptor)
            names = sorted(path.name for path in _SHARED_MEMORY.glob(pattern))
            self._file.write_text("\n".join(names))

    @staticmethod
    def _end(process: int, folder: Path, descriptor: int) -> None:
        if process == os.getpid():
            _remove(folder, descriptor)


_noted = _Noted()


def note_segments(pattern: str) -> None:
    """Note the shared memory of this process, for the next one to remove after a kill.

    Parameters
    ----------
    pattern : str
        Of all its names in ``/dev/shm``.
    """
    with contextlib.suppress(OSError):
        _noted.note(pattern)
