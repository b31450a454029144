"""Locations of the images that an annotation file lists.

One rule is chosen for all names of a file: a folder, and how many components of a name count.
Images are never collected from wherever a file of that name lies: a missing ``0.jpg`` of one split
is not that of another.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from freqprep.errors import SourceError
from freqprep.sources.coco_files import AnnotationFile, folder_split, is_unnamed
from freqprep.sources.coco_names import Parts, spellings
from freqprep.sources.files import shown
from freqprep.sources.folders import is_hidden
from freqprep.sources.listing import class_text
from freqprep.sources.split_names import normalise_split
from freqprep.sources.tree import SourceTree

_POOLS = (b"images", b"image", b"imgs", b"img", b"data", b"JPEGImages")
"""Names of folders with the images of all splits."""

_SAMPLE = 200
_LONGEST_TAIL = 4


@dataclass(frozen=True)
class CandidateFolders:
    """Folders in which the images of a split may be, the most likely first.

    Attributes
    ----------
    own : list of bytes
        Folders of this split only, relative to the source, or absolute.
    shared : list of bytes
        Folders with other content as well.
    search : list of bytes
        Folders in which names are searched at any depth as a last resort.
    of_another : callable
        Function that returns whether a folder name is that of another split.
    """

    own: list[bytes]
    shared: list[bytes]
    search: list[bytes]
    of_another: Callable[[bytes], bool]


@dataclass(frozen=True)
class Located:
    """Paths of the images that an annotation file lists.

    Attributes
    ----------
    paths : list of bytes
        Path for each name, relative to the source, or absolute; of a missing file, its expected
        path.
    there : int
        Number of files that exist.
    folders : list of bytes
        Folders in which images without an entry are counted.
    how : str
        How names were matched; empty if literally.
    """

    paths: list[bytes]
    there: int
    folders: list[bytes]
    how: str


class _Rule(NamedTuple):
    folder: bytes
    tail: int  # number of last components of a name that count

    def paths(self, name: list[Parts]) -> list[bytes]:
        tails = dict.fromkeys(parts[-self.tail :] for parts in name)
        return [os.path.join(self.folder, *parts) for parts in tails]


def candidate_folders(
    tree: SourceTree, file: AnnotationFile, split: str | None, images: bytes | None
) -> CandidateFolders:
    """Return the folders to search for the images of an annotation file.

    Parameters
    ----------
    tree : SourceTree
    file : AnnotationFile
    split : str or None
        Name of the split in the source, if it is stated.
    images : bytes or None
        Folder that the user named, relative to the source, or absolute.

    Returns
    -------
    CandidateFolders
    """
    above = _above(file)
    if images is not None:
        own, search = [], [images]
        shared = [images, *(_of_split(tree, images, split) if split else [])]
    else:
        own = _own(tree, above, split) if split else []
        pools = [pool for folder in above for pool in _existing(tree, folder, _POOLS)]
        shared = [folder for folder in dict.fromkeys([*pools, *above]) if folder not in own]
        search = own or [b""]
    certain = split if own or not is_unnamed(file) else None

    def of_another(name: bytes) -> bool:
        said = folder_split(name)
        if certain is None or said is None:
            return False
        return normalise_split(said) != normalise_split(certain)

    return CandidateFolders(own, shared, search, of_another)


def _above(file: AnnotationFile) -> list[bytes]:
    """Return the folder of the annotation file and those above it, up to the source."""
    if not file.is_inside or b"/" not in file.path:
        return [b""]
    parents = os.path.dirname(file.path).split(b"/")
    return [b"/".join(parents[:number]) for number in range(len(parents), -1, -1)]


def _own(tree: SourceTree, above: Sequence[bytes], split: str) -> list[bytes]:
    """Return the folders of a split: around its annotation file, then those named for it."""
    own = []
    for folder in above:
        name = os.path.basename(folder)
        if class_text(name) == split or _is_of(name, split):
            own += [folder, *_existing(tree, folder, _POOLS)]
    for folder in above:
        own += _of_split(tree, folder, split)
    return [*dict.fromkeys(own)]


def locate(tree: SourceTree, names: Sequence[bytes], candidates: CandidateFolders) -> Located:
    """Find the files of the names that an annotation file lists.

    Parameters
    ----------
    tree : SourceTree
    names : sequence of bytes
        Listed names, unique.
    candidates : CandidateFolders

    Returns
    -------
    Located

    Raises
    ------
    SourceError
        Two names match one file, or one name matches several.
    """
    listed = [spellings(name) for name in names]
    longest = max((len(parts) for name in listed for parts in name), default=1)
    tails = [longest, *range(min(longest - 1, _LONGEST_TAIL), 0, -1)]
    rules = [
        _Rule(folder, tail) for tail in tails for folder in [*candidates.own, *candidates.shared]
    ]
    sample = listed[:: max(1, len(listed) // _SAMPLE)]
    rule, hits = _best(tree, candidates, rules, sample)
    if hits == 0 and len(sample) < len(listed):
        rule, _ = _best(tree, candidates, rules, listed)
    paths, there = _apply(tree, candidates, rule, listed)
    how = "" if rule.tail == longest else "by the last components of their names"
    folders = [folder for folder in _counted(candidates, rule, paths) if _is_folder(tree, folder)]
    if 2 * there <= len(names):
        found, ambiguous = _by_name(tree, candidates, listed)
        if len(found) + len(ambiguous) > there:
            _refuse_ambiguous(names, ambiguous)
            paths = [found.get(number, path) for number, path in enumerate(paths)]
            there, how, folders = len(found), "by their file names alone", candidates.search
    _refuse_shared(names, paths)
    return Located(paths, there, folders, how)


def _of_split(tree: SourceTree, folder: bytes, split: str) -> list[bytes]:
    """Return the folders in ``folder`` named for a split, exact names first."""
    inside = [folder, *_existing(tree, folder, (b"images",))]
    named = [os.path.join(parent, os.fsencode(split)) for parent in inside]
    found = [path for path in named if _is_folder(tree, path)]
    for parent in [folder, *_existing(tree, folder, _POOLS)]:
        for name in _subfolders(tree, parent):
            if _is_of(name, split):
                found.append(os.path.join(parent, name))
    return [path for one in dict.fromkeys(found) for path in (one, *_existing(tree, one, _POOLS))]


def _is_of(name: bytes, split: str) -> bool:
    """Return whether a folder is named for a split."""
    said = folder_split(name)
    return said is not None and normalise_split(said) == normalise_split(split)


def _subfolders(tree: SourceTree, folder: bytes) -> list[bytes]:
    try:
        return sorted(
            entry.name
            for entry in tree.entries(folder)
            if entry.is_dir() and not is_hidden(entry.name)
        )
    except SourceError:
        return []


def _existing(tree: SourceTree, folder: bytes, names: Sequence[bytes]) -> list[bytes]:
    paths = [os.path.join(folder, name) for name in names]
    return [path for path in paths if _is_folder(tree, path)]


def _is_folder(tree: SourceTree, path: bytes) -> bool:
    status = tree.stat(path)
    return status is not None and stat.S_ISDIR(status.st_mode)


def _best(
    tree: SourceTree,
    candidates: CandidateFolders,
    rules: Sequence[_Rule],
    names: Sequence[list[Parts]],
) -> tuple[_Rule, int]:
    """Return the first rule that finds all names, else the one that finds most."""
    best, most = rules[0], 0
    for rule in rules:
        _, hits = _apply(tree, candidates, rule, names)
        if hits > most:
            best, most = rule, hits
        if most == len(names):
            break
    return best, most


def _is_there(tree: SourceTree, path: bytes) -> bool:
    return tree.stat(path) is not None


def _apply(
    tree: SourceTree, candidates: CandidateFolders, rule: _Rule, names: Sequence[list[Parts]]
) -> tuple[list[bytes], int]:
    """Return the path of each name, and the number of those that exist."""
    paths, there = [], 0
    for name in names:
        spelt = rule.paths(name)
        found = None
        if not _is_of_another(candidates, rule.folder, name, rule.tail):
            found = next((path for path in spelt if _is_there(tree, path)), None)
        there += found is not None
        paths.append(spelt[0] if found is None else found)
    return paths, there


def _is_of_another(
    candidates: CandidateFolders, folder: bytes, name: list[Parts], tail: int
) -> bool:
    """Return whether a name is of another split's image, and the folder of this split."""
    if folder not in candidates.own:
        return False
    return any(candidates.of_another(part) for parts in name for part in parts[:-tail])


def _counted(candidates: CandidateFolders, rule: _Rule, paths: Sequence[bytes]) -> list[bytes]:
    """Return the folder of a split, or the folders in a shared one that have listed images."""
    if rule.folder in candidates.own:
        return [rule.folder]
    start = len(os.path.join(rule.folder, b""))
    first = {path[start:].partition(b"/") for path in paths}
    if any(not inside for _, inside, _ in first):
        return [rule.folder]
    return sorted({os.path.join(rule.folder, name) for name, _, _ in first})


def _by_name(
    tree: SourceTree, candidates: CandidateFolders, listed: Sequence[list[Parts]]
) -> tuple[dict[int, bytes], dict[int, list[bytes]]]:
    """Find files by their names at any depth of the searched folders.

    Of several files of a name, the one whose folders match the name as well is taken. If several
    match, the name is in the second mapping. Keys are indices of names.
    """
    wanted = {parts[-1] for name in listed for parts in name}
    files: dict[bytes, list[bytes]] = {}
    for path in _files(tree, candidates):
        if (base := os.path.basename(path)) in wanted:
            files.setdefault(base, []).append(path)
    found, ambiguous = {}, {}
    for number, name in enumerate(listed):
        parts = next((parts for parts in name if parts[-1] in files), None)
        if parts is None or _is_of_another(candidates, candidates.search[0], name, 1):
            continue
        closest = _closest(parts, files[parts[-1]])
        if len(closest) == 1:
            found[number] = closest[0]
        else:
            ambiguous[number] = closest
    return found, ambiguous


def _closest(parts: Parts, paths: Sequence[bytes]) -> list[bytes]:
    """Return the files that share the most last components with a name."""
    agree = [_common_tail(parts, path.split(b"/")) for path in paths]
    return [path for path, tail in zip(paths, agree, strict=True) if tail == max(agree)]


def _refuse_ambiguous(names: Sequence[bytes], ambiguous: dict[int, list[bytes]]) -> None:
    for number, paths in ambiguous.items():
        raise SourceError(
            f"the listed image {shown(names[number])} could be {shown(paths[0])} or"
            f" {shown(paths[1])}",
            "name the folder that its name starts from with --images DIR",
        )


def _common_tail(one: Sequence[bytes], other: Sequence[bytes]) -> int:
    pairs = zip(reversed(one), reversed(other), strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _files(tree: SourceTree, candidates: CandidateFolders) -> Iterator[bytes]:
    def enter(name: bytes) -> bool:
        return not is_hidden(name) and not candidates.of_another(name)

    for start in candidates.search:
        yield from tree.walk(start, enter)


def _refuse_shared(names: Sequence[bytes], paths: Sequence[bytes]) -> None:
    first: dict[bytes, int] = {}
    for number, path in enumerate(paths):
        other = first.setdefault(path, number)
        if other != number:
            raise SourceError(
                f"the listed images {shown(names[other])} and {shown(names[number])} are one file:"
                f" {shown(path)}",
                "list each image once, or name the folder that their names start from with"
                " --images DIR",
            )
