"""The lock of a store: one writer at a time.

In a bucket it is a lease (`freqprep.store.lease`). Locally it is not that of the package filelock,
which names no holder, leaves the file behind, and where flock is missing locks in a way that
outlives a killed process. Without flock nothing is written to a store: two commands at once could
put shards of both below one manifest, and no check of hashes would find them.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from freqprep.errors import CorruptStoreError, StoreError, StoreLockedError, UsageError
from freqprep.storage.disk import make_folder
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import AnyPath
from freqprep.storage.regular_file import open_or_create
from freqprep.storage.temporary import remove_abandoned
from freqprep.store.layout import beside
from freqprep.store.lease import held_lease

_HOLDER = b"process "

NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}
"""Numbers of the errors of file systems without flock."""


@contextlib.contextmanager
def store_lock(store: AnyPath) -> Iterator[Callable[[], None]]:
    """Hold the store's lock, ``<store>.lock`` beside it, during a block.

    Parameters
    ----------
    store : Path or ObjectPath

    Yields
    ------
    callable
        Raises `LeaseLostError` if this process no longer holds the lock, which is possible in a
        bucket alone. Call it before what must not happen twice.

    Raises
    ------
    StoreLockedError
        Another process holds it.
    UsageError
        A file of that name exists and is not a lock.
    StoreError
        The file system has no locks.
    ObjectStoreError
        The bucket's server cannot hold a lock.
    """
    remove_abandoned()  # of killed writers; this one may have nothing left to do
    if isinstance(store, ObjectPath):
        with held_lease(beside(store, ".lock"), store) as lease:
            yield lease.confirm
    else:
        # One store has one lock, whatever links lead to it.
        path = beside(store.resolve(), ".lock")
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(locked_file(path, store))
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise
                raise StoreError(
                    f"{path} cannot be locked: its file system has no flock ({error.strerror})",
                    "mount it with locks (NFS 4; Lustre with -o flock), or write the store on"
                    " another disk and copy it: without a lock two commands could mix their shards",
                ) from None
            yield lambda: None


@contextlib.contextmanager
def locked_file(path: Path, written: Path) -> Iterator[None]:
    """Hold the lock of a file; the system releases it when the process ends, however it ends.

    Parameters
    ----------
    path : Path
        The file: made here, and removed at the end.
    written : Path
        Folder that only the holder writes to, for messages.

    Raises
    ------
    StoreLockedError
        Another process holds it.
    UsageError
        A file of that name exists and is not a lock.
    OSError
        One of `NO_LOCKS`; no file is left.
    """
    make_folder(path.parent)
    while True:
        try:
            descriptor = open_or_create(path, os.O_RDWR, 0o644)
        except CorruptStoreError:
            raise _not_a_lock(path) from None
        try:
            _acquire(descriptor, written, path)
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


def _acquire(descriptor: int, written: Path, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in NO_LOCKS and not os.fstat(descriptor).st_size:  # else it is no lock
            path.unlink(missing_ok=True)
        if not isinstance(error, BlockingIOError):
            raise
        holder = os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip()
        raise StoreLockedError(
            f"another command is writing to {written} ({holder or 'unknown process'})",
            "wait for it, or stop it, and run again",
        ) from None
    content = os.pread(descriptor, len(_HOLDER), 0)
    if not _HOLDER.startswith(content):
        raise _not_a_lock(path)


def _not_a_lock(path: Path) -> UsageError:
    return UsageError(
        f"{path} exists and is not a lock of freqprep", "rename it, or name another folder"
    )


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
