"""The lock of a run's folder: one training at a time writes there."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from freqprep.errors import RunError, StoreLockedError
from freqprep.progress import say
from freqprep.store.lock import locked_file

LOCK = "train.lock"
"""Name of the file in a run's folder, while a training writes there."""

_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}


@contextlib.contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a run's folder, which is made, during a block.

    It lies in the folder, not beside it as a store's: nodes may see the folder by several paths. On
    a file system without locks a note says so, and the block runs without.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    RunError
        Another process holds it.
    UsageError
        A file of that name exists and is not a lock.
    """
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(locked_file(folder / LOCK, folder))
        except StoreLockedError as error:
            raise RunError(error.message, error.remedy) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            (folder / LOCK).unlink(missing_ok=True)
            say(f"note: {folder} is on a file system without locks: begin no second training there")
        yield
