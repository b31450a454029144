"""Errors and remedies for data sets that are not class folders, known by their files."""

from __future__ import annotations

import re
from collections.abc import Iterable

from freqprep.errors import SourceError
from freqprep.sources import folders
from freqprep.sources.files import as_bytes, shown
from freqprep.sources.folders import Level, Levels
from freqprep.sources.imagenet_labels import WNID
from freqprep.sources.wrapping import path_text

_COCO_FILE = re.compile(rb"instances_.*\.json|.*coco.*\.json", re.IGNORECASE)
_COCO_IN_ANNOTATIONS = re.compile(
    rb".*(instances|coco|keypoints|train|val|test).*\.json", re.IGNORECASE
)
_IMAGENET_FILE = re.compile(
    rb"ILSVRC2012_.*\.(tar|tar\.gz|txt)|LOC_val_solution\.csv|" + WNID.pattern + rb"\.tar"
)
_PACKED = re.compile(rb".*\.(zip|tar|tgz|gz|xz|bz2|7z|rar)", re.IGNORECASE)
_LABELS = re.compile(rb".*\.(csv|tsv|json|jsonl|xml|txt|mat|parquet|xlsx?)", re.IGNORECASE)
_NO_LABELS = re.compile(rb"(readme|licen[cs]e|requirements|dataset).*", re.IGNORECASE)


def refuse_coco(levels: Levels, home: Level, splits: Iterable[Level]) -> None:
    """Refuse a COCO data set.

    Parameters
    ----------
    levels : Levels
    home : Level
        Folder with the splits.
    splits : iterable of Level
        Folders of the splits.

    Raises
    ------
    SourceError
        There are COCO annotations in ``home``, its folder ``annotations``, or a split.
    """
    found = [(level, name) for level in (home, *splits) for name in level.files]
    marks = [(level, name) for level, name in found if _COCO_FILE.fullmatch(name)]
    for name, folder in home.folders.items():
        if name.lower() == b"annotations":
            inside = levels.at(folder)
            marks += [(inside, f) for f in inside.files if _COCO_IN_ANNOTATIONS.fullmatch(f)]
    if marks:
        level, name = min(marks, key=lambda mark: (mark[0].folder.path, mark[1]))
        source = path_text(levels, home.folder)
        raise SourceError(
            f"{path_text(levels, level.folder)} has COCO annotations ({shown(name)})",
            f"use freqprep convert coco {source} STORE; or, to take folders as classes, move the"
            " annotations out of SOURCE",
        )


def refuse_kaggle_imagenet(levels: Levels, home: Level) -> None:
    """Refuse Kaggle's form of ImageNet.

    Raises
    ------
    SourceError
        The folder ``Data/CLS-LOC`` exists.
    """
    for path in (b"ILSVRC/Data/CLS-LOC", b"Data/CLS-LOC"):
        if folders.below(levels.tree, home.folder, path):
            raise SourceError(
                f"{path_text(levels, home.folder)} has the folders of Kaggle's ImageNet"
                f" ({path.decode()})",
                f"use freqprep convert imagenet {_source(levels)} STORE",
            )


def is_imagenet(levels: Iterable[Level]) -> bool:
    """Return whether a folder has files of ImageNet or folders of its classes."""
    return any(
        _IMAGENET_FILE.fullmatch(name) or WNID.fullmatch(name)
        for level in levels
        for name in (*level.files, *level.folders)
    )


def remedy_for_flat(levels: Levels, home: Level, splits: Iterable[Level]) -> str:
    """Return the remedy for images outside class folders, which depends on what else exists."""
    all_levels = [home, *splits]
    if is_imagenet(all_levels):
        return f"use freqprep convert imagenet {_source(levels)} STORE"
    packed = sorted(name for one in all_levels for name in one.files if _PACKED.fullmatch(name))
    if packed and not home.folders:
        return f"unpack {shown(packed[0])}"
    remedy = "put each image into the folder of its class: train/CLASS/IMAGE"
    labels = sorted(
        name
        for one in all_levels
        for name in one.files
        if _LABELS.fullmatch(name) and not _NO_LABELS.fullmatch(name)
    )
    if labels:
        remedy += f"; labels in files such as {shown(labels[0])} are not read"
        if any(name.lower().endswith(b".json") for name in labels):
            remedy += ", but those of objects, in COCO's form, are by freqprep convert coco"
    return remedy


def _source(levels: Levels) -> str:
    # Labels may be above the folder with the splits.
    return shown(as_bytes(levels.root))
