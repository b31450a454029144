"""Checks of a saved plan: its arrays fit each other, and lead nowhere beyond what they index.

A plan may come from anyone who can write to the folder or bucket of a store. Its hashes say that
it is as it was written, not that it was written by us. `refuse_outside` raises an error of its
own, the others `ValueError`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from freqprep.errors import CorruptStoreError
from freqprep.ragged import Ragged
from freqprep.sources.file_table import NO_BYTES, WHOLE_FILE, TableFiles
from freqprep.sources.listing import Listing, Objects, class_text
from freqprep.storage.scratch import slices
from freqprep.store.attribute_checks import texts
from freqprep.text.terminal import on_one_line

_FARTHEST = 2**62
"""Offsets and lengths beyond this could not be added."""


def check_header(header: Mapping[str, Any]) -> None:
    """Refuse values of other types than a plan is written with."""
    for name in ("ignored", "options"):
        if type(header.get(name, {})) is not dict:
            raise ValueError(f"its {name} are no object")
    if any(type(count) is not int for count in header["ignored"].values()):
        raise ValueError("its counts of ignored files are no whole numbers")
    texts(header, "options" if "options" in header else "named_paths")  # the latter up to 0.1
    for name in ("image_column", "rows_sha256"):
        if not isinstance(header.get(name), (str, type(None))):
            raise ValueError(f"its {name} is no text")


def check_listing(listing: Listing, images: int, classes: int) -> None:
    """Refuse arrays of other types or lengths than those of a listing, or that index too far.

    Parameters
    ----------
    listing : Listing
    images, classes : int
        Numbers that the attributes state.
    """
    _check_ragged("keys", listing.keys, images)
    _check("labels", listing.labels, np.int64, (images,), -1, classes - 1)
    _check_files(listing, images)
    if listing.image_ids is not None:
        _check("image_ids", listing.image_ids, np.int64, (images,))
    if listing.stated_sizes is not None:
        _check("stated_sizes", listing.stated_sizes, np.int32, (images, 2), 0)
    if listing.runs is not None:
        _check("runs", listing.runs, np.int64, (len(listing.runs),), 0, images)
    if listing.objects is not None:
        _check_objects(listing.objects, images, classes)


def refuse_outside(paths: Ragged, folder: bytes | None) -> None:
    """Refuse paths that lead out of the source, but to a folder of images that the user named.

    Parameters
    ----------
    paths : Ragged of uint8
        Of a plan's files, relative to the source.
    folder : bytes or None

    Raises
    ------
    CorruptStoreError
        Such a path is there: images are made into a store that is perhaps of whoever planned it.
    """
    for block in paths.blocks():
        text, starts = block.values.tobytes(), block.offsets[:-1]
        # Nearly always there is none of these in all of a block.
        begins = starts[starts < len(text)]
        if b".." not in text and not (block.values[begins] == ord("/")).any():
            continue
        for path in map(block.bytes_at, range(len(block))):
            inside = folder is not None and path.startswith(folder.rstrip(b"/") + b"/")
            if b".." in path.split(b"/") or (path.startswith(b"/") and not inside):
                raise CorruptStoreError(
                    f"the plan names a file outside the source: {on_one_line(class_text(path))}",
                    "start over with --overwrite",
                )


def _check_files(listing: Listing, images: int) -> None:
    files = listing.files
    if isinstance(files, TableFiles):
        tables = len(files.paths)
        _check_paths(files.paths, tables)
        _check("rows", files.rows, np.int64, (tables,), 0, images)
        _check("version", files.version, np.int64, (tables,))
        if len(files) != images:
            raise ValueError(f"its tables have {len(files)} rows, not {images}")
        return
    _check_paths(files.paths, images)
    _check("offset", files.offset, np.int64, (images,), WHOLE_FILE, _FARTHEST)
    _check("length", files.length, np.int64, (images,), NO_BYTES, _FARTHEST)
    _check("version", files.version, np.int64, (images,))


def _check_objects(objects: Objects, images: int, classes: int) -> None:
    count = len(objects.label)
    _check_offsets("objects.offsets", objects.offsets, images, count)
    _check("objects.box", objects.box, np.float64, (count, 4))
    _check("objects.label", objects.label, np.int64, (count,), 0, classes - 1)
    _check("objects.area", objects.area, np.float64, (count,))
    _check("objects.iscrowd", objects.iscrowd, np.bool_, (count,))
    _check("objects.annotation_id", objects.annotation_id, np.int64, (count,))
    _check_ragged("objects.annotation", objects.annotation, count)


def _check_paths(paths: Ragged, rows: int) -> None:
    _check_ragged("paths", paths, rows)
    if any((paths.values[part] == 0).any() for part in slices(len(paths.values))):
        raise ValueError("a path has a null byte")


def _check_ragged(name: str, ragged: Ragged, rows: int) -> None:
    _check(f"{name}.values", ragged.values, np.uint8, (len(ragged.values),))
    _check_offsets(f"{name}.offsets", ragged.offsets, rows, len(ragged.values))


def _check_offsets(name: str, offsets: np.ndarray, rows: int, values: int) -> None:
    _check(name, offsets, np.int64, (rows + 1,), 0, values)
    if offsets[0] != 0 or offsets[-1] != values:
        raise ValueError(f"{name} do not lead from the first to the last of {values}")
    for part in slices(rows):
        edges = offsets[part.start : part.stop + 1]
        if (edges[:-1] > edges[1:]).any():
            raise ValueError(f"{name} do not rise")


def _check(
    name: str,
    array: np.ndarray,
    dtype: type[np.generic],
    shape: tuple[int, ...],
    least: int | None = None,
    most: int | None = None,
) -> None:
    if array.dtype != dtype or array.shape != shape:
        kind = np.dtype(dtype)
        raise ValueError(f"{name} is {array.dtype} of {array.shape}, not {kind} of {shape}")
    for part in slices(len(array)):
        some = array[part]
        if (least is not None and some.min(initial=least) < least) or (
            most is not None and some.max(initial=most) > most
        ):
            raise ValueError(f"{name} has numbers that are not from {least} to {most}")
