"""Counts of unused files among the images of a split."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterable, Sequence

from freqprep.sources import folders
from freqprep.sources.coco_images import Located
from freqprep.sources.folders import Folder
from freqprep.sources.tree import SourceTree


def count_ignored(
    tree: SourceTree, located: Located, elsewhere: Iterable[set[bytes]], annotations: set[bytes]
) -> Counter[str]:
    """Count the files in the folders of a split that no split uses, by description.

    Parameters
    ----------
    tree : SourceTree
    located : Located
        Images of the split.
    elsewhere : iterable of set of bytes
        Paths that other splits list; consumed only as long as images are left.
    annotations : set of bytes
        Annotation files, which are counted or used elsewhere.

    Returns
    -------
    Counter of str
    """
    ignored: Counter[str] = Counter()
    seen: set[bytes] = set()
    for path in located.folders:
        seen.update(image.path for image in folders.images(tree, _folder(tree, path), ignored))
    used = set(located.paths)
    _take_back(tree, located.folders, (used | annotations) - seen, ignored)
    unlisted = seen - used
    others = iter(elsewhere)
    while unlisted and (paths := next(others, None)) is not None:
        unlisted -= paths
    ignored["image without an entry in the annotations"] = len(unlisted)
    return ignored


def _folder(tree: SourceTree, path: bytes) -> Folder:
    top = folders.top(tree)
    if not path:
        return top
    if not os.path.isabs(path) and (found := folders.below(tree, top, path)):
        return found
    return Folder(path, folders.trail_of(tree.stat(path)))


def _take_back(
    tree: SourceTree, counted: Sequence[bytes], used: Iterable[bytes], ignored: Counter[str]
) -> None:
    """Subtract files that are used although they do not look like images, or are hidden."""
    hidden: set[bytes] = set()
    for path in used:
        inside = next((rest for folder in counted if (rest := _below(folder, path))), None)
        status = tree.stat(path)
        if inside is None or status is None or not stat.S_ISREG(status.st_mode):
            continue
        depth = next((n for n, part in enumerate(inside) if folders.is_hidden(part)), None)
        if depth is None:
            ignored[folders.not_an_image(inside[-1])] -= 1
        else:
            above = path.split(b"/")
            hidden.add(b"/".join(above[: len(above) - len(inside) + depth + 1]))
    ignored["hidden or system file"] -= len(hidden)


def _below(folder: bytes, path: bytes) -> list[bytes] | None:
    """Return the components of a path below a folder; None if it is not below it."""
    if os.path.isabs(folder) != os.path.isabs(path):
        return None
    start = os.path.join(folder, b"")
    return path[len(start) :].split(b"/") if path.startswith(start) else None
