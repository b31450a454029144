"""Pictures of detections, one file for each image."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from freqprep.drawing import picture_files
from freqprep.errors import UsageError, some
from freqprep.sources.files import shown
from freqprep.store.targets import check_folder, refuse_replacing

_LONGEST_STEM = 240
"""Bytes; file systems allow 255 for a name."""


def picture_paths(folder: Path, files: Sequence[bytes], overwrite: bool = False) -> list[Path]:
    """Return the path of each file's picture: its name, ending in ``.png``.

    Of files with the same name the second one's is ``NAME-2.png``, and so on.

    Parameters
    ----------
    folder : Path
        Need not be there, but what it is to lie in.
    files : sequence of bytes
    overwrite : bool
        Whether pictures that are there may be replaced; one of the files never is.

    Returns
    -------
    list of Path
        One for each file, in their order.

    Raises
    ------
    UsageError
        It is no folder, or one of the pictures is there already.
    """
    check_folder(folder, "pictures")
    names: dict[bytes, None] = {}
    for file in files:
        stem = os.path.splitext(os.path.basename(file))[0][:_LONGEST_STEM]
        name, number = stem, 1
        while name in names:
            number += 1
            name = b"%b-%d" % (stem, number)
        names[name] = None
    paths = [Path(os.fsdecode(os.path.join(os.fsencode(folder), name + b".png"))) for name in names]
    there = [path for path in paths if os.path.lexists(path)]
    sources = {os.path.realpath(file) for file in files} if there else set()
    if mine := [path for path in there if os.path.realpath(os.fsencode(path)) in sources]:
        raise UsageError(
            f"pictures would replace the files that they are of: {some(_shown(mine))}",
            "name another folder",
        )
    if there and not overwrite:
        refuse_replacing(_shown(there))
    return paths


def _shown(paths: Sequence[Path]) -> list[str]:
    return [shown(os.fsencode(path)) for path in paths]


def write_picture(path: Path, picture: np.ndarray, overwrite: bool = False) -> None:
    """Write a PNG file; its folder is made.

    Parameters
    ----------
    path : Path
    picture : ndarray of uint8, shape (h, w, 3)
    overwrite : bool
        Replace a file that is there.

    Raises
    ------
    FileExistsError
    DiskFullError
    """
    path.parent.mkdir(exist_ok=True)
    picture_files.write_picture(path, picture, overwrite=overwrite)
