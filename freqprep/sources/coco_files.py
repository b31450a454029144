"""The annotation files of a data set in COCO's format, and their splits."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from freqprep.errors import SourceError, some
from freqprep.sources.coco_kinds import DAMAGED, OBJECTS, kind_of
from freqprep.sources.coco_names import is_structure, split_in
from freqprep.sources.coco_refusals import no_annotations
from freqprep.sources.files import shown
from freqprep.sources.folders import is_hidden
from freqprep.sources.listing import class_text

NOT_USED = "not used"
"""Description of an annotation file that belongs to none of the data set's splits."""

ROBOFLOW = b"_annotations.coco.json"

_DEEPEST = 4
"""Largest number of folders between the source and an annotation file."""

_MOST_UNKNOWN = 100
"""Largest number of JSON files per folder that are read; more of them are one per image."""

_INSTANCES = re.compile(rb"instances_([^.].*)\.json")
_UNNAMED = "default"  # CVAT's and Datumaro's name of a data set without splits


@dataclass(frozen=True)
class AnnotationFile:
    """Annotation file of a data set.

    Attributes
    ----------
    path : bytes
        Path relative to the source if inside it, else absolute.
    split : str or None
        Name of its split in the source; None if not known.
    base : bytes
        Folder of the data set, relative to the source.
    """

    path: bytes
    split: str | None
    base: bytes

    def full(self, root: Path) -> Path:
        """Return the path of the file."""
        return Path(os.fsdecode(os.path.join(os.fsencode(root), self.path)))


@dataclass(frozen=True)
class FoundFiles:
    """Annotation files of one data set, and descriptions of other JSON files."""

    files: list[AnnotationFile]
    unused: dict[bytes, str]


def find_files(root: Path) -> FoundFiles:
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
    for folder, names in _json_files(os.fsencode(root)):
        for number, name in enumerate(names):
            path = os.path.join(folder, name)
            file = _described(path)
            known = _known(name)
            if known is None:
                what = "one of many" if number >= _MOST_UNKNOWN else kind_of(_full(root, path))
                if what not in (OBJECTS, DAMAGED):
                    unused[path] = what
                    continue
                known = 3 if file.split is None else 2
            groups[known].append(file)
    for number, group in enumerate(groups):
        if group:
            if number == 3 and len(group) > 1:
                raise _unknown(root, group)
            files = _one_data_set(root, group)
            if number == 1 and len(files) == 1:
                files = [_without_folders_name(files[0])]
            kept = {file.path for file in files}
            rest = (file.path for other in groups for file in other if file.path not in kept)
            return FoundFiles(files, {**unused, **dict.fromkeys(rest, NOT_USED)})
    raise no_annotations(root, unused)


def named_file(root: Path, path: bytes) -> AnnotationFile:
    """Describe the annotation file that the user named; ``path`` is as in `AnnotationFile`."""
    inside = not os.path.isabs(path)
    described = _described(path)
    return described if inside else AnnotationFile(path, described.split, b"")


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


def _full(root: Path, path: bytes) -> bytes:
    return os.path.join(os.fsencode(root), path)


def _json_files(root: bytes) -> Iterator[tuple[bytes, list[bytes]]]:
    """Yield folders, relative to the root, and their JSON files, outermost folders first."""
    level = [b""]
    top = os.stat(root)
    met = {(top.st_dev, top.st_ino)}
    for _ in range(_DEEPEST):
        below = []
        for folder in level:
            names = []
            for entry in _entries(os.path.join(root, folder)):
                if _is_json(entry.name):
                    names.append(entry.name)
                else:
                    status = entry.stat()
                    if (status.st_dev, status.st_ino) not in met:  # links may form loops
                        met.add((status.st_dev, status.st_ino))
                        below.append(os.path.join(folder, entry.name))
            if names:
                yield folder, names
        level = below


def _is_json(name: bytes) -> bool:
    return name.lower().endswith(b".json")


def _entries(folder: bytes) -> list[os.DirEntry[bytes]]:
    try:
        with os.scandir(folder) as entries:
            visible = [
                entry
                for entry in entries
                if not is_hidden(entry.name) and (_is_json(entry.name) or entry.is_dir())
            ]
    except OSError as error:
        raise SourceError(
            f"cannot list the folder {shown(folder)}: {error.strerror}",
            "make it readable, or move it out of the source",
        ) from error
    return sorted(visible, key=lambda entry: entry.name)


def _one_data_set(root: Path, files: Iterable[AnnotationFile]) -> list[AnnotationFile]:
    files = list(files)
    depth = min(_depth(file.base) for file in files)
    outermost = [file for file in files if _depth(file.base) == depth]
    bases = sorted({file.base for file in outermost})
    if len(bases) > 1:
        names = some([*map(shown, bases)])
        raise SourceError(
            f"{shown(os.fsencode(root))} holds {len(bases)} data sets: {names}",
            f"name one of them, for example {shown(_full(root, bases[0]))}",
        )
    return outermost


def _depth(base: bytes) -> int:
    return base.count(b"/") + 1 if base else 0


def _unknown(root: Path, files: list[AnnotationFile]) -> SourceError:
    names = [shown(file.path) for file in files]
    return SourceError(
        f"{len(files)} annotation files in {shown(os.fsencode(root))} could each be of any split:"
        f" {', '.join(names[:10])}{', ...' * (len(names) > 10)}",
        "convert them one by one with --annotations FILE --split NAME",
    )
