"""The text files of Tiny ImageNet: labels of its flat val, names of its classes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path

from freqprep.errors import SourceError
from freqprep.sources.files import open_regular, shown
from freqprep.sources.folders import Level, Levels
from freqprep.sources.imagenet_labels import WNID, LabelImages, class_names

VAL_LABELS = b"val_annotations.txt"
"""Lies in val's folder."""

_MARKS = {b"wnids.txt", b"words.txt"}


def val_labels(path: Path) -> LabelImages:
    """The labels in a ``val_annotations.txt``: a line is file name, wnid and box, between tabs.

    Raises
    ------
    SourceError
        A line is something else.
    """
    wnids: dict[bytes, bytes] = {}
    for number, line in enumerate(_lines(path), start=1):
        name, _, rest = line.partition(b"\t")
        wnid = rest.partition(b"\t")[0].strip()
        if not WNID.fullmatch(wnid):
            raise SourceError(
                f"{path}, line {number}: {shown(line[:60])} is not a file name and a wnid such as"
                " n01443537 with a tab between",
                "fetch it again",
            )
        if wnids.setdefault(name, wnid) != wnid:
            raise SourceError(
                f"{path}, line {number}: another wnid for {shown(name)}", "fetch it again"
            )
    return partial(_labels, path, wnids)


def _labels(path: Path, wnids: Mapping[bytes, bytes], names: Sequence[bytes]) -> list[bytes]:
    if unknown := [name for name in names if name not in wnids]:
        raise SourceError(
            f"{path} has no label for {len(unknown)} of {len(names)} images, the first of them"
            f" {shown(unknown[0])}",
            "remove what is not a validation image, or fetch the file again",
        )
    return [wnids[name] for name in names]


def wnid_names(levels: Levels, home: Level, ids: Collection[bytes]) -> dict[str, str]:
    """Wnid -> English name, where the data set is Tiny ImageNet or a part of it.

    Names are those of its ``words.txt``, the first lemma of each, or else the packaged ones.

    Parameters
    ----------
    levels : Levels
    home : Level
        The folder that holds the splits.
    ids : collection of bytes
        Class folders; there are no names unless all are wnids.
    """
    if not home.files.keys() & _MARKS or not all(map(WNID.fullmatch, ids)):
        return {}
    names = dict(class_names())
    if b"words.txt" in home.files:
        wanted = {wnid.decode() for wnid in ids}
        for line in _lines(levels.path(home.folder) / "words.txt"):
            wnid, _, words = line.decode("utf-8", "replace").partition("\t")
            if wnid in wanted and words:
                names[wnid] = words.partition(",")[0].strip()
    return names


def _lines(path: Path) -> list[bytes]:
    with open_regular(bytes(path)) as file:
        return [line for line in file.read().splitlines() if line.strip()]
