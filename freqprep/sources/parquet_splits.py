"""Splits of Parquet files, told apart by file name as on the Hugging Face hub."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

from freqprep.errors import SourceError
from freqprep.sources.listing import class_text
from freqprep.sources.source_files import SourceFile
from freqprep.sources.split_names import split_word
from freqprep.storage.paths import AnyPath

_SHARD = re.compile(r"(?P<split>.+)-\d{5}-of-\d{5}(-[0-9a-f]+)?")
_NUMBER = re.compile(r"\d{4}")
_PARTIAL = "partial-"


def name_splits(
    files: Sequence[SourceFile], folder: AnyPath
) -> tuple[dict[bytes, str | None], list[str]]:
    """Return the split of each file, by its name; None for all if names tell no splits."""
    names: dict[bytes, str | None] = {}
    homes: dict[str | None, set[str]] = defaultdict(set)
    notes = []
    for path, _, _ in files:
        name, home = split_of(class_text(path))
        if name is not None and name.startswith(_PARTIAL):
            name = name.removeprefix(_PARTIAL)
            notes.append(f"the hub converted only a part of {name}: {class_text(path)}")
        names[path] = name
        homes[name].add(home)
    if None in homes and len(homes) > 1:
        other = next(path for path, name in names.items() if name is None)
        known = ", ".join(sorted(name for name in homes if name))
        raise SourceError(
            f"{class_text(other)} in {folder} is of no split, but others are of {known}",
            "name the files of one split with a pattern: 'train-*.parquet', and it with --split",
        )
    for name, folders in homes.items():
        if name is not None and len(folders) > 1:
            one, two = sorted(folders)[:2]
            raise SourceError(
                f"{folder} has files of the split {name} in {one or '.'} and {two}: several data"
                " sets, or one in several forms",
                f"name one of the folders: {folder}/{two}",
            )
    return names, notes[:1]


def split_of(path: str) -> tuple[str | None, str]:
    """Return the split that the path of a file names, and the folder that has its splits.

    Parameters
    ----------
    path : str
        Relative to the source.

    Returns
    -------
    name : str or None
        As in the path; None if it names none.
    folder : str
    """
    file = PurePosixPath(path)
    folder, stem = file.parent, file.stem
    home = "" if str(folder) == "." else str(folder)
    if shard := _SHARD.fullmatch(stem):
        return shard["split"], home
    if split_word(stem):
        return stem, home
    above = "" if str(folder.parent) == "." else str(folder.parent)
    if home and (_NUMBER.fullmatch(stem) or split_word(folder.name)):
        return folder.name, above
    return None, home
