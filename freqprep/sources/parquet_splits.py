"""Splits of Parquet files, told apart by file name as on the Hugging Face hub."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from freqprep.errors import SourceError
from freqprep.sources.files import shown
from freqprep.sources.source_files import SourceFile
from freqprep.sources.split_names import normalise_split, split_word, split_words
from freqprep.storage.paths import AnyPath

_SHARD = re.compile(r"(?P<split>.+)-\d+-of-\d+(-[0-9a-f]+)?")
_OF_HUB = re.compile(r"(?:.+-)??((?:partial-)?[^-]+)")
"""Name of the data set, which may have hyphens, and of the split, which has none."""

_NUMBER = re.compile(r"\d{4}")
_PARTIAL = "partial-"
_ANYWHERE = re.compile(r"train|valid|val|test")


def name_splits(
    files: Sequence[SourceFile], folder: AnyPath
) -> tuple[dict[bytes, str | None], list[str]]:
    """Return the split of each file, by its name; None for all if names tell no splits.

    Raises
    ------
    SourceError
        Names tell the splits of some files only, or have words for several splits but tell none,
        or files of one split are in several folders.
    """
    names: dict[bytes, str | None] = {}
    homes: dict[str | None, set[str]] = defaultdict(set)
    notes = []
    for path, _, _ in files:
        name, home = split_of(shown(path))
        if name is not None and name.startswith(_PARTIAL):
            name = name.removeprefix(_PARTIAL)
            notes.append(f"the hub converted only a part of {name}: {shown(path)}")
        names[path] = name
        homes[name].add(home)
    if None in homes and len(homes) > 1:
        other = next(path for path, name in names.items() if name is None)
        known = ", ".join(sorted(name for name in homes if name))
        raise SourceError(
            f"{shown(other)} in {folder} is of no split, but others are of {known}",
            "name the files of one split with a pattern: 'train-*.parquet', and it with --split",
        )
    if None in homes:
        _refuse_words(map(shown, names), folder)
    for name, folders in homes.items():
        if name is not None and len(folders) > 1:
            one, two = sorted(folders)[:2]
            raise SourceError(
                f"{folder} has files of the split {name} in {one or '.'} and {two}: several data"
                " sets, or one in several forms",
                f"name one of the folders: {folder}/{two}",
            )
    return names, notes[:1]


def _refuse_words(paths: Iterable[str], folder: AnyPath) -> None:
    """Refuse files of no split whose names differ in words for splits all the same."""
    groups: dict[str, dict[frozenset[str], str]] = defaultdict(dict)
    for path in paths:
        name = re.sub(r"\d+", "", path.lower())
        told = {
            _ANYWHERE.sub("", name): _ANYWHERE.findall(name),  # names that are alike but for these
            "": map(normalise_split, split_words(path)),
        }
        for group, words in told.items():
            if found := frozenset(words):
                groups[group].setdefault(found, path)
    for paths_of in groups.values():
        if len(paths_of) > 1:
            one, two, *_ = paths_of.values()
            raise SourceError(
                f"names speak of several splits, but do not tell of which each file is: {one} and"
                f" {two} in {folder}",
                "name the files of one with a pattern, and it with --split",
            )


def split_of(path: str) -> tuple[str | None, str]:
    """Return the split that the path of a file names, and the folder that has its splits.

    It is that of the file's name, or else of the nearest folder whose name has one word for a
    split.

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
    folders = [folder for folder in file.parents if folder.name]
    shard, numbered = _SHARD.fullmatch(file.stem), bool(_NUMBER.fullmatch(file.stem))
    name = _of_shard(shard["split"]) if shard else _split_in(file.stem)
    if name is not None:
        return name, _home(folders, name)
    for depth, folder in enumerate(folders):
        if numbered and not depth and split_words(folder.name):
            return folder.name, _home(folders, folder.name)
        if (name := _split_in(folder.name)) is not None:
            return name, _home(folders[depth:], name)
    if shard:
        return shard["split"], _home(folders, shard["split"])
    if numbered and folders:
        return folders[0].name, _text(folders[0].parent)
    return None, _home(folders, "")


def _of_shard(name: str) -> str | None:
    """Return the split in a name such as ``cifar10-train``; None if it has no word for one."""
    match = _OF_HUB.fullmatch(name)
    return match[1] if match and split_words(match[1]) else _split_in(name)


def _split_in(name: str) -> str | None:
    """Return a name that means just a split, or the one word for a split in it."""
    if split_word(name):
        return name
    words = split_words(name)
    return words[0] if len(set(map(normalise_split, words))) == 1 else None


def _home(folders: Sequence[PurePosixPath], split: str) -> str:
    """Return the first folder, from the file up, whose name does not speak of the split, too."""
    meant = normalise_split(_split_in(split) or split)
    for folder in folders:
        if normalise_split(_split_in(folder.name) or folder.name) != meant:
            return _text(folder)
    return ""


def _text(folder: PurePosixPath) -> str:
    return "" if str(folder) == "." else str(folder)
