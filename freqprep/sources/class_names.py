"""Classes that have names and no folders: those of tables, and of text files of names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from freqprep.errors import SourceError, some
from freqprep.sources.imagenet_labels import class_names, wnids_of
from freqprep.sources.listing import Classes
from freqprep.storage.paths import AnyPath


def read_class_names(path: AnyPath) -> tuple[str, ...]:
    """Read the names of classes from a text file, one per line, in label order.

    Empty lines at the end are skipped.

    Raises
    ------
    SourceError
        The file cannot be read, is not UTF-8, or has an empty line or a name twice.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise SourceError(f"there is no {path}", "name another file with --class-names") from None
    except OSError as error:
        if not isinstance(path, Path):  # has its own message
            raise
        raise SourceError(
            f"--class-names {path} cannot be read: {error.strerror}", "check the file"
        ) from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(
            f"--class-names {path} is not UTF-8 text at byte {error.start}",
            "save it as UTF-8 text with one name per line",
        ) from error
    names = tuple(line.strip() for line in text.rstrip().splitlines())
    if "" in names or not text.strip():
        raise SourceError(
            f"--class-names {path}: line {names.index('') + 1} has no name",
            "write one name per line, in label order",
        )
    return names


def classes_of(names: Sequence[str], where: str) -> tuple[Classes, tuple[str, ...]]:
    """Return classes of the given names; if all names are ImageNet's, their ids are wnids.

    Parameters
    ----------
    names : sequence of str
        In label order.
    where : str
        File that they are from, for messages.

    Returns
    -------
    classes : Classes
        Where names are ImageNet's, with the names that a store from folders has.
    notes : tuple of str
        What was recognised.

    Raises
    ------
    SourceError
        A name is there twice, and they are not ImageNet's thousand in order.
    """
    wnids = wnids_of(names)
    english = class_names()
    if all(wnids):
        ids = tuple(wnid for wnid in wnids if wnid)
        note = f"the {len(names)} class names are ImageNet's: class ids are wnids"
        pairs = zip(ids, names, strict=True)
        return Classes(ids, tuple(english.get(wnid, name) for wnid, name in pairs)), (note,)
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise SourceError(
            f"{where} has {len(repeated)} class names twice: {some(list(map(repr, repeated)))}",
            "give each class a name of its own with --class-names FILE",
        )
    others = [repr(name) for name, wnid in zip(names, wnids, strict=True) if not wnid]
    notes: tuple[str, ...] = ()
    if len(others) < len(names) / 2:
        notes = (
            f"{len(names) - len(others)} of {len(names)} class names are ImageNet's, but not"
            f" {some(others)}: class ids are the names",
        )
    return Classes(tuple(names), tuple(names)), notes
