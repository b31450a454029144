"""Positions of a plan's images by now: in files that were repaired after it was made.

It is a file beside the plan, named after it, so that it is of no other plan and is replaced at
once, in a folder as in a bucket: the plan itself, which other runs may be reading, stays.
"""

from __future__ import annotations

import hashlib
import io
from typing import Any

import numpy as np

from freqprep.sources.file_table import FileTable, TableFiles
from freqprep.storage.disk import replace_file
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import AnyPath
from freqprep.storage.regular_file import open_regular
from freqprep.store.plan_arrays import load_arrays

_COLUMNS = {"offset", "length", "rows", "version"}


def save_files(files: FileTable | TableFiles, folder: AnyPath) -> None:
    """Write where the images of a planned split lie, in the order of its listing."""
    buffer = io.BytesIO()
    columns: dict[str, Any] = files.columns
    np.savez(buffer, **columns)
    path = _path(folder)
    if isinstance(path, ObjectPath):
        path.write([buffer.getvalue()])
        return
    replace_file(path, buffer.getbuffer())


def load_files(folder: AnyPath) -> dict[str, np.ndarray]:
    """Return the columns that `save_files` wrote; none if it did not.

    Raises
    ------
    OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile
        The file is damaged.
    CorruptStoreError
        It is not a regular file.
    DiskFullError
        The folder for temporary files has no room for the columns.
    """
    path = _path(folder)
    if not path.is_file():
        return {}
    if isinstance(path, ObjectPath):
        columns = load_arrays(io.BytesIO(path.read_bytes()))
    else:
        with open(open_regular(path), "rb") as file:
            columns = load_arrays(file)
    if unknown := columns.keys() - _COLUMNS:
        raise ValueError(f"{path.name} has {sorted(unknown)[0]!r:.60}, which is no column of files")
    return columns


def _path(folder: AnyPath) -> AnyPath:
    plan = hashlib.sha256((folder / "plan.json").read_bytes()).hexdigest()[:16]
    return folder / f"listed-files-{plan}.npz"
