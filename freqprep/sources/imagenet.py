"""ImageNet (ILSVRC 2012) in the forms in which people have it.

::

    ROOT/{train,val}/WNID/...                          folders, or WNID.tar archives in train
    ROOT/val/ILSVRC2012_val_*.JPEG                     flat, with labels
    ROOT/[ILSVRC/]Data/CLS-LOC/{train,val}/...         as Kaggle has it
    ROOT/ILSVRC2012_img_{train,val}.tar                the original archives, not unpacked

Train and val may differ in form. Whatever the form, an image's key is WNID/FILE, so the same
images give the same rows in the same order.
"""

from __future__ import annotations

import os
import re
import stat
from collections import Counter, defaultdict
from functools import cache, partial
from importlib import resources
from itertools import pairwise
from pathlib import Path

from freqprep.errors import SourceError
from freqprep.sources import archives, folders
from freqprep.sources.by_class import ClassSplit, Image, ListImages, discovered
from freqprep.sources.files import shown
from freqprep.sources.folders import Folder
from freqprep.sources.imagenet_labels import LABEL_FILES, WNID, find_labels
from freqprep.sources.listing import SPLIT_NAMES, Discovered, class_text, normalise_split

_WNID_TAR = re.compile(WNID.pattern + rb"\.tar")
_SPLIT_TARS = {
    "ILSVRC2012_img_train.tar": "train",
    "ILSVRC2012_img_val.tar": "val",
}


def discover(root: Path, split: str | None) -> Discovered:
    """List ImageNet's images under ``root``; see `freqprep.sources.listing.Source`.

    The archive of a split is ignored where the split's folder is there too; a class's folder is
    ignored where the class's archive is beside it.

    Raises
    ------
    SourceError
        There is none of the forms, no such split, no label for a flat val, or a damaged archive.
    """
    base = _base(root)
    ignored: Counter[str] = Counter()
    splits = _folder_splits(root, base, split, ignored)
    splits += _archive_splits(root, split, splits, ignored)
    if not splits:
        unsplit = _by_wnid(root, base, split or "train")
        if not unsplit.images:
            raise SourceError(
                f"no ImageNet in {root}: neither train or val with folders such as n01440764, nor"
                " Data/CLS-LOC, nor ILSVRC2012_img_train.tar or ILSVRC2012_img_val.tar",
                "name the folder that holds one of these",
            )
        splits.append(unsplit)
    splits = [ClassSplit(s.source_name, s.images, s.ignored + ignored) for s in splits]
    return discovered(root, splits, split, class_names())


@cache
def class_names() -> dict[str, str]:
    """Wnid -> English name of the 1000 classes, in sorted order; names are not unique.

    A name is the first lemma of the synset in WordNet.
    """
    table = resources.files("freqprep.sources").joinpath("imagenet_classes.tsv")
    lines = table.read_text(encoding="utf-8").splitlines()
    return dict(line.split("\t", 1) for line in lines)


def _base(root: Path) -> Folder:
    folder = folders.top(root)
    for path in (b"ILSVRC/Data/CLS-LOC", b"Data/CLS-LOC"):
        if found := folders.below(root, folder, path):
            return found
    return folder


def _folder_splits(
    root: Path, base: Folder, wanted: str | None, ignored: Counter[str]
) -> list[ClassSplit]:
    splits = []
    for name, status in sorted(folders.scan(root, base, ignored)):
        source_name = class_text(name)
        if status is None or not stat.S_ISDIR(status.st_mode):
            continue
        folder = folders.subfolder(base, name, status)
        if folder is None or source_name.lower() not in SPLIT_NAMES:
            continue
        found = _by_wnid(root, folder, source_name)
        if found.images:
            splits.append(found)
        else:
            met: Counter[str] = Counter()
            images = folders.images(root, folder, met)
            splits += _flat(root, ClassSplit(source_name, {}, met), images, wanted, ignored)
    return splits


def _by_wnid(root: Path, folder: Folder, source_name: str) -> ClassSplit:
    ignored: Counter[str] = Counter()
    unpacked: dict[bytes, ListImages] = {}
    packed: dict[bytes, ListImages] = {}
    for name, status in folders.scan(root, folder, ignored):
        mode = status.st_mode if status else 0
        child = folders.subfolder(folder, name, status) if status else None
        if WNID.fullmatch(name) and stat.S_ISDIR(mode) and child:
            unpacked[name] = partial(folders.images, root, child)
        elif _WNID_TAR.fullmatch(name) and stat.S_ISREG(mode):
            wnid = name.removesuffix(b".tar")
            archive = os.path.join(folder.path, name)
            packed[wnid] = partial(_packed_class, root, archive, wnid)
        elif stat.S_ISDIR(mode):
            ignored["folder that is not a wnid"] += 1
        else:
            ignored["outside any class folder"] += 1
    # An archive is whole or an error; a folder beside it may be the rest of a broken unpacking.
    if both := len(unpacked.keys() & packed.keys()):
        ignored["folder beside its archive"] += both
    return ClassSplit(source_name, unpacked | packed, ignored)


def _packed_class(root: Path, archive: bytes, wnid: bytes, ignored: Counter[str]) -> list[Image]:
    return archives.images(root, archives.whole(root, archive), ignored, wnid)


def _archive_splits(
    root: Path, wanted: str | None, unpacked: list[ClassSplit], ignored: Counter[str]
) -> list[ClassSplit]:
    have = {normalise_split(split.source_name) for split in unpacked}
    splits = []
    for file_name, name in _SPLIT_TARS.items():
        if not Path(root, file_name).is_file():
            continue
        if name in have:
            ignored["archive beside its unpacked folder"] += 1
            continue
        span = archives.whole(root, file_name.encode())
        met: Counter[str] = Counter()
        if name == "train":
            splits.append(ClassSplit(name, _inner_tars(root, span, met), met))
        else:
            images = archives.images(root, span, met)
            splits += _flat(root, ClassSplit(name, {}, met), images, wanted, ignored)
    return splits


def _flat(
    root: Path,
    split: ClassSplit,
    images: list[Image],
    wanted: str | None,
    ignored: Counter[str],
) -> list[ClassSplit]:
    """The split with its images under their classes; nothing where they cannot have labels."""
    if not images:
        return []
    is_val = normalise_split(split.source_name) == "val"
    labels = find_labels(root) if is_val else None
    if labels is None:
        if is_val and (wanted is None or normalise_split(wanted) == "val"):
            raise SourceError(
                f"the {len(images)} images of {split.source_name} in {root} are in no class"
                " folders and have no labels",
                f"put {LABEL_FILES} into {root}",
            )
        ignored[f"unlabelled image of {split.source_name}"] += len(images)
        return []
    # Folders inside, which some archives have, are no part of a key: see the module's text.
    images = sorted(image._replace(key=image.key.rpartition(b"/")[2]) for image in images)
    for image, other in pairwise(images):
        if image.key == other.key:
            raise SourceError(
                f"two images of {split.source_name} in {root} are called {shown(image.key)}",
                "remove one of them",
            )
    by_wnid: dict[bytes, list[Image]] = defaultdict(list)
    for image, wnid in zip(images, labels([image.key for image in images]), strict=True):
        by_wnid[wnid].append(image)
    listers: dict[bytes, ListImages] = {
        wnid: partial(_known, members) for wnid, members in by_wnid.items()
    }
    return [ClassSplit(split.source_name, listers, split.ignored)]


def _known(images: list[Image], ignored: Counter[str]) -> list[Image]:
    return images


def _inner_tars(root: Path, outer: archives.Span, ignored: Counter[str]) -> dict[bytes, ListImages]:
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
