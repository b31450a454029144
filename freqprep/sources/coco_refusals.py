"""Errors for folders that are not data sets in COCO's format, with what to do instead."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import NamedTuple

from freqprep.errors import SourceError
from freqprep.sources.files import as_bytes, shown
from freqprep.sources.folders import is_hidden, is_named_image
from freqprep.sources.tree import SourceTree

_MOST_SEEN = 200_000
"""Largest number of entries of a source that are checked."""

_HEAD = 4096
_MOST_READ = 100
_YOLO_LINE = re.compile(rb"\s*\d+(\s+-?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?){4,}\s*")
_YOLO_CONFIGURATION = re.compile(rb"^(nc|names)\s*:", re.MULTILINE)
_BY_HAND = "name the file with --annotations FILE and the images' folder with --images DIR"
_CONVERT_FIRST = (
    "convert the labels to COCO's JSON first (CVAT, FiftyOne and Roboflow do), then run this again"
)


class _Seen(NamedTuple):
    """One file of each kind in a source, relative to it."""

    image: bytes | None
    yolo: bytes | None
    voc: bytes | None


def no_annotations(tree: SourceTree, unused: Mapping[bytes, str]) -> SourceError:
    """Return the error for a folder without annotation files.

    Parameters
    ----------
    tree : SourceTree
    unused : mapping of bytes to str
        JSON file in it -> description.

    Returns
    -------
    SourceError
    """
    seen = _look(tree)
    where = shown(as_bytes(tree.root))
    if seen.voc is not None:
        return SourceError(
            f"{where} has labels in Pascal VOC's format ({shown(seen.voc)}), not COCO's",
            _CONVERT_FIRST,
        )
    if seen.yolo is not None:
        return SourceError(
            f"{where} has labels in YOLO's format ({shown(seen.yolo)}), not COCO's",
            _CONVERT_FIRST,
        )
    if unused:
        listed = [f"{shown(path)} ({what})" for path, what in islice(unused.items(), 3)]
        more = f" and {len(unused) - 3} more" if len(unused) > 3 else ""
        return SourceError(
            f"no annotations of objects in {where}, only {', '.join(listed)}{more}", _BY_HAND
        )
    looked = "looked for annotations/instances_*.json, *.json and */*.json"
    if seen.image is not None:
        return SourceError(
            f"no annotations in {where}, only images such as {shown(seen.image)}: {looked}",
            f"use `freqprep convert imagefolder` for images without objects, or {_BY_HAND}",
        )
    return SourceError(
        f"no annotations in {where}: {looked}",
        f"name the folder that holds annotations and images, or {_BY_HAND}",
    )


def some_image(tree: SourceTree, folder: bytes) -> bytes | None:
    """Return an image file under a folder, relative to it; None if there is none."""
    found = next((path for path in _files(tree, folder) if is_named_image(path)), None)
    return None if found is None else os.path.relpath(found, folder or b".")


def _look(tree: SourceTree) -> _Seen:
    image = yolo = voc = None
    stems: set[bytes] = set()
    texts: list[bytes] = []
    for path in islice(_files(tree, b""), _MOST_SEEN):
        extension = os.path.splitext(path)[1].lower()
        if is_named_image(path):
            image = image or path
            stems.add(_stem(path))
        elif extension == b".txt":
            texts.append(path)
        elif extension == b".xml" and voc is None:
            voc = path if b"<annotation" in _head(tree, path) else None
        elif extension in (b".yaml", b".yml") and yolo is None:
            yolo = path if _YOLO_CONFIGURATION.search(_head(tree, path)) else None
    beside = islice((path for path in texts if _stem(path) in stems), _MOST_READ)
    yolo = next((path for path in beside if _is_yolo(_head(tree, path))), yolo)
    return _Seen(image, yolo, voc)


def _is_yolo(head: bytes) -> bool:
    """Return whether a text consists of lines of a class and four numbers or more."""
    lines = [line for line in head[: head.rfind(b"\n") + 1 or None].splitlines() if line.strip()]
    return bool(lines) and all(_YOLO_LINE.fullmatch(line) for line in lines)


def _stem(path: bytes) -> bytes:
    return os.path.splitext(os.path.basename(path))[0]


def _head(tree: SourceTree, path: bytes) -> bytes:
    try:
        with tree.open(path) as file:
            return file.read(_HEAD)
    except (SourceError, OSError):
        return b""


def _files(tree: SourceTree, folder: bytes) -> Iterator[bytes]:
    """Yield visible files under a folder, in sorted order."""
    paths = tree.walk(folder, lambda name: not is_hidden(name))
    return (path for path in paths if not is_hidden(os.path.basename(path)))
