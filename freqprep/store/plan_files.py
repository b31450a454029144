"""Positions of a plan's images by now: in files that were repaired after it was made.

It is a file beside the plan, named after it, so that it is of no other plan and is replaced at
once, in a folder as in a bucket: the plan itself, which other runs may be reading, stays.
"""

from __future__ import annotations

import hashlib
import io

import numpy as np

from freqprep.sources.listing import FileTable
from freqprep.storage.disk import replace_file
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import AnyPath

POSITION = ("offset", "length", "version")
"""Columns of `FileTable` that a repair may change."""


def save_files(files: FileTable, folder: AnyPath) -> None:
    """Write where the images of a planned split lie, in row order."""
    buffer = io.BytesIO()
    np.savez(buffer, **{name: getattr(files, name) for name in POSITION})
    path = _path(folder)
    if isinstance(path, ObjectPath):
        path.write([buffer.getvalue()])
        return
    replace_file(path, buffer.getbuffer())


def load_files(folder: AnyPath) -> dict[str, np.ndarray]:
    """Return the columns that `save_files` wrote; none if it did not.

    Raises
    ------
    OSError, ValueError, zipfile.BadZipFile, EOFError
        The file is damaged.
    """
    path = _path(folder)
    if not path.is_file():
        return {}
    with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as archive:
        return {name: archive[name] for name in POSITION}


def _path(folder: AnyPath) -> AnyPath:
    plan = hashlib.sha256((folder / "plan.json").read_bytes()).hexdigest()[:16]
    return folder / f"files-{plan}.npz"
