"""ImageNet (ILSVRC 2012) in its usual forms.

::

    ROOT/{train,val}/WNID/...                          folders, or WNID.tar archives in train
    ROOT/val/ILSVRC2012_val_*.JPEG                     flat, with labels
    ROOT/[ILSVRC/]Data/CLS-LOC/{train,val}/...         as Kaggle has it
    ROOT/ILSVRC2012_img_{train,val}.tar                the original archives, not unpacked
    ROOT/train/WNID/images/..., ROOT/val/images/...    Tiny ImageNet, with val_annotations.txt

Train and val may have different forms. The key of an image is always WNID/FILE, so the same images
give the same rows in the same order.
"""

from __future__ import annotations

import dataclasses
import os
import re
import stat
from collections import Counter
from collections.abc import Mapping
from functools import partial

from freqprep.errors import SourceError
from freqprep.sources import archives, folders
from freqprep.sources.by_class import ClassSplit, ImageEntry, ListImages, by_label, discovered
from freqprep.sources.files import shown
from freqprep.sources.folders import Level, Levels
from freqprep.sources.imagenet_labels import (
    LABEL_FILES,
    WNID,
    LabelImages,
    class_names,
    find_labels,
)
from freqprep.sources.listing import Discovered, class_text
from freqprep.sources.options import NO_OPTIONS, SourceOptions
from freqprep.sources.split_names import normalise_split, split_folders
from freqprep.sources.tiny_imagenet import VAL_LABELS, val_labels, wnid_names
from freqprep.sources.tree import source_tree
from freqprep.sources.wrapping import path_text, split_level, unwrapped
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import AnyPath
from freqprep.text.quantities import plural

_WNID_TAR = re.compile(WNID.pattern + rb"\.tar")
_TARS_AT_ONCE = 16
"""Archives in a bucket whose indexes are read at the same time, each through 8 MB of memory."""

_SPLIT_TARS = {
    b"ILSVRC2012_img_train.tar": "train",
    b"ILSVRC2012_img_val.tar": "val",
}


def discover(root: AnyPath, split: str | None, options: SourceOptions = NO_OPTIONS) -> Discovered:
    """List ImageNet's images under ``root``; see `freqprep.sources.listing.Source`.

    The archive of a split is ignored if the split's folder exists as well; the folder of a class is
    ignored if the class's archive is beside it.

    Raises
    ------
    SourceError
        None of the forms is found, there is no such split, a flat val has no labels, or an archive
        is damaged.
    """
    levels = Levels(source_tree(root))
    home = unwrapped(levels)
    base = _base(levels, home)
    ignored = Counter(base.ignored)
    notes = []
    if home.folder.path:
        notes.append(f"taking the folder {path_text(levels, home.folder)} for the source")
    splits = _folder_splits(levels, base, split, ignored)
    splits += _archive_splits(levels, home, split, splits, ignored)
    if not splits:
        name = split or "train"
        unsplit = _by_wnid(levels, base, name, normalise_split(name))
        if not unsplit.images:
            raise SourceError(
                f"no ImageNet in {root}: neither train or val with folders such as n01440764, nor"
                " Data/CLS-LOC, nor ILSVRC2012_img_train.tar or ILSVRC2012_img_val.tar",
                "name the folder that holds one of these, or use freqprep convert imagefolder for"
                " folders of other classes",
            )
        splits.append(unsplit)
    at_once = _TARS_AT_ONCE if isinstance(root, ObjectPath) else 1
    splits = [
        dataclasses.replace(one, ignored=one.ignored + ignored, at_once=at_once) for one in splits
    ]
    ids = {wnid for one in splits for wnid in one.images}
    names = class_names() | wnid_names(levels, home, ids)
    return discovered(root, splits, split, names, notes)


def _base(levels: Levels, home: Level) -> Level:
    for path in (b"ILSVRC/Data/CLS-LOC", b"Data/CLS-LOC"):
        if found := folders.below(levels.tree, home.folder, path):
            return levels.at(found)
    return home


def _folder_splits(
    levels: Levels, base: Level, wanted: str | None, ignored: Counter[str]
) -> list[ClassSplit]:
    splits = []
    names = split_folders(map(class_text, base.folders))
    for folder_name, folder in sorted(base.folders.items()):
        source_name = class_text(folder_name)
        if source_name not in names:
            continue
        found = _by_wnid(levels, split_level(levels, folder, ()), source_name, names[source_name])
        if found.images:
            splits.append(found)
        else:
            met: Counter[str] = Counter()
            images = levels.images(folder, met)
            empty = dataclasses.replace(found, ignored=met)
            splits += _flat(levels, levels.at(folder), empty, images, wanted, ignored)
    if splits:
        _refuse_others(levels, base, names, wanted, ignored)
    return splits


def _refuse_others(
    levels: Levels,
    base: Level,
    names: Mapping[str, str],
    wanted: str | None,
    ignored: Counter[str],
) -> None:
    """Count the folders that are not splits; refuse those with classes."""
    for name, folder in sorted(base.folders.items()):
        if class_text(name) in names:
            continue
        ignored[f"folder that is not a split ({shown(name)})"] += 1
        if wanted is None and (WNID.fullmatch(name) or _wnids(levels.at(folder))):
            raise SourceError(
                f"{path_text(levels, folder)} lies beside the splits {', '.join(sorted(names))} and"
                " holds images of classes, but its name is not that of a split",
                "name the splits to convert one by one with --split, or move it out of SOURCE",
            )


def _wnids(level: Level) -> list[bytes]:
    return [name for name in level.folders if WNID.fullmatch(name)]


def _by_wnid(levels: Levels, level: Level, source_name: str, split_name: str) -> ClassSplit:
    unpacked: dict[bytes, ListImages] = {
        name: partial(levels.images, level.folders[name]) for name in _wnids(level)
    }
    packed: dict[bytes, ListImages] = {}
    for name, status in level.files.items():
        if _WNID_TAR.fullmatch(name) and status and stat.S_ISREG(status.st_mode):
            archive = os.path.join(level.folder.path, name)
            wnid = name.removesuffix(b".tar")
            span = archives.Span(archive, 0, status.st_size)
            packed[wnid] = partial(archives.images, levels.root, span, folder=wnid)
    ignored = Counter(level.ignored)
    ignored["folder that is not a wnid"] += len(level.folders) - len(unpacked)
    ignored["outside any class folder"] += len(level.images) + len(level.files) - len(packed)
    # A damaged archive is an error; a folder beside it may be incompletely unpacked.
    ignored["folder beside its archive"] += len(unpacked.keys() & packed.keys())
    return ClassSplit(source_name, split_name, unpacked | packed, +ignored)


def _archive_splits(
    levels: Levels,
    home: Level,
    wanted: str | None,
    unpacked: list[ClassSplit],
    ignored: Counter[str],
) -> list[ClassSplit]:
    root = levels.root
    have = {split.name for split in unpacked}
    splits = []
    for file_name, name in _SPLIT_TARS.items():
        status = home.files.get(file_name)
        if status is None or not stat.S_ISREG(status.st_mode):
            continue
        if name in have:
            ignored["archive beside its unpacked folder"] += 1
            continue
        span = archives.Span(os.path.join(home.folder.path, file_name), 0, status.st_size)
        met: Counter[str] = Counter()
        if name == "train":
            splits.append(ClassSplit(name, name, _inner_tars(root, span, met), met))
        else:
            images = archives.images(root, span, met)
            empty = ClassSplit(name, name, {}, met)
            splits += _flat(levels, home, empty, images, wanted, ignored)
    return splits


def _flat(
    levels: Levels,
    top: Level,
    split: ClassSplit,
    images: list[ImageEntry],
    wanted: str | None,
    ignored: Counter[str],
) -> list[ClassSplit]:
    """Return the split with its images grouped by class; none if they need no labels.

    ``top`` is the folder of the split, or that of its archive.
    """
    if not images:
        return []
    where = f"{split.source_name} in {levels.root}"
    if labels := _labels(levels, top, split.name):
        # Folders inside, which some archives have, are not part of a key.
        return [dataclasses.replace(split, images=by_label(where, images, labels))]
    if split.name != "test" and (wanted is None or normalise_split(wanted) == split.name):
        remedy = f"put {LABEL_FILES} into {levels.root}"
        if split.name != "val":
            remedy = f"put them into folders of their classes: {split.source_name}/n01440764/IMAGE"
        raise SourceError(
            f"the {plural(len(images), 'image')} of {where} are in no class folders and have no"
            " labels",
            remedy,
        )
    ignored[f"unlabelled image of {split.source_name}"] += len(images)
    return []


def _labels(levels: Levels, top: Level, split_name: str) -> LabelImages | None:
    if split_name != "val":
        return None
    if VAL_LABELS in top.files:
        return val_labels(levels.tree, os.path.join(top.folder.path, VAL_LABELS))
    found = (find_labels(levels.tree, level.folder.path) for level in [*levels.above(top), top])
    return next((labels for labels in found if labels), None)


def _inner_tars(
    root: AnyPath, outer: archives.Span, ignored: Counter[str]
) -> dict[bytes, ListImages]:
    images: dict[bytes, ListImages] = {}
    for member in archives.members(root, outer, ignored):
        name = member.name.rpartition(b"/")[2]
        if _WNID_TAR.fullmatch(name):
            wnid = name.removesuffix(b".tar")
            inner = archives.Span(outer.archive, member.start, member.length)
            images[wnid] = partial(archives.images, root, inner, folder=wnid)
        else:
            ignored["member that is not a class archive"] += 1
    return images
