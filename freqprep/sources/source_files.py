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
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn

from freqprep.errors import AccessDeniedError, SourceError
from freqprep.sources.brace_patterns import expanded
from freqprep.storage.concurrency import for_each
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import AnyPath

_PATTERN = re.compile(r"[*?\[{]")
_FILE = re.compile(r"\.(tar|parquet|json|tgz|gz|zip|zst|bz2|xz)$", re.IGNORECASE)


class SourceFile(NamedTuple):
    """A file of a source.

    Attributes
    ----------
    path : bytes
        Relative to `root_of` the source.
    length, version : int
        Length in bytes; version as in `freqprep.sources.file_table.FileTable`.
    """

    path: bytes
    length: int
    version: int


def root_of(source: AnyPath) -> AnyPath:
    """Return the folder that the paths of a source's files are relative to.

    Parameters
    ----------
    source : Path or ObjectPath
        Folder, file, or pattern with ``*``, ``?``, ``[...]`` or ``{...}``. What exists as a folder
        is one, whatever its name: a bucket is asked where the name does not say.

    Returns
    -------
    Path or ObjectPath
        The folder itself, or the one above the file or above the first part with a pattern.
    """
    # os.path says no where Path raises an error: a pattern may be longer than a file's name.
    if isinstance(source, Path) and os.path.exists(source):
        return source if source.is_dir() else source.parent
    parts = source.parts if isinstance(source, Path) else tuple(source.key.split("/"))
    plain = list(itertools.takewhile(lambda part: not _PATTERN.search(part), parts))
    is_pattern = len(plain) < len(parts)
    if isinstance(source, Path):
        return Path(*plain) if is_pattern else source
    if not (is_pattern or _FILE.search(source.name)) or _is_prefix(source):
        return source
    return ObjectPath(source.root, "/".join(plain)) if is_pattern else source.parent


def _is_prefix(source: ObjectPath) -> bool:
    """Return whether objects are below a key; not where they cannot be listed."""
    try:
        return not source.is_web and source.is_dir()
    except AccessDeniedError:
        return False


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
        There are none, a file that is named is missing or not a regular one, a pattern has
        unbalanced braces or names more than a million files, or a web server's folder is named,
        which cannot be listed.
    """
    root = root_of(source)
    if source == root:
        files = _below(root, suffixes)
    elif isinstance(source, Path) and os.path.isfile(source):
        files = [_local(source.parent, source.name)]
    else:
        files = sorted(set(_named(root, expanded(_relative(source, root), source))))
    if not files:
        raise SourceError(
            f"no {suffixes[0]} files in {source}",
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
    paths = (os.path.relpath(path, root) for path in _walked(root))
    names = [path for path in paths if path.lower().endswith(suffixes)]
    return [_local(root, name) for name in sorted(names) if not _is_hidden(name)]


def _walked(root: Path) -> Iterator[str]:
    """Yield the files below a folder, also those in folders that are links; no hidden folders."""
    trails: dict[str, frozenset[tuple[int, int]]] = {str(root): frozenset([_identity(root)])}
    for parent, folders, files in os.walk(root, followlinks=True, onerror=_refuse):
        yield from (os.path.join(parent, name) for name in files)
        trail = trails.pop(parent)
        inside = [(name, os.path.join(parent, name)) for name in folders if name[0] != "."]
        known = [(name, path, _identity(path)) for name, path in inside]
        # A link to a folder above leads to nothing new.
        folders[:] = [name for name, _, identity in known if identity not in trail]
        trails |= {path: trail | {identity} for _, path, identity in known if identity not in trail}


def _identity(folder: str | Path) -> tuple[int, int]:
    try:
        status = os.stat(folder)
    except OSError as error:
        _refuse(error)
    return status.st_dev, status.st_ino


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def _refuse(error: OSError) -> NoReturn:
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
        yield from _matched(root, globs)
    yield from for_each(_status_in(root), [root / name for name in plain])


def _matched(root: ObjectPath, patterns: Iterable[str]) -> Iterator[SourceFile]:
    """Yield the objects that patterns match; only the folders that they name are listed."""
    by_folder: dict[str, list[str]] = defaultdict(list)
    for pattern in patterns:
        folder, _, name = pattern.rpartition("/")
        by_folder[folder].append(name)
    for folder, names in by_folder.items():
        prefixes = _folders(root, folder)
        for prefix, found in zip(prefixes, for_each(ObjectPath.objects, prefixes), strict=True):
            for name, status in found:
                if any(_matches(name, pattern) for pattern in names):
                    path = _relative(prefix / name, root)
                    yield SourceFile(path.encode(), *status)


def _folders(root: ObjectPath, pattern: str) -> list[ObjectPath]:
    """Return the prefixes that a pattern matches; a star does not cross a slash."""
    found = [root]
    for part in pattern.split("/") if pattern else ():
        if glob.has_magic(part):
            below = zip(found, for_each(ObjectPath.folders, found), strict=True)
            found = [path / name for path, names in below for name in names if _matches(name, part)]
        else:
            found = [path / part for path in found]
    return found


def _matches(name: str, pattern: str) -> bool:
    # As in the shell: a star matches no hidden file.
    return fnmatch.fnmatchcase(name, pattern) and (name[0] != "." or pattern[0] == ".")


def _status_in(root: ObjectPath) -> Callable[[ObjectPath], SourceFile]:
    def look(path: ObjectPath) -> SourceFile:
        try:
            return SourceFile(_relative(path, root).encode(), *path.status())
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
