"""Text files of Tiny ImageNet: labels of its flat val, and names of its classes."""

from __future__ import annotations

import os
from collections.abc import Collection
from functools import partial

from freqprep.errors import SourceError
from freqprep.sources.files import as_bytes, shown
from freqprep.sources.folders import Level, Levels
from freqprep.sources.imagenet_labels import WNID, LabelImages, class_names, labels_by_name
from freqprep.sources.tree import SourceTree

VAL_LABELS = b"val_annotations.txt"
"""File with the labels, in the folder of val."""

_MARKS = {b"wnids.txt", b"words.txt"}


def val_labels(tree: SourceTree, path: bytes) -> LabelImages:
    """Read the labels in a ``val_annotations.txt``: lines of file name, wnid and box, with tabs.

    Parameters
    ----------
    tree : SourceTree
    path : bytes
        Path of the file in it.

    Returns
    -------
    callable
        See `freqprep.sources.imagenet_labels.LabelImages`.

    Raises
    ------
    SourceError
        A line has another form.
    """
    where = shown(os.path.join(as_bytes(tree.root), path))
    wnids: dict[bytes, bytes] = {}
    for number, line in enumerate(_lines(tree, path), start=1):
        name, _, rest = line.partition(b"\t")
        wnid = rest.partition(b"\t")[0].strip()
        if not WNID.fullmatch(wnid):
            raise SourceError(
                f"{where}, line {number}: {shown(line[:60])} is not a file name and a wnid such as"
                " n01443537 with a tab between",
                "download it again",
            )
        if wnids.setdefault(name, wnid) != wnid:
            raise SourceError(
                f"{where}, line {number}: another wnid for {shown(name)}", "download it again"
            )
    return partial(labels_by_name, where, wnids)


def wnid_names(levels: Levels, home: Level, ids: Collection[bytes]) -> dict[str, str]:
    """Return wnid -> English name if the data set is Tiny ImageNet or a part of it, else nothing.

    Names are the first lemmas of its ``words.txt``, or else those in this package.

    Parameters
    ----------
    levels : Levels
    home : Level
        Folder with the splits.
    ids : collection of bytes
        Class folders; the result is empty unless all are wnids.

    Returns
    -------
    dict of str to str
    """
    if not home.files.keys() & _MARKS or not all(map(WNID.fullmatch, ids)):
        return {}
    names = dict(class_names())
    if b"words.txt" in home.files:
        wanted = {wnid.decode() for wnid in ids}
        for line in _lines(levels.tree, os.path.join(home.folder.path, b"words.txt")):
            wnid, _, words = line.decode("utf-8", "replace").partition("\t")
            if wnid in wanted and words:
                names[wnid] = words.partition(",")[0].strip()
    return names


def _lines(tree: SourceTree, path: bytes) -> list[bytes]:
    with tree.open(path) as file:
        return [line for line in file.read().splitlines() if line.strip()]
