"""Picture files, in the format of their suffix."""

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
"""Pillow's format and options by suffix, in lower case. All but JPEG are lossless."""


def check_ending(path: Path) -> None:
    """Refuse a suffix that is not a picture format.

    Raises
    ------
    UsageError
        The suffix is unknown; the message lists the known ones.
    """
    if path.suffix.lower() not in FORMATS:
        endings = list(FORMATS)
        raise UsageError(
            f"{str(path)!r} does not name a format of pictures",
            f"end it in {', '.join(endings[:-1])} or {endings[-1]}",
        )


def write_picture(path: Path, picture: np.ndarray, *, overwrite: bool) -> None:
    """Write a picture in the format of its suffix, completely or not at all.

    Parameters
    ----------
    path : Path
        File to write.
    picture : ndarray of uint8, shape (h, w, 3) or (h, w)
        RGB or grey.
    overwrite : bool
        Replace an existing file.

    Raises
    ------
    UsageError
        The suffix is unknown, or the picture is too large for the format.
    FileExistsError
        The file exists, and is not to be replaced.
    DiskFullError
        There is no space left.
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
