"""Sizes of the images of tables: those stated, or those of some of the images themselves."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence

import numpy as np

from freqprep.errors import SourceError
from freqprep.sources.coco_values import LARGEST_SIDE
from freqprep.sources.file_table import TableFiles
from freqprep.sources.parquet_parts import Part
from freqprep.sources.parquet_rows import copy_images
from freqprep.storage.paths import AnyPath

_SAMPLE = 64
_TURNED = range(5, 9)
_ORIENTATION = 0x0112


def stated_sizes(parts: Sequence[Part]) -> np.ndarray | None:
    """Return the height and width that the tables state; None if they state none.

    Returns
    -------
    ndarray of int32, shape (n, 2), or None

    Raises
    ------
    SourceError
        A row has no size, or one that no image has.
    """
    sides = parts[0].columns.sides
    if sides is None or any(part.columns.sides != sides for part in parts):
        return None
    sizes = []
    for part in parts:
        columns = [part.values[side].combine_chunks().fill_null(0).to_numpy() for side in sides]
        both = np.stack([column.astype(np.int64) for column in columns], axis=1)
        wrong = ((both <= 0) | (both > LARGEST_SIDE)).any(axis=1)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise SourceError(
                f"{part.where}, row {row}: {' and '.join(sides)} are {both[row].tolist()}, not the"
                " size of an image",
                "correct the columns, or leave them out: sizes are then those of the images",
            )
        sizes.append(both.astype(np.int32))
    return np.concatenate(sizes)


def sampled_sizes(
    root: AnyPath, files: TableFiles, column: str, wanted: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the sizes of the first images of a split, from their headers.

    Parameters
    ----------
    root : Path or ObjectPath
        Folder of the tables.
    files : TableFiles
    column : str
        Column of the images.
    wanted : ndarray of bool, shape (n,)
        Rows to look at.

    Returns
    -------
    rows : ndarray of int64, shape (k,)
    sizes : ndarray of int64, shape (k, 2)
        Height and width, with the orientation that EXIF states; images that cannot be opened are
        left out.
    """
    rows = np.flatnonzero(wanted)[:_SAMPLE]
    out = io.BytesIO()
    copied = copy_images(root, files.take(rows), column, out)
    data = out.getvalue()
    known, sizes = [], []
    ends = zip(rows.tolist(), copied.offset.tolist(), copied.length.tolist(), strict=True)
    for row, start, length in ends:
        size = _size(data[start : start + max(length, 0)])
        if size is not None:
            known.append(row)
            sizes.append(size)
    return np.array(known, np.int64), np.array(sizes, np.int64).reshape(-1, 2)


def _size(data: bytes) -> tuple[int, int] | None:
    """Return height and width of an image file; None if it is not one."""
    from PIL import Image  # the package itself is to load quickly

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damaged and huge images are rejected later
            with Image.open(io.BytesIO(data)) as image:
                width, height = image.size
                turned = image.getexif().get(_ORIENTATION) in _TURNED
    except Exception:  # Pillow raises many kinds for damaged files
        return None
    return (width, height) if turned else (height, width)
