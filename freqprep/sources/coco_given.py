"""Annotation file and image folder that the user named of a data set in COCO's format."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from freqprep.errors import SourceError
from freqprep.sources.coco_files import AnnotationFile, is_inside, named_file
from freqprep.sources.coco_kinds import READABLE, kind_of
from freqprep.sources.files import as_bytes, open_path, shown
from freqprep.sources.tree import SourceTree
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import AnyPath


def images_folder(
    tree: SourceTree, images: AnyPath | None, named: Mapping[str, str]
) -> bytes | None:
    """Return the folder of the images that the user named, as a path in the tree.

    Images are read from where the source is, by paths relative to it; annotations from anywhere.
    """
    if images is None:
        return None
    folder = os.fsencode(named["images"])
    inside = is_inside(folder)
    if not inside and not (isinstance(images, Path) and isinstance(tree.root, Path)):
        raise SourceError(
            f"--images {images} is not inside the source {tree.root}",
            "name the images' folder as SOURCE, and the annotation file with --annotations: that"
            " may be anywhere",
        )
    path = b"" if folder == os.fsencode(os.curdir) else folder
    status = tree.stat(path)
    if status is None or not stat.S_ISDIR(status.st_mode):
        raise _no_such("images", "folder", images)
    return path


def given_file(path: AnyPath, named: bytes) -> AnnotationFile:
    """Return the annotation file that the user named, if it can be one of objects."""
    if not path.is_file():
        raise _no_such("annotations", "file", path)
    if (what := kind_of(partial(open_path, path))) not in READABLE:
        raise SourceError(
            f"--annotations {shown(as_bytes(path))} has {what}, not annotated objects",
            "name a file with images, annotations with boxes, and categories",
        )
    return named_file(named)


def _no_such(option: str, kind: str, path: AnyPath) -> SourceError:
    return SourceError(
        f"--{option} {shown(as_bytes(path))}: there is no such {kind}",
        "give its URL" if isinstance(path, ObjectPath) else "give its path from the current folder",
    )
