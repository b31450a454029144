"""Folders around the data, down to the one with the splits or classes."""

from __future__ import annotations

import os
import re
from collections.abc import Collection

from freqprep.sources.class_doubts import GENERIC
from freqprep.sources.files import as_bytes, shown
from freqprep.sources.folders import Folder, Level, Levels, top
from freqprep.sources.imagenet_labels import WNID
from freqprep.sources.listing import class_text
from freqprep.sources.split_names import split_folders, split_word

_ARCHIVE = re.compile(rb"(ILSVRC2012_img_\w+|" + WNID.pattern + rb")\.tar")


def unwrapped(levels: Levels) -> Level:
    """Return the folder of the data: the source, or its only folder if that has folders, and so on.

    The folder of a split is not a wrapper unless it has several splits itself; nor is a folder
    beside ImageNet's archives, or a class of ImageNet.
    """
    here = levels.at(top(levels.tree))
    while len(here.folders) == 1 and not any(map(_ARCHIVE.fullmatch, here.files)):
        ((name, folder),) = here.folders.items()
        inner = levels.at(folder)
        below = split_folders(map(class_text, inner.folders))
        several = len(set(below.values())) > 1
        no_wrapper = inner.images or split_word(class_text(name)) or WNID.fullmatch(name)
        if not inner.folders or (no_wrapper and not several):
            break
        here = inner
    return here


def split_level(levels: Levels, folder: Folder, elsewhere: Collection[bytes]) -> Level:
    """Return the folder with the classes of a split, or with its images if it has none.

    Below ``folder``, one more folder of the same name is skipped, one such as ``images``, and any
    only folder that has nothing but folders.

    Parameters
    ----------
    levels : Levels
    folder : Folder
        Folder of the split.
    elsewhere : collection of bytes
        Classes of other splits, which are not wrappers here.

    Returns
    -------
    Level
    """
    here = levels.at(folder)
    own = folder.path.rpartition(b"/")[2]
    while len(here.folders) == 1 and not here.images:
        ((name, child),) = here.folders.items()
        inner = levels.at(child)
        same = name.lower() == own.lower() or split_word(class_text(name)) is not None
        bare = inner.folders and not inner.images and not WNID.fullmatch(name)
        if name in elsewhere or not (same or name.lower() in GENERIC or bare):
            break
        here = inner
    return here


def path_text(levels: Levels, folder: Folder) -> str:
    """Format a folder of the source for messages."""
    root = as_bytes(levels.root)
    return shown(os.path.join(root, folder.path) if folder.path else root)
