"""Class folders of images, with or without split folders above them.

::

    ROOT/CLASS/.../IMAGE                 one split
    ROOT/train/CLASS/.../IMAGE           several splits
    ROOT/val/CLASS/.../IMAGE

Folders around these are skipped (`freqprep.sources.wrapping`). A folder is a split if it is named
like one (`freqprep.sources.split_names`) and has folders in it: a class that happens to be called
"train" has images. `freqprep.sources.class_doubts` checks whether folders are meant as classes.
"""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial

from freqprep.errors import SourceError
from freqprep.sources.by_class import ClassSplit, ListImages, by_label, discovered
from freqprep.sources.class_doubts import split_named
from freqprep.sources.files import shown
from freqprep.sources.folders import Folder, Level, Levels, outside
from freqprep.sources.listing import Discovered, class_text
from freqprep.sources.options import NO_OPTIONS, SourceOptions
from freqprep.sources.other_kinds import refuse_coco, refuse_kaggle_imagenet, remedy_for_flat
from freqprep.sources.split_names import normalise_split, split_folders
from freqprep.sources.tiny_imagenet import VAL_LABELS, val_labels, wnid_names
from freqprep.sources.tree import source_tree
from freqprep.sources.wrapping import path_text, split_level, unwrapped
from freqprep.storage.paths import AnyPath
from freqprep.text.quantities import plural


def discover(root: AnyPath, split: str | None, options: SourceOptions = NO_OPTIONS) -> Discovered:
    """List the class folders under ``root``; see `freqprep.sources.listing.Source`.

    Entries beside the splits or classes count as ignored in each split.

    Raises
    ------
    SourceError
        There are no class folders, no images or no such split; names collide; the images of a
        split are not in class folders; or the data set is of another kind.
    """
    levels = Levels(source_tree(root))
    home = unwrapped(levels)
    refuse_kaggle_imagenet(levels, home)
    names = split_folders(map(class_text, home.folders))
    named = {name: names[text] for name in home.folders if (text := class_text(name)) in names}
    inside = _inside(levels, home, named)
    refuse_coco(levels, home, [*(levels.at(home.folders[n]) for n in named), *inside.values()])
    notes = []
    if home.folder.path:
        notes.append(f"taking the folder {path_text(levels, home.folder)} for the source")
    if any(level.folders for level in inside.values()):
        if split is not None and (own := os.fsencode(split)) in home.folders.keys() - named:
            named[own] = split
            inside = _inside(levels, home, named)
        return _with_splits(_Splits(levels, home, named, inside, split), notes)
    flat = {name: level for name, level in inside.items() if level.images}
    return _without_splits(levels, home, named, flat, split, notes)


def _inside(levels: Levels, home: Level, named: Iterable[bytes]) -> dict[bytes, Level]:
    tops = {name: levels.at(home.folders[name]) for name in named}
    found = {}
    for name, level in tops.items():
        others = [other for other in tops.values() if other is not level and len(other.folders) > 1]
        elsewhere = {folder for other in others for folder in other.folders}
        found[name] = split_level(levels, level.folder, elsewhere)
    return found


def _listers(levels: Levels, folders: Mapping[bytes, Folder]) -> dict[bytes, ListImages]:
    return {name: partial(levels.images, folder) for name, folder in folders.items()}


def _beside(levels: Levels, home: Level) -> Counter[str]:
    return sum(map(outside, [*levels.above(home), home]), Counter())


def _without_splits(
    levels: Levels,
    home: Level,
    named: Mapping[bytes, str],
    flat: Mapping[bytes, Level],
    split: str | None,
    notes: list[str],
) -> Discovered:
    ignored = _beside(levels, home)
    if not home.folders:
        raise SourceError(
            f"no class folders in {path_text(levels, home.folder)}, only"
            f" {sum(ignored.values())} other entries",
            remedy_for_flat(levels, home, ()),
        )
    source_name = split or "train"
    listers = _listers(levels, home.folders)
    only = ClassSplit(source_name, normalise_split(source_name), listers, ignored)
    ids = wnid_names(levels, home, listers)
    if len({named[name] for name in flat}) > 1 or len(flat) == len(home.folders):
        remedy = remedy_for_flat(levels, home, flat.values())
        found = discovered(levels.root, [only], split, ids, notes)
        doubts = (split_named(flat, remedy), *found.doubts)
        return dataclasses.replace(found, doubts=doubts)
    notes += [
        f"warning: {shown(name)} is named like a split, but holds images and no class folders: it"
        " is taken for a class"
        for name in flat
    ]
    return discovered(levels.root, [only], split, ids, notes)


@dataclasses.dataclass(frozen=True)
class _Splits:
    """Folders of splits, at least one of which has class folders.

    Attributes
    ----------
    levels : Levels
    home : Level
        Folder with the splits.
    named : dict of bytes to str
        Folder -> name of the split in the store.
    inside : dict of bytes to Level
        Folder -> folder with its classes, or with its images if there are no classes.
    wanted : str or None
        Requested split.
    """

    levels: Levels
    home: Level
    named: dict[bytes, str]
    inside: dict[bytes, Level]
    wanted: str | None

    def asked_for(self, name: bytes) -> bool:
        """Return whether a split is requested, or no split in particular."""
        text = class_text(name)
        if self.wanted is None or self.wanted == text:
            return True
        others = {class_text(other) for other in self.named}
        return self.wanted not in others and normalise_split(self.wanted) == self.named[name]


def _with_splits(found: _Splits, notes: list[str]) -> Discovered:
    levels, ignored = found.levels, _beside(found.levels, found.home)
    images = {}
    for name, level in found.inside.items():
        if listers := _split_images(found, name, level, ignored, notes):
            images[name] = listers
    _others(found, {folder for listers in images.values() for folder in listers}, ignored, notes)
    splits = []
    for name, listers in images.items():
        top = levels.at(found.home.folders[name])
        passed = [level for level in levels.above(found.inside[name]) if _is_in(level, top)]
        met = sum(map(outside, passed), Counter())
        if found.inside[name].folders:
            met += outside(found.inside[name])
        splits.append(ClassSplit(class_text(name), found.named[name], listers, met + ignored))
    taken = sorted(
        (found.named[name], found.inside[name].folder.path)
        for name in images
        if found.asked_for(name)
    )
    if any(name != class_text(path) for name, path in taken):
        notes.append("splits: " + ", ".join(f"{name} from {shown(path)}" for name, path in taken))
    ids = {folder for listers in images.values() for folder in listers}
    return discovered(levels.root, splits, found.wanted, wnid_names(levels, found.home, ids), notes)


def _is_in(level: Level, top: Level) -> bool:
    return (level.folder.path + b"/").startswith(top.folder.path + b"/")


def _split_images(
    found: _Splits, name: bytes, level: Level, ignored: Counter[str], notes: list[str]
) -> dict[bytes, ListImages]:
    """Return the classes of a split; none if its images are unlabelled and need no labels."""
    if level.folders:
        return _listers(found.levels, level.folders)
    top = found.levels.at(found.home.folders[name])
    where = path_text(found.levels, level.folder)
    if not level.images:
        ignored[f"split without images ({shown(name)})"] += 1
        if found.wanted is not None and found.asked_for(name):
            raise SourceError(f"no images in {where}", "choose another --split")
        return {}
    if labels := [one for one in (top, level) if VAL_LABELS in one.files]:
        path = os.path.join(labels[0].folder.path, VAL_LABELS)
        return by_label(where, level.images, val_labels(found.levels.tree, path))
    count = len(level.images)
    if found.asked_for(name) and (found.wanted is not None or found.named[name] != "test"):
        raise SourceError(
            f"the {plural(count, 'image')} of the split {shown(name)} lie in no class folders,"
            " but directly"
            f" in {where}",
            remedy_for_flat(found.levels, found.home, found.inside.values())
            + "; or convert the other splits one by one with --split",
        )
    ignored[f"unlabelled image of {shown(name)}"] += count
    if found.wanted is None:
        notes.append(
            f"warning: left out: {plural(count, 'image')} of {shown(name)}, which lie in no class"
            " folders"
            " and have no labels"
        )
    return {}


def _others(found: _Splits, classes: set[bytes], ignored: Counter[str], notes: list[str]) -> None:
    """Count folders that are not splits; refuse those with images of the classes."""
    levels = found.levels
    for name in sorted(found.home.folders.keys() - found.named.keys()):
        folder = found.home.folders[name]
        ignored[f"folder that is not a split ({shown(name)})"] += 1
        if found.wanted is not None:
            continue
        inside = split_level(levels, folder, classes).folders.keys() & classes
        count = len(levels.images(folder, Counter()))
        if not count:
            continue
        if inside:
            raise SourceError(
                f"{path_text(levels, folder)} holds classes of the splits"
                f" ({', '.join(sorted(map(shown, inside))[:3])}) and {plural(count, 'image')},"
                " but its name"
                " is not that of a split",
                f"convert it as a split with --split {shown(name)}, and the others with --split"
                f" {shown(min(found.named))} and so on; or move it out of SOURCE",
            )
        notes.append(
            f"warning: left out: {plural(count, 'image')} in {shown(name)}, which is not a split"
        )
