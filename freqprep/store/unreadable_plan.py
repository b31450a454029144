"""The error of a plan that cannot be read: damage, or what is no fault of its files."""

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


def unreadable(folder: AnyPath, error: Exception) -> StoreError:
    """Return the error of an unfinished split whose plan cannot be read."""
    remedy = _ELSEWHERE.get(error.errno or 0) if isinstance(error, OSError) else None
    if isinstance(error, MemoryError):
        remedy = _MORE_MEMORY
    if remedy is not None:
        what = getattr(error, "strerror", None) or "memory ran out"
        return StoreError(f"the plan in {folder} cannot be read: {what}", remedy)
    return CorruptStoreError(
        f"the plan in {folder} cannot be read ({error})", "start over with --overwrite"
    )
