"""The error of a file that cannot be read: damage, or what is no fault of the file."""

from __future__ import annotations

import errno

from freqprep.errors import CorruptStoreError, StoreError
from freqprep.storage.paths import AnyPath

_MORE_FILES = "allow more open files (`ulimit -n`), or fewer --jobs, and run again"
_MORE_MEMORY = "free some memory, and run again"
_ELSEWHERE = {
    errno.EMFILE: _MORE_FILES,
    errno.ENFILE: _MORE_FILES,
    errno.ENOMEM: _MORE_MEMORY,
    errno.EACCES: "check its permissions",
    errno.EPERM: "check its permissions",
}


def unreadable(what: str, error: Exception, remedy: str) -> StoreError:
    """Return the error of what cannot be read.

    Parameters
    ----------
    what : str
        Its name in the message.
    error : Exception
        What came of reading it.
    remedy : str
        What to do about damage.

    Returns
    -------
    StoreError
        A `CorruptStoreError`, unless the process lacks memory, open files or permissions.
    """
    elsewhere = _ELSEWHERE.get(error.errno or 0) if isinstance(error, OSError) else None
    if isinstance(error, MemoryError):
        elsewhere = _MORE_MEMORY
    if elsewhere is not None:
        why = getattr(error, "strerror", None) or "memory ran out"
        return StoreError(f"{what} cannot be read: {why}", elsewhere)
    return CorruptStoreError(f"{what} cannot be read: {error}", remedy)


def unreadable_plan(folder: AnyPath, error: Exception) -> StoreError:
    """Return the error of an unfinished split whose plan cannot be read."""
    return unreadable(f"the plan in {folder}", error, "start over with --overwrite")
