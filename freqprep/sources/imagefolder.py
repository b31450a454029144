"""Class folders of images, with or without split folders above them.

::

    ROOT/CLASS/.../IMAGE                 one split
    ROOT/train/CLASS/.../IMAGE           several splits
    ROOT/val/CLASS/.../IMAGE

A child of the root is a split only if its name is one of ``SPLIT_NAMES`` and it holds folders:
a class that happens to be called "train" holds images.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path

from freqprep.errors import SourceError
from freqprep.sources import folders
from freqprep.sources.by_class import ClassSplit, discovered
from freqprep.sources.files import shown
from freqprep.sources.folders import Folder
from freqprep.sources.listing import SPLIT_NAMES, Discovered, class_text


def discover(root: Path, split: str | None) -> Discovered:
    """List the class folders under ``root``; see `freqprep.sources.listing.Source`.

    What lies directly in ``root`` and is no split counts as ignored in each split.

    Raises
    ------
    SourceError
        There are no class folders, no images, or no such split; or names collide.
    """
    ignored: Counter[str] = Counter()
    children = folders.subfolders(root, folders.top(root), ignored)
    split_folders = {
        name: inside
        for name, child in children.items()
        if class_text(name).lower() in SPLIT_NAMES and (inside := _inside(root, name, child)).images
    }
    if split_folders:
        for name in children.keys() - split_folders.keys():
            ignored[f"folder that is not a split ({shown(name)})"] += 1
        splits = [
            ClassSplit(inside.source_name, inside.images, inside.ignored + ignored)
            for inside in split_folders.values()
        ]
        return discovered(root, splits, split, {})
    if not children:
        raise SourceError(
            f"no class folders in {root}, only {sum(ignored.values())} other entries",
            "give each class a folder: SOURCE/CLASS/IMAGE or SOURCE/train/CLASS/IMAGE",
        )
    return discovered(root, [_of_folders(root, children, split, ignored)], split, {})


def _inside(root: Path, name: bytes, folder: Folder) -> ClassSplit:
    ignored: Counter[str] = Counter()
    classes = folders.subfolders(root, folder, ignored)
    return _of_folders(root, classes, class_text(name), ignored)


def _of_folders(
    root: Path, classes: dict[bytes, Folder], name: str | None, ignored: Counter[str]
) -> ClassSplit:
    images = {
        class_name: partial(folders.images, root, folder) for class_name, folder in classes.items()
    }
    return ClassSplit(name or "train", images, ignored)
