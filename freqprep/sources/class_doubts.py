"""Doubts about class folders, from their names and the folders below them."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping

from freqprep.errors import some
from freqprep.sources.files import shown
from freqprep.sources.listing import Doubt, class_text
from freqprep.sources.split_names import split_word

Shape = Counter[bytes]
"""Folder directly inside a class folder, or b"" for the class folder itself -> images there."""

GENERIC = frozenset(
    b"images image imgs img jpegimages jpeg jpegs jpg png data photos pictures frames".split()
)
"""Names, in lower case, of folders that do not describe their content."""

NO_CLASS = frozenset(b"images imgs jpegimages labels annotations masks imagesets".split())
"""Names, in lower case, of parts of a detection or segmentation data set."""

_OR_LISTED = "; if these are the classes, list all of them in --classes FILE"


def judge(
    shapes: Mapping[str, Mapping[bytes, Shape]], train: Collection[bytes]
) -> tuple[list[Doubt], list[str]]:
    """Find doubts and warnings about the classes of a source.

    Parameters
    ----------
    shapes : mapping
        Split -> class folder -> its shape.
    train : collection of bytes
        Class folders of the split train, if there is one, even if it is not in ``shapes``.

    Returns
    -------
    doubts : list of Doubt
    warnings : list of str
    """
    doubts: list[Doubt | None] = []
    for split, classes in shapes.items():
        doubts += [
            _parts(split, classes),
            _splits_inside(split, classes),
            _one_folder_among_others(split, classes),
            _siblings_inside(split, classes),
            _same_folders_inside(split, classes),
        ]
    if all(split_word(class_text(name)) for classes in shapes.values() for name in classes):
        everything = {name for classes in shapes.values() for name in classes}
        remedy = "name the folder that holds the splits as SOURCE, or give classes other names"
        doubts.append(
            _doubt(everything, f"classes named like splits: {_listed(everything)}", remedy)
        )
    warnings = _warnings(shapes)
    for split, classes in shapes.items() if train else ():
        here = {name for name, shape in classes.items() if shape}
        if unknown := here - set(train):
            doubts.append(doubt := _unlike_train(split, here, train))
            if doubt is None:
                warnings.append(
                    f"warning: {split} has classes that train does not have: {_listed(unknown)}"
                )
    doubts.append(_without_images(shapes, train))
    return [doubt for doubt in doubts if doubt], warnings


def split_named(folders: Collection[bytes], remedy: str) -> Doubt:
    """Return the doubt about flat folders that are named like splits."""
    return _doubt(
        folders,
        f"named like splits, but with images and no class folders: {_listed(folders)}",
        remedy,
    )


def _doubt(folders: Collection[bytes], message: str, remedy: str) -> Doubt:
    return Doubt(frozenset(map(class_text, folders)), message, remedy + _OR_LISTED)


def _listed(folders: Collection[bytes]) -> str:
    return some([shown(folder) for folder in sorted(folders)])


def _deep(classes: Mapping[bytes, Shape]) -> dict[bytes, Shape]:
    """Return the class folders whose images are all in folders below them."""
    return {name: shape for name, shape in classes.items() if shape and not shape[b""]}


def _splits_inside(split: str, classes: Mapping[bytes, Shape]) -> Doubt | None:
    inside = {
        name: {split_word(class_text(folder)) for folder in shape}
        for name, shape in classes.items()
    }
    wrong = [
        name
        for name in _deep(classes)
        if None not in inside[name] or len(inside[name] - {None}) > 1
    ]
    with_images = sum(map(bool, classes.values()))
    if not wrong or (len(wrong) < with_images and all(len(inside[name]) < 2 for name in wrong)):
        return None
    example = shown(wrong[0])
    below = _listed(classes[wrong[0]])
    if len(wrong) == 1:
        remedy = f"name the folder {example} as SOURCE, or put the splits on top: train/CLASS/IMAGE"
    else:
        remedy = (
            f"put the splits on top: train/{example}/IMAGE; or, where each is a data set of its"
            f" own, name one as SOURCE, for example {example}"
        )
    return _doubt(
        wrong,
        f"the folder {example} of {split} would be a class, but it holds the splits {below}",
        remedy,
    )


def _one_folder_among_others(split: str, classes: Mapping[bytes, Shape]) -> Doubt | None:
    full = [name for name, shape in classes.items() if shape]
    if len(full) != 1 or len(classes) < 2 or not _deep(classes):
        return None
    name = shown(full[0])
    others = _listed(classes.keys() - set(full))
    return _doubt(
        classes.keys(),
        f"of the {len(classes)} folders that would be classes of {split} only {name} has images,"
        f" all of them in folders below it ({_listed(classes[full[0]])}); none in {others}",
        f"name the folder {name} as SOURCE",
    )


def _siblings_inside(split: str, classes: Mapping[bytes, Shape]) -> Doubt | None:
    siblings = {_folded(name) for name in classes}
    for name, shape in _deep(classes).items():
        same = {folder for folder in shape if _folded(folder) in siblings - {_folded(name)}}
        if len(same) > 1:
            return _doubt(
                [name],
                f"the folder {shown(name)} of {split} would be a class, but it holds folders with"
                f" the names of other classes: {_listed(same)}",
                f"move {shown(name)} out of SOURCE, or its images into the other folders",
            )
    return None


def _same_folders_inside(split: str, classes: Mapping[bytes, Shape]) -> Doubt | None:
    deep = _deep(classes)
    if len(deep) < 2 or len(deep) < sum(map(bool, classes.values())):
        return None
    same = set.intersection(*map(set, deep.values()))
    if len(same) < 2:
        return None
    return _doubt(
        deep.keys(),
        f"the folders {_listed(deep)} of {split} would be the classes, but each holds the folders"
        f" {_listed(same)}, which look like classes",
        f"name one of them as SOURCE, for example {shown(min(deep))}",
    )


def _parts(split: str, classes: Mapping[bytes, Shape]) -> Doubt | None:
    parts = [
        name
        for name in classes
        if name.lower() in NO_CLASS or (len(classes) == 1 and name.lower() in GENERIC)
    ]
    if not parts:
        return None
    return _doubt(
        classes.keys(),
        f"folders of {split} that would be classes have names of parts of a data set:"
        f" {_listed(parts)}",
        "name the folder of the class folders as SOURCE, or put each image into the folder of its"
        " class: CLASS/IMAGE; for objects, make a COCO file of the labels and use freqprep convert"
        " coco",
    )


def _unlike_train(split: str, here: set[bytes], train: Collection[bytes]) -> Doubt | None:
    spelled = {_folded(name): name for name in train}
    alike = {name: spelled[_folded(name)] for name in here - set(train) if _folded(name) in spelled}
    if alike:
        pairs = some([f"{_quoted(name)} and {_quoted(alike[name])}" for name in sorted(alike)])
        return _doubt(
            alike.keys() | set(alike.values()),
            f"classes of {split} and train differ only in case, spaces or Unicode form: {pairs}",
            "give a class the same name in all splits",
        )
    if here & set(train):
        return None
    return _doubt(
        here | set(train),
        f"{split} shares no class with train: {_listed(here)} against {_listed(train)}",
        f"give a class the same folder name in all splits, or move {split} out of SOURCE",
    )


def _without_images(
    shapes: Mapping[str, Mapping[bytes, Shape]], train: Collection[bytes]
) -> Doubt | None:
    # A class may be missing from val or test; an empty folder there means no more than that.
    full = {name for classes in shapes.values() for name, shape in classes.items() if shape}
    for split, classes in shapes.items():
        settled = set() if split == "train" else full | set(train)
        if empty := [name for name, shape in classes.items() if not shape and name not in settled]:
            return _doubt(
                empty,
                f"no image in {len(empty)} of the {len(classes)} class folders of {split}:"
                f" {_listed(empty)}",
                "remove these folders or put images there",
            )
    return None


def _warnings(shapes: Mapping[str, Mapping[bytes, Shape]]) -> list[str]:
    folders = {name for classes in shapes.values() for name in classes}
    warnings = []
    if len(folders) == 1:
        warnings.append(f"warning: just one class, {_listed(folders)}: no classifier can learn it")
    for split, classes in shapes.items():
        deep = _deep(classes)
        several = [name for name, shape in deep.items() if len(shape) > 1]
        if several and len(deep) == sum(map(bool, classes.values())):
            warnings.append(
                f"warning: all images of {split} lie in folders below those of the classes, as"
                f" {_listed(classes[several[0]])} in {shown(several[0])}: the label is the upper"
                " folder"
            )
    alike: set[tuple[str, ...]] = set()
    for classes in shapes.values():
        spelled = defaultdict(list)
        for name in sorted(classes):
            spelled[_folded(name)].append(_quoted(name))
        alike |= {tuple(names) for names in spelled.values() if len(names) > 1}
    if alike:
        pairs = some([" and ".join(names) for names in sorted(alike)])
        warnings.append(
            f"warning: classes that differ only in case, spaces or Unicode form: {pairs}"
        )
    return warnings


def _quoted(name: bytes) -> str:
    # Unicode forms that look the same must not be printed the same.
    return ascii(class_text(name))


def _folded(name: bytes) -> str:
    return unicodedata.normalize("NFC", class_text(name)).strip().casefold()
