"""Walk folders of images: which entries are images, which are not, and never twice in a loop."""

from __future__ import annotations

import os
import stat
import types
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from freqprep.errors import SourceError
from freqprep.sources.by_class import Image
from freqprep.sources.files import kind, open_regular, shown
from freqprep.sources.listing import WHOLE_FILE, class_text

EXTENSIONS = frozenset(
    b"jpg jpeg jpe jfif png gif bmp tif tiff webp ppm pgm pbm pnm"
    b" avif jp2 heic heif mpo ico".split()
)
"""File name extensions of images, in lower case."""

SNIFFED = 16
"""Bytes of a file that ``looks_like_image`` needs."""

_SYSTEM_ENTRIES = frozenset(
    b"thumbs.db ehthumbs.db desktop.ini icon\r __macosx @eadir #recycle @recycle $recycle.bin"
    b" lost+found __pycache__".split(b" ")
) | {b"system volume information"}
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"II*\0", b"MM\0*")


class Folder(NamedTuple):
    """A folder inside a source.

    Attributes
    ----------
    path : bytes
        Relative to the source's root; empty for the root itself.
    trail : frozenset of (int, int)
        Device and inode of the folder and of all folders above it, up to the root.
    """

    path: bytes
    trail: frozenset[tuple[int, int]]


class Level(NamedTuple):
    """What one folder holds, the folders below it not opened.

    Attributes
    ----------
    folder : Folder
    folders : dict of bytes to Folder
        By name.
    images : list of Image
        Entries that are images by name or content, folders apart; keys are their names.
    image_folders : list of Image
        Folders with the name of an image: a row each, which is rejected later, besides what lies
        inside.
    files : dict of bytes to stat_result or None
        All other entries; None for a broken link.
    ignored : Counter
        What was not listed.
    """

    folder: Folder
    folders: dict[bytes, Folder]
    images: list[Image]
    image_folders: list[Image]
    files: dict[bytes, os.stat_result | None]
    ignored: Counter[str]


class Levels:
    """The upper folders of a source, each listed once, when it is first asked for.

    Parameters
    ----------
    root : Path
        The source.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known: dict[bytes, Level] = {}

    def at(self, folder: Folder) -> Level:
        """What ``folder`` holds."""
        if folder.path not in self._known:
            self._known[folder.path] = level(self.root, folder)
        return self._known[folder.path]

    def images(self, folder: Folder, ignored: Counter[str]) -> list[Image]:
        """As `images`; what is known already is not listed again."""
        return images(self.root, folder, ignored, self._known)

    def path(self, folder: Folder) -> Path:
        """Where ``folder`` is, not relative to the source."""
        return self.root / os.fsdecode(folder.path)

    def above(self, level: Level) -> list[Level]:
        """The folders listed on the way from the source to ``level``, itself not among them."""
        path = level.folder.path
        ends = [0] + [place for place, byte in enumerate(path) if byte == ord("/")] if path else []
        return [self._known[path[:end]] for end in ends if path[:end] in self._known]


def top(root: Path) -> Folder:
    """The root of a source.

    Raises
    ------
    SourceError
        It does not exist or is not a folder.
    """
    try:
        status = os.stat(root)
    except OSError as error:
        raise SourceError(
            f"cannot open the source {shown(os.fsencode(root))}: {error.strerror}",
            "name the folder that holds the images",
        ) from error
    if not stat.S_ISDIR(status.st_mode):
        raise SourceError(
            f"the source {shown(os.fsencode(root))} is not a folder",
            "name the folder that holds the images",
        )
    return Folder(b"", frozenset([(status.st_dev, status.st_ino)]))


def scan(
    root: Path, folder: Folder, ignored: Counter[str]
) -> Iterator[tuple[bytes, os.stat_result | None]]:
    """Name and status (links followed; None where there is none) of each visible entry.

    Raises
    ------
    SourceError
        The folder cannot be listed: what it holds would be lost without a word.
    """
    full = os.path.join(os.fsencode(root), folder.path)
    try:
        with os.scandir(full) as entries:
            for entry in entries:
                name = entry.name
                if is_hidden(name):
                    ignored["hidden or system file"] += 1
                    continue
                try:
                    yield name, entry.stat()
                except OSError:
                    yield name, None
    except OSError as error:
        raise SourceError(
            f"cannot list the folder {shown(full)}: {error.strerror}",
            "make it readable, or move it out of the source",
        ) from error


def subfolder(folder: Folder, name: bytes, status: os.stat_result) -> Folder | None:
    """The folder ``name`` in ``folder``; None where it leads back to one of those above."""
    identity = (status.st_dev, status.st_ino)
    if identity in folder.trail:
        return None
    return Folder(os.path.join(folder.path, name), folder.trail | {identity})


def below(root: Path, folder: Folder, path: bytes) -> Folder | None:
    """The folder at ``path``, relative to ``folder``; None where there is none."""
    for name in path.split(b"/"):
        try:
            status = os.stat(os.path.join(os.fsencode(root), folder.path, name))
        except OSError:
            return None
        child = subfolder(folder, name, status) if stat.S_ISDIR(status.st_mode) else None
        if child is None:
            return None
        folder = child
    return folder


def level(root: Path, folder: Folder) -> Level:
    """List one folder.

    An entry with an image's extension is one whatever it is: what cannot be decoded is
    rejected later, under its name, instead of vanishing here.

    Raises
    ------
    SourceError
        It cannot be listed.
    """
    found = Level(folder, {}, [], [], {}, Counter())
    prefix = os.path.join(folder.path, b"")
    for name, status in scan(root, folder, found.ignored):
        path = prefix + name
        is_folder = status is not None and stat.S_ISDIR(status.st_mode)
        if is_named_image(name) or _is_image_by_content(root, path, status):
            rows = found.image_folders if is_folder else found.images
            rows.append(_image(name, path, status))
        elif not is_folder:
            found.files[name] = status
        if status is not None and is_folder:
            if child := subfolder(folder, name, status):
                found.folders[name] = child
            else:
                found.ignored["symlink loop"] += 1
    return found


def outside(level: Level) -> Counter[str]:
    """Descriptions of what lies in a folder that should hold only folders."""
    found = Counter(level.ignored)
    if level.images:
        found["image outside any class folder"] += len(level.images)
    if level.files:
        found["outside any class folder"] += len(level.files)
    return found


def images(
    root: Path,
    folder: Folder,
    ignored: Counter[str],
    known: Mapping[bytes, Level] = types.MappingProxyType({}),
) -> list[Image]:
    """Every image in ``folder`` and the folders below, in no particular order.

    Parameters
    ----------
    root : Path
        The source.
    folder : Folder
        Where to start; keys are relative to it.
    ignored : Counter
        Counts what is not an image, by a description.
    known : mapping of bytes to Level
        By path, what has been listed before.

    Raises
    ------
    SourceError
        A folder cannot be listed.
    """
    found: list[Image] = []
    inside = len(folder.path) + 1 if folder.path else 0
    pending = [folder]
    while pending:
        parent = pending.pop()
        here = known.get(parent.path) or level(root, parent)
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
    """Whether an entry is one that desktops, servers and archivers leave behind or hide."""
    return name.startswith(b".") or name.lower() in _SYSTEM_ENTRIES


def is_named_image(name: bytes) -> bool:
    """Whether a name ends in an image's extension."""
    _, dot, extension = name.rpartition(b".")
    return bool(dot) and extension.lower() in EXTENSIONS


def looks_like_image(head: bytes) -> bool:
    """Whether the first ``SNIFFED`` bytes are those of a JPEG, PNG, GIF, TIFF, BMP or WebP."""
    if head.startswith(_SIGNATURES):
        return True
    if head.startswith(b"BM"):
        # "BM" opens ordinary text too; only a bitmap has its four reserved bytes zero.
        return head[6:10] == bytes(4)
    return head.startswith(b"RIFF") and head[8:12] == b"WEBP"


def not_an_image(name: bytes) -> str:
    """Description of an ignored file, by its extension."""
    _, dot, extension = name.rpartition(b".")
    # Only what is a kind of file: numbered names would give a description each.
    if dot and len(extension) <= 8 and extension.isalnum() and not extension.isdigit():
        return f"not an image (.{class_text(extension.lower())})"
    return "not an image (no known extension)"


def _not_an_image(name: bytes, status: os.stat_result | None) -> str:
    if status is None:
        return "broken link"
    if stat.S_ISREG(status.st_mode):
        return not_an_image(name)
    return f"not an image ({kind(status.st_mode)})"


def _is_image_by_content(root: Path, path: bytes, status: os.stat_result | None) -> bool:
    if status is None or not stat.S_ISREG(status.st_mode):
        return False
    try:
        with open_regular(os.path.join(os.fsencode(root), path)) as file:
            return looks_like_image(file.read(SNIFFED))
    except (SourceError, OSError):
        return True  # perhaps an image: its row will be rejected with the reason


def _image(key: bytes, path: bytes, status: os.stat_result | None) -> Image:
    if status is None or not stat.S_ISREG(status.st_mode):
        return Image(key, path, WHOLE_FILE, 0, 0)
    return Image(key, path, WHOLE_FILE, status.st_size, status.st_mtime_ns)
