"""Files that a command is told to write: refused before the work, never replaced unasked."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from freqprep.errors import UsageError, some


def check_targets(paths: Iterable[Path | None], overwrite: bool) -> None:
    """Refuse files that could not be written, or are not to be replaced.

    Parameters
    ----------
    paths : iterable of Path or None
        All files that one command will write; None is left out.
    overwrite : bool
        Whether files that are there may be replaced.

    Raises
    ------
    UsageError
        A path is no regular file, its folder is missing, it is there already, or it is named
        twice.
    """
    there, named = [], set[str]()
    for path in paths:
        if path is None:
            continue
        check_file(path)
        if (full := os.path.realpath(path)) in named:
            raise UsageError(f"{path} is to be written twice", "name another file for one of them")
        named.add(full)
        if os.path.lexists(path):
            there.append(str(path))
    if there and not overwrite:
        refuse_replacing(there)


def check_file(path: Path) -> None:
    """Refuse a file that could not be written.

    Raises
    ------
    UsageError
        It is no regular file, or its folder is missing.
    """
    if path.exists() and not path.is_file():
        raise UsageError(f"{str(path)!r} cannot be written: it is no file", "name a file")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"{path} cannot be written: its folder is not there", "make it")


def check_folder(folder: Path, what: str) -> None:
    """Refuse a folder that could not be made, or could not hold files.

    Parameters
    ----------
    folder : Path
        Need not be there, but the one that it is to lie in.
    what : str
        The files, in the plural.

    Raises
    ------
    UsageError
        It is no folder, or the one that it is to lie in is missing.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} cannot hold {what}: it is no folder", "name a folder")
    if not folder.absolute().parent.is_dir():
        raise UsageError(f"{folder} cannot be made: its folder is not there", "make it")


def refuse_replacing(there: list[str]) -> None:
    """Refuse to replace files without having been told to.

    Raises
    ------
    UsageError
    """
    what, they = ("is", "it") if len(there) == 1 else ("are", "them")
    raise UsageError(
        f"{some(there)} {what} there already",
        f"--overwrite replaces {they}; or choose another name",
    )
