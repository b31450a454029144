"""Pictures of what was found, as files beside none that were there before."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from freqprep.errors import UsageError, some
from freqprep.sources.files import shown
from freqprep.store.disk import full_disk_named

_LONGEST_STEM = 240
"""Bytes; file systems allow 255 for a name."""


def picture_paths(folder: Path, files: Sequence[bytes]) -> list[Path]:
    """Where the picture of each file goes: its name with ``.png`` for the ending.

    Of files with the same name the second one's is ``NAME-2.png``, and so on.

    Parameters
    ----------
    folder : Path
        Need not be there, but what it is to lie in.
    files : sequence of bytes

    Raises
    ------
    UsageError
        It is no folder, or one of the pictures is there already.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} cannot hold pictures: it is no folder", "name a folder")
    if not folder.absolute().parent.is_dir():
        raise UsageError(f"{folder} cannot be made: its folder is not there", "make it")
    names: dict[bytes, None] = {}
    for file in files:
        stem = os.path.splitext(os.path.basename(file))[0][:_LONGEST_STEM]
        name, number = stem, 1
        while name in names:
            number += 1
            name = b"%b-%d" % (stem, number)
        names[name] = None
    paths = [Path(os.fsdecode(os.path.join(os.fsencode(folder), name + b".png"))) for name in names]
    if there := [shown(os.fsencode(path)) for path in paths if os.path.lexists(path)]:
        raise UsageError(
            f"pictures are not written over files that are there already: {some(there)}",
            "name another folder, or remove them",
        )
    return paths


def write_picture(path: Path, picture: np.ndarray) -> None:
    """Write a PNG file where there is none; its folder is made.

    Parameters
    ----------
    path : Path
    picture : ndarray of uint8, shape (h, w, 3)

    Raises
    ------
    FileExistsError
    DiskFullError
    """
    path.parent.mkdir(exist_ok=True)
    with full_disk_named(path.parent), path.open("xb") as file:
        try:
            Image.fromarray(picture).save(file, format="PNG")
        except BaseException:
            path.unlink()
            raise
