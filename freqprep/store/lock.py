"""The lock of a store: one writer at a time.

Not the package filelock: it names no holder, leaves the file behind, and where flock is missing
it locks in a way that outlives a killed process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from freqprep.errors import StoreLockedError, UsageError
from freqprep.store.layout import beside

_HOLDER = b"process "


@contextlib.contextmanager
def store_lock(store: Path) -> Iterator[None]:
    """Hold the store's lock, the file ``<store>.lock`` beside it, during a block.

    The system releases it when the process ends, however it ends.

    Raises
    ------
    StoreLockedError
        Another process holds it.
    UsageError
        A file of that name exists and is not a lock.
    """
    path = beside(store, ".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            _acquire(descriptor, store, path)
        except BaseException:
            os.close(descriptor)
            raise
        if _is_at(descriptor, path):
            break
        # The previous holder removed the file before releasing it: this one locks nothing.
        os.close(descriptor)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, _HOLDER + f"{os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _acquire(descriptor: int, store: Path, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip()
        raise StoreLockedError(
            f"another command is writing to {store} ({holder or 'unknown process'})",
            "wait for it, or stop it, and run again",
        ) from None
    content = os.pread(descriptor, len(_HOLDER), 0)
    if not _HOLDER.startswith(content):
        raise UsageError(f"{path} exists and is not the lock of a conversion", "name another store")


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
