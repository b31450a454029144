"""The annotation files of a data set in COCO's format, and their splits."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from freqprep.errors import SourceError, some
from freqprep.sources.coco_kinds import DAMAGED, OBJECTS, kind_of
from freqprep.sources.coco_names import is_structure, split_in
from freqprep.sources.coco_refusals import no_annotations
from freqprep.sources.files import as_bytes, shown
from freqprep.sources.folders import is_hidden
from freqprep.sources.listing import class_text
from freqprep.sources.tree import Entry, SourceTree, Stat
from freqprep.storage.paths import AnyPath, as_path

NOT_USED = "not used"
"""Description of an annotation file that belongs to none of the data set's splits."""

ROBOFLOW = b"_annotations.coco.json"

_DEEPEST = 4
"""Largest number of folders between the source and an annotation file."""

_MOST_UNKNOWN = 100
"""Largest number of JSON files per folder that are read; more of them are one per image."""

_INSTANCES = re.compile(rb"instances_([^.].*)\.json")
_URL = re.compile(rb"[a-z][a-z0-9]+://")
_UNNAMED = "default"  # CVAT's and Datumaro's name of a data set without splits


@dataclass(frozen=True)
class AnnotationFile:
    """Annotation file of a data set.

    Attributes
    ----------
    path : bytes
        Path relative to the source if inside it, else absolute, or a URL.
    split : str or None
        Name of its split in the source; None if not known.
    base : bytes
        Folder of the data set, relative to the source.
    """

    path: bytes
    split: str | None
    base: bytes

    @property
    def is_inside(self) -> bool:
        """Whether it is inside the source."""
        return is_inside(self.path)

    def full(self, root: AnyPath) -> AnyPath:
        """Return the path of the file."""
        text = os.fsdecode(self.path)
        return root / text if self.is_inside else as_path(text)


def is_inside(path: bytes) -> bool:
    """Return whether a path is relative to the source: neither absolute nor a URL."""
    return not os.path.isabs(path) and not _URL.match(path)


@dataclass(frozen=True)
class FoundFiles:
    """Annotation files of one data set, and descriptions of other JSON files."""

    files: list[AnnotationFile]
    unused: dict[bytes, str]


def find_files(tree: SourceTree) -> FoundFiles:
    """Find the annotation files under a folder.

    Known names are preferred: ``instances_NAME.json``, then Roboflow's ``_annotations.coco.json``,
    then files whose name or folder names a split. A file of another name is taken if it is the
    only one. All are of one data set: that of the outermost folder.

    Raises
    ------
    SourceError
        There are none, several of unknown splits, or several data sets.
    """
    unused: dict[bytes, str] = {}
    groups: tuple[list[AnnotationFile], ...] = ([], [], [], [])  # by what identifies them
    for folder, names in _json_files(tree):
        for number, name in enumerate(names):
            path = os.path.join(folder, name)
            file = _described(path)
            known = _known(name)
            if known is None:
                what = (
                    "one of many" if number >= _MOST_UNKNOWN else kind_of(partial(tree.open, path))
                )
                if what not in (OBJECTS, DAMAGED):
                    unused[path] = what
                    continue
                known = 3 if file.split is None else 2
            groups[known].append(file)
    for number, group in enumerate(groups):
        if group:
            if number == 3 and len(group) > 1:
                raise _unknown(tree.root, group)
            files = _one_data_set(tree.root, group)
            if number == 1 and len(files) == 1:
                files = [_without_folders_name(files[0])]
            kept = {file.path for file in files}
            rest = (file.path for other in groups for file in other if file.path not in kept)
            return FoundFiles(files, {**unused, **dict.fromkeys(rest, NOT_USED)})
    raise no_annotations(tree, unused)


def named_file(path: bytes) -> AnnotationFile:
    """Describe the annotation file that the user named; ``path`` is as in `AnnotationFile`."""
    described = _described(path)
    return described if described.is_inside else AnnotationFile(path, described.split, b"")


def _described(path: bytes) -> AnnotationFile:
    folder, name = os.path.split(path)
    parents = folder.split(b"/") if folder else []
    split = None
    if match := _INSTANCES.fullmatch(name):
        split = class_text(match[1])
    elif name == ROBOFLOW:
        split = class_text(parents[-1]) if parents else None
    else:
        split = split_in(class_text(name[: -len(b".json")]))
    if split is None or split == _UNNAMED:
        inner = next((s for p in reversed(parents) if (s := folder_split(p)) is not None), None)
        split = inner or split
    rest = list(parents)
    if name == ROBOFLOW and rest:
        rest.pop()
    while rest and is_structure(class_text(rest[-1])):
        rest.pop()
    return AnnotationFile(path, split, b"/".join(rest))


def folder_split(name: bytes) -> str | None:
    """Return the split that a folder is named for, and only for (``val_images`` -> ``val``)."""
    text = class_text(name)
    return split_in(text) if is_structure(text) else None


def is_unnamed(file: AnnotationFile) -> bool:
    """Return whether nothing names the split of a file, so that the user may."""
    return file.split is None or file.split == _UNNAMED


def _without_folders_name(file: AnnotationFile) -> AnnotationFile:
    """Describe Roboflow's only file: its folder need not be named for a split."""
    folder = os.path.basename(os.path.dirname(file.path))
    return dataclasses.replace(file, split=folder_split(folder))


def _known(name: bytes) -> int | None:
    if _INSTANCES.fullmatch(name):
        return 0
    return 1 if name == ROBOFLOW else None


def _full(root: AnyPath, path: bytes) -> bytes:
    return os.path.join(as_bytes(root), path)


def _json_files(tree: SourceTree) -> Iterator[tuple[bytes, list[bytes]]]:
    """Yield folders, relative to the root, and their JSON files, outermost folders first."""
    level = [b""]
    met = {_identity(tree.stat(b""))}
    for _ in range(_DEEPEST):
        below = []
        for folder in level:
            names = []
            for entry in _entries(tree, folder):
                if _is_json(entry.name):
                    names.append(entry.name)
                elif (identity := _identity(entry.stat())) not in met:  # links may form loops
                    met.add(identity)
                    below.append(os.path.join(folder, entry.name))
            if names:
                yield folder, names
        level = below


def _identity(status: Stat | None) -> tuple[int, int] | None:
    return None if status is None else (status.st_dev, status.st_ino)


def _is_json(name: bytes) -> bool:
    return name.lower().endswith(b".json")


def _entries(tree: SourceTree, folder: bytes) -> list[Entry]:
    visible = [
        entry
        for entry in tree.entries(folder)
        if not is_hidden(entry.name) and (_is_json(entry.name) or entry.is_dir())
    ]
    return sorted(visible, key=lambda entry: entry.name)


def _one_data_set(root: AnyPath, files: Iterable[AnnotationFile]) -> list[AnnotationFile]:
    files = list(files)
    depth = min(_depth(file.base) for file in files)
    outermost = [file for file in files if _depth(file.base) == depth]
    bases = sorted({file.base for file in outermost})
    if len(bases) > 1:
        names = some([*map(shown, bases)])
        raise SourceError(
            f"{shown(as_bytes(root))} holds {len(bases)} data sets: {names}",
            f"name one of them, for example {shown(_full(root, bases[0]))}",
        )
    return outermost


def _depth(base: bytes) -> int:
    return base.count(b"/") + 1 if base else 0


def _unknown(root: AnyPath, files: list[AnnotationFile]) -> SourceError:
    names = [shown(file.path) for file in files]
    return SourceError(
        f"{len(files)} annotation files in {shown(as_bytes(root))} could each be of any split:"
        f" {', '.join(names[:10])}{', ...' * (len(names) > 10)}",
        "convert them one by one with --annotations FILE --split NAME",
    )
