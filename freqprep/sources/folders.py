"""Walks over folders of images: which entries are images, and no loops of links."""

from __future__ import annotations

import os
import stat
import types
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from freqprep.sources.by_class import ImageEntry
from freqprep.sources.file_table import WHOLE_FILE
from freqprep.sources.files import extension
from freqprep.sources.listing import class_text
from freqprep.sources.object_tree import HEAD_BYTES
from freqprep.sources.tree import SourceTree, Stat
from freqprep.storage.paths import AnyPath
from freqprep.storage.regular_file import file_kind

EXTENSIONS = frozenset(
    b"jpg jpeg jpe jfif png gif bmp tif tiff webp ppm pgm pbm pnm"
    b" avif jp2 heic heif mpo ico".split()
)
"""File name extensions of images, in lower case."""

SNIFFED = HEAD_BYTES
"""Number of bytes that `looks_like_image` needs."""

_SYSTEM_ENTRIES = frozenset(
    b"thumbs.db ehthumbs.db desktop.ini icon\r __macosx @eadir #recycle @recycle $recycle.bin"
    b" lost+found __pycache__".split(b" ")
) | {b"system volume information"}
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"II*\0", b"MM\0*")


class Folder(NamedTuple):
    """Folder inside a source.

    Attributes
    ----------
    path : bytes
        Path relative to the source; empty for the source itself.
    trail : frozenset of (int, int)
        Device and inode of the folder and of all folders above it, up to the source.
    """

    path: bytes
    trail: frozenset[tuple[int, int]]


class Level(NamedTuple):
    """Content of one folder, without that of the folders below it.

    Attributes
    ----------
    folder : Folder
    folders : dict of bytes to Folder
        Folders in it, by name.
    images : list of ImageEntry
        Entries that are images by name or content, except folders; keys are their names.
    image_folders : list of ImageEntry
        Folders with the name of an image: each is also a row, which is rejected later.
    files : dict of bytes to Stat or None
        All other entries; None for a broken link.
    ignored : Counter
        Entries that were not listed: description -> count.
    """

    folder: Folder
    folders: dict[bytes, Folder]
    images: list[ImageEntry]
    image_folders: list[ImageEntry]
    files: dict[bytes, Stat | None]
    ignored: Counter[str]


class Levels:
    """Folders of a source, each listed once, on first use.

    Parameters
    ----------
    tree : SourceTree
    """

    def __init__(self, tree: SourceTree) -> None:
        self.tree = tree
        self._known: dict[bytes, Level] = {}

    def at(self, folder: Folder) -> Level:
        """Return the content of a folder."""
        if folder.path not in self._known:
            self._known[folder.path] = level(self.tree, folder)
        return self._known[folder.path]

    def images(self, folder: Folder, ignored: Counter[str]) -> list[ImageEntry]:
        """Return all images in a folder as `images` does, without listing known folders again."""
        return images(self.tree, folder, ignored, self._known)

    @property
    def root(self) -> AnyPath:
        """Folder or prefix of the source."""
        return self.tree.root

    def above(self, level: Level) -> list[Level]:
        """Return the listed folders above ``level``, from the source down."""
        path = level.folder.path
        ends = [0] + [end for end, byte in enumerate(path) if byte == ord("/")] if path else []
        return [self._known[path[:end]] for end in ends if path[:end] in self._known]


def top(tree: SourceTree) -> Folder:
    """Return the folder of a source itself."""
    return Folder(b"", trail_of(tree.stat(b"")))


def trail_of(status: Stat | None) -> frozenset[tuple[int, int]]:
    """Return the trail of a folder above which there is none."""
    return frozenset([(status.st_dev, status.st_ino)] if status is not None else [])


def scan(
    tree: SourceTree, folder: Folder, ignored: Counter[str]
) -> Iterator[tuple[bytes, Stat | None]]:
    """Yield name and status of each visible entry; the status of a broken link is None.

    Raises
    ------
    SourceError
        The folder cannot be listed.
    """
    for entry in tree.entries(folder.path):
        name = entry.name
        if is_hidden(name):
            ignored["hidden or system file"] += 1
            continue
        try:
            yield name, entry.stat()
        except OSError:
            yield name, None


def subfolder(folder: Folder, name: bytes, status: Stat) -> Folder | None:
    """Return the folder ``name`` in ``folder``; None if it leads back to a folder above."""
    identity = (status.st_dev, status.st_ino)
    if identity in folder.trail:
        return None
    return Folder(os.path.join(folder.path, name), folder.trail | {identity})


def below(tree: SourceTree, folder: Folder, path: bytes) -> Folder | None:
    """Return the folder at a path relative to ``folder``; None if there is none."""
    for name in path.split(b"/"):
        status = tree.stat(os.path.join(folder.path, name))
        if status is None:
            return None
        child = subfolder(folder, name, status) if stat.S_ISDIR(status.st_mode) else None
        if child is None:
            return None
        folder = child
    return folder


def level(tree: SourceTree, folder: Folder) -> Level:
    """List one folder.

    Any entry with an image's extension counts as an image: one that cannot be decoded is rejected
    later, by name, instead of being ignored here.

    Raises
    ------
    SourceError
        The folder cannot be listed.
    """
    found = Level(folder, {}, [], [], {}, Counter())
    prefix = os.path.join(folder.path, b"")
    unnamed: list[tuple[bytes, Stat]] = []
    for name, status in scan(tree, folder, found.ignored):
        path = prefix + name
        is_folder = status is not None and stat.S_ISDIR(status.st_mode)
        if is_named_image(name):
            rows = found.image_folders if is_folder else found.images
            rows.append(_image(name, path, status))
        elif status is not None and stat.S_ISREG(status.st_mode):
            unnamed.append((name, status))
        elif not is_folder:
            found.files[name] = status
        if status is not None and is_folder:
            if child := subfolder(folder, name, status):
                found.folders[name] = child
            else:
                found.ignored["symlink loop"] += 1
    heads = tree.heads([prefix + name for name, _ in unnamed])
    for (name, status), head in zip(unnamed, heads, strict=True):
        # One that cannot be read may be an image: its row is rejected later with the reason.
        if head is None or looks_like_image(head):
            found.images.append(_image(name, prefix + name, status))
        else:
            found.files[name] = status
    return _without_twins(found)


def _without_twins(level: Level) -> Level:
    """Drop rows of folders that have the name of an image file, which a bucket may have both."""
    if not level.image_folders:
        return level
    names = {image.key for image in level.images}
    return level._replace(
        image_folders=[image for image in level.image_folders if image.key not in names]
    )


def outside(level: Level) -> Counter[str]:
    """Count, by description, the entries of a folder that should have only folders."""
    found = Counter(level.ignored)
    if level.images:
        found["image outside any class folder"] += len(level.images)
    if level.files:
        found["outside any class folder"] += len(level.files)
    return found


def images(
    tree: SourceTree,
    folder: Folder,
    ignored: Counter[str],
    known: Mapping[bytes, Level] = types.MappingProxyType({}),
) -> list[ImageEntry]:
    """Return all images in a folder and the folders below, in no particular order.

    Parameters
    ----------
    tree : SourceTree
    folder : Folder
        Folder to start from; keys are relative to it.
    ignored : Counter
        Counts, by description, entries that are not images.
    known : mapping of bytes to Level
        Folders that were listed before, by path.

    Returns
    -------
    list of ImageEntry

    Raises
    ------
    SourceError
        A folder cannot be listed.
    """
    found: list[ImageEntry] = []
    inside = len(folder.path) + 1 if folder.path else 0
    pending = [folder]
    while pending:
        parent = pending.pop()
        here = known.get(parent.path) or level(tree, parent)
        rows = here.images + here.image_folders
        if here.folder is folder:
            found += rows
        else:
            found += [image._replace(key=image.path[inside:]) for image in rows]
        for name, status in here.files.items():
            ignored[_not_an_image(name, status)] += 1
        ignored.update(here.ignored)
        pending += here.folders.values()
    return found


def is_hidden(name: bytes) -> bool:
    """Return whether an entry is hidden, or one that desktops, servers or archivers leave."""
    return name.startswith(b".") or name.lower() in _SYSTEM_ENTRIES


def is_named_image(name: bytes) -> bool:
    """Return whether a name has the extension of an image."""
    _, dot, behind = name.rpartition(b".")
    return bool(dot) and behind.lower() in EXTENSIONS


def looks_like_image(head: bytes) -> bool:
    """Return whether the first ``SNIFFED`` bytes are of a JPEG, PNG, GIF, TIFF, BMP or WebP."""
    if head.startswith(_SIGNATURES):
        return True
    if head.startswith(b"BM"):
        # Plain text may start with "BM", too; only bitmaps have four reserved bytes of zero.
        return head[6:10] == bytes(4)
    return head.startswith(b"RIFF") and head[8:12] == b"WEBP"


def not_an_image(name: bytes) -> str:
    """Describe an ignored file by its extension."""
    # Only real extensions: numbered names would have a description each.
    known = extension(name)
    return f"not an image (.{class_text(known)})" if known else "not an image (no known extension)"


def _not_an_image(name: bytes, status: Stat | None) -> str:
    if status is None:
        return "broken link"
    if stat.S_ISREG(status.st_mode):
        return not_an_image(name)
    return f"not an image ({file_kind(status.st_mode)})"


def _image(key: bytes, path: bytes, status: Stat | None) -> ImageEntry:
    if status is None or not stat.S_ISREG(status.st_mode):
        return ImageEntry(key, path, WHOLE_FILE, 0, 0)
    return ImageEntry(key, path, WHOLE_FILE, status.st_size, status.st_mtime_ns)
