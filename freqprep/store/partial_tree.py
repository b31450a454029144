"""The folders of an unfinished split: who may write into them, and that they last."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from freqprep.storage.disk import sync_file, sync_folder
from freqprep.store.schema import COEFFICIENTS


def share_as(folder: Path, store: Path) -> None:
    """Let those into a folder who may write into the store: workers may be of another user."""
    os.chmod(folder, stat.S_IMODE(os.stat(store).st_mode))


def sync_tree(folder: Path) -> None:
    """Sync all files and folders of a split but the shards, which are synced one by one."""
    for parent, folders, names in os.walk(folder):
        if Path(parent) == folder / COEFFICIENTS:
            folders.clear()
        for name in names:
            sync_file(Path(parent, name))
        sync_folder(Path(parent))
