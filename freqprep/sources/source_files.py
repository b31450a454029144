"""Files that a source consists of: a folder of them, one of them, or a pattern that names some.

Tables and archives are named so: ``data``, ``data/train.tar``, ``data/train-{000..146}.tar``,
``s3://bucket/data/*.parquet``.
"""

from __future__ import annotations

import fnmatch
import glob
import itertools
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from braceexpand import braceexpand

from freqprep.errors import SourceError
from freqprep.storage.concurrency import for_each
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import AnyPath

_PATTERN = re.compile(r"[*?\[{]")
_FILE = re.compile(r"\.(tar|parquet|json|tgz|gz|zip|zst|bz2|xz)$", re.IGNORECASE)
_MOST_FILES = 1_000_000


class SourceFile(NamedTuple):
    """A file of a source.

    Attributes
    ----------
    path : bytes
        Relative to `root_of` the source.
    length, version : int
        Length in bytes; version as in `freqprep.sources.listing.FileTable`.
    """

    path: bytes
    length: int
    version: int


def root_of(source: AnyPath) -> AnyPath:
    """Return the folder that the paths of a source's files are relative to.

    Parameters
    ----------
    source : Path or ObjectPath
        Folder, file, or pattern with ``*``, ``?``, ``[...]`` or ``{...}``.

    Returns
    -------
    Path or ObjectPath
        The folder itself, or the one above the file or above the first part with a pattern.
    """
    if isinstance(source, Path) and source.exists():
        return source if source.is_dir() else source.parent
    parts = source.parts if isinstance(source, Path) else tuple(source.key.split("/"))
    plain = list(itertools.takewhile(lambda part: not _PATTERN.search(part), parts))
    if len(plain) == len(parts):
        is_file = isinstance(source, ObjectPath) and _FILE.search(source.name)
        return source.parent if is_file else source
    if isinstance(source, Path):
        return Path(*plain)
    return ObjectPath(source.root, "/".join(plain))


def source_files(source: AnyPath, suffixes: tuple[str, ...]) -> list[SourceFile]:
    """List the files of a source, sorted by path.

    Parameters
    ----------
    source : Path or ObjectPath
        Folder, file or pattern, as in `root_of`.
    suffixes : tuple of str
        In a folder, all files below it with one of these suffixes (``.tar``) count, in any case.
        Hidden files and folders do not. Files that are named count whatever their suffix.

    Returns
    -------
    list of SourceFile
        Not empty.

    Raises
    ------
    SourceError
        There are none, a file that is named is missing or not a regular one, or a web server's
        folder is named, which cannot be listed.
    """
    root = root_of(source)
    if source == root:
        files = _below(root, suffixes)
    elif isinstance(source, Path) and source.is_file():
        files = [_local(source.parent, source.name)]
    else:
        relative = _relative(source, root)
        names = list(itertools.islice(braceexpand(relative), _MOST_FILES + 1))
        if len(names) > _MOST_FILES:
            raise SourceError(f"{source} names more than {_MOST_FILES} files", "name a folder")
        files = sorted(set(_named(root, names)))
    if not files:
        raise SourceError(
            f"no {' or '.join(suffixes)} files in {source}",
            "name the folder, a file or a pattern such as 'train-{000..146}.tar'",
        )
    return files


def _relative(source: AnyPath, root: AnyPath) -> str:
    if isinstance(source, ObjectPath):
        return source.key[len(root.key) + 1 if isinstance(root, ObjectPath) and root.key else 0 :]
    return str(source.relative_to(root)) if isinstance(root, Path) else str(source)


def _below(root: AnyPath, suffixes: tuple[str, ...]) -> list[SourceFile]:
    if isinstance(root, ObjectPath):
        if root.is_web:
            raise SourceError(
                f"{root}: folders of a web server cannot be listed",
                f"name the files: {root}/train-{{000..146}}{suffixes[0]}",
            )
        return sorted(
            SourceFile(name.encode(), *status)
            for name, status in root.statuses()
            if name.lower().endswith(suffixes) and not _is_hidden(name)
        )
    if not root.is_dir():
        raise SourceError(f"there is no {root}", "name a folder, a file or a pattern of them")
    names = []
    for parent, folders, files in os.walk(root, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = (os.path.relpath(os.path.join(parent, name), root) for name in files)
        names += [path for path in paths if path.lower().endswith(suffixes)]
    return [_local(root, name) for name in sorted(names) if not _is_hidden(name)]


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def _refuse(error: OSError) -> None:
    raise SourceError(
        f"cannot list the folder {error.filename}: {error.strerror}", "make it readable"
    ) from error


def _named(root: AnyPath, names: Iterable[str]) -> Iterator[SourceFile]:
    globs = [name for name in names if glob.has_magic(name)]
    plain = [name for name in names if not glob.has_magic(name)]
    if isinstance(root, Path):
        for pattern in globs:
            yield from (_local(root, name) for name in glob.glob(pattern, root_dir=root))
        yield from (_local(root, name) for name in plain)
        return
    if globs:
        if root.is_web:
            raise SourceError(
                f"{root}: files of a web server cannot be listed", "write {000..146} in place of *"
            )
        # A star does not cross a slash, as in the shell.
        depths = {pattern.count("/") for pattern in globs}
        for name, status in root.statuses():
            same = name.count("/") in depths
            if same and any(_matches(name, pattern) for pattern in globs):
                yield SourceFile(name.encode(), *status)
    yield from for_each(_status_in(root), [root / name for name in plain])


def _matches(name: str, pattern: str) -> bool:
    parts, patterns = name.split("/"), pattern.split("/")
    return len(parts) == len(patterns) and all(map(fnmatch.fnmatchcase, parts, patterns))


def _status_in(root: ObjectPath) -> Callable[[ObjectPath], SourceFile]:
    start = len(root.key) + 1 if root.key else 0

    def look(path: ObjectPath) -> SourceFile:
        try:
            return SourceFile(path.key[start:].encode(), *path.status())
        except FileNotFoundError:
            raise SourceError(f"there is no {path}", "check the pattern and its numbers") from None

    return look


def _local(root: Path, name: str) -> SourceFile:
    try:
        status = os.stat(root / name)
    except OSError as error:
        raise SourceError(f"cannot read {root / name}: {error.strerror}", "check it") from error
    if not stat.S_ISREG(status.st_mode):
        raise SourceError(f"{root / name} is not a regular file", "remove or replace it")
    return SourceFile(os.fsencode(name), status.st_size, status.st_mtime_ns)
