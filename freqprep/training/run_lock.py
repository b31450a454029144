"""The lock of a run's folder: one training at a time writes there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from freqprep.errors import RunError, StoreLockedError
from freqprep.progress import say
from freqprep.store.lock import NO_LOCKS, locked_file

LOCK = "train.lock"
"""Name of the file in a run's folder, while a training writes there."""


@contextlib.contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a run's folder, which is made, during a block.

    Folders that were made for it and are empty at the end, of a run that could not begin, are
    removed. The lock lies in the folder, not beside it as a store's: nodes may see the folder by
    several paths. On a file system without locks a note says so, and the block runs without.

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
    new = [one for one in (folder, *folder.parents) if not one.exists()]
    with contextlib.ExitStack() as held:
        held.callback(_remove_empty, new)
        try:
            held.enter_context(locked_file(folder / LOCK, folder))
        except StoreLockedError as error:
            raise RunError(error.message, error.remedy) from None
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            say(f"note: {folder} is on a file system without locks: begin no second training there")
        yield


def _remove_empty(folders: Sequence[Path]) -> None:
    """Remove folders up to the first that holds something."""
    with contextlib.suppress(OSError):
        for folder in folders:
            folder.rmdir()
