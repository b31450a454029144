"""Checks of the files that a command will write: before the work, and against replacing."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from freqprep.errors import UsageError, some
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import AnyPath


def check_targets(paths: Iterable[AnyPath | None], overwrite: bool) -> None:
    """Refuse files that cannot be written or may not be replaced.

    Parameters
    ----------
    paths : iterable of Path, ObjectPath or None
        All files that one command will write; None is skipped.
    overwrite : bool
        Whether existing files may be replaced.

    Raises
    ------
    UsageError
        A path is not a regular file, its parent folder is missing, it exists already, or it is
        named twice.
    """
    existing, named = [], set[str]()
    for path in paths:
        if isinstance(path, ObjectPath):
            existing += [str(path)] if path.is_file() else []
            continue
        if path is None:
            continue
        check_file(path)
        if (full := os.path.realpath(path)) in named:
            raise UsageError(f"{path} is to be written twice", "name another file for one of them")
        named.add(full)
        if os.path.lexists(path):
            existing.append(str(path))
    if existing and not overwrite:
        refuse_replacing(existing)


def check_file(path: Path) -> None:
    """Refuse a file that cannot be written.

    Raises
    ------
    UsageError
        It is not a regular file, or its parent folder is missing.
    """
    if path.exists() and not path.is_file():
        raise UsageError(f"{str(path)!r} cannot be written: it is not a file", "name a file")
    _check_parent(path, "written")


def check_folder(folder: Path, what: str) -> None:
    """Refuse a folder that cannot be created or cannot hold files.

    Parameters
    ----------
    folder : Path
        Need not exist, but its parent must.
    what : str
        Kind of the files, in the plural, for messages.

    Raises
    ------
    UsageError
        It is not a folder, or its parent folder is missing.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} cannot hold {what}: it is not a folder", "name a folder")
    _check_parent(folder, "created")


def _check_parent(path: Path, how: str) -> None:
    parent = path.absolute().parent
    if not parent.is_dir():
        raise UsageError(
            f"{path} cannot be {how}: parent folder {parent} does not exist", "create it"
        )


def refuse_replacing(existing: list[str]) -> None:
    """Refuse to replace existing files.

    Raises
    ------
    UsageError
    """
    exist, they = ("exists", "it") if len(existing) == 1 else ("exist", "them")
    raise UsageError(
        f"{some(existing)} already {exist}",
        f"--overwrite replaces {they}; or choose another name",
    )
