"""Pictures as files of the format that their name says."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from freqprep.errors import UsageError
from freqprep.storage.disk import full_disk_named, write_parts

FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    ".png": ("PNG", {}),
    ".jpg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".jpeg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".webp": ("WEBP", {"lossless": True}),
    ".tif": ("TIFF", {}),
    ".tiff": ("TIFF", {}),
    ".bmp": ("BMP", {}),
}
"""Ending, in lower case -> Pillow's format, and its options. All but JPEG keep every pixel."""


def check_ending(path: Path) -> None:
    """Refuse a name that does not end as a picture's.

    Raises
    ------
    UsageError
        The text lists the endings.
    """
    if path.suffix.lower() not in FORMATS:
        endings = list(FORMATS)
        raise UsageError(
            f"{str(path)!r} does not name a format of pictures",
            f"end it in {', '.join(endings[:-1])} or {endings[-1]}",
        )


def write_picture(path: Path, picture: np.ndarray, *, overwrite: bool) -> None:
    """Write a picture in the format that its name ends in, whole or not at all.

    Parameters
    ----------
    path : Path
    picture : ndarray of uint8, shape (h, w, 3) or (h, w)
        RGB or grey.
    overwrite : bool
        Replace a file that is there.

    Raises
    ------
    UsageError
        The name ends in no such format, or the format cannot hold so large a picture.
    FileExistsError
        The file is there, and not to be replaced.
    DiskFullError
    """
    check_ending(path)
    name, options = FORMATS[path.suffix.lower()]
    buffer, image = io.BytesIO(), Image.fromarray(picture)
    try:
        image.save(buffer, name, **options)
    except (OSError, ValueError) as error:  # of WebP more than 16383 pixels, of JPEG 65500
        raise UsageError(
            f"{image.width}x{image.height} pixels cannot be written as {name} ({path}): {error}",
            "use .png",
        ) from None
    data = buffer.getvalue()
    with full_disk_named(path.absolute().parent):
        if overwrite:
            write_parts(path, [data], path.absolute().parent)
            return
        with path.open("xb") as file:
            try:
                file.write(data)
            except BaseException:
                path.unlink()
                raise
