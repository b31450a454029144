"""Class ids and names of sources that number their classes: tables and tar shards."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from freqprep.errors import SourceError
from freqprep.sources.files import as_bytes, open_path, shown
from freqprep.sources.imagenet_labels import WNID, class_names
from freqprep.sources.listing import Classes
from freqprep.storage.paths import AnyPath

MOST_CLASSES = 100_000
"""Numbers from here on are taken for something else than classes."""

_MOST_BYTES = 16 * 2**20
_ALIKE = 0.5
"""Least share of names that are ImageNet's at their position: torchvision's list has 998 of 1000,
the one reworded for CLIP 703."""

_OTHERS = 0.01
"""Share of names that are another class's from which on the order is another one: the list reworded
for CLIP has two (the sunglass is called sunglasses), one that is shifted hundreds."""

_FEWEST_NAMES = 10
"""Fewest names that are taken for some of ImageNet's: a lion and a tiger may be anybody's."""


def classes_of(ids: Sequence[str], names: Sequence[str] | None = None) -> Classes:
    """Return classes; those of ImageNet have their wnids as ids, however a source calls them.

    Names are better ids than numbers: those of the same images in class folders.

    Parameters
    ----------
    ids : sequence of str
        Ids in label order: ``"0"``, ``"1"`` and so on, or texts that are labels; unique.
    names : sequence of str, optional
        Names for people; by default the ids. Where they are wnids, or a thousand names of which
        half and more are ImageNet's in the usual order (that of the wnids) and hardly one is that
        of a class elsewhere in it, or ten and more names of which each is that of another of its
        classes, the ids are the wnids.

    Returns
    -------
    Classes
        With the names that were given; ImageNet's own if these are wnids.
    """
    names, known = list(names or ids), class_names()
    for wnids in (ids, names):
        if all(_is_wnid(text) for text in wnids) and len(set(wnids)) == len(wnids):
            return Classes(tuple(wnids), tuple(known.get(wnid, wnid) for wnid in wnids))
    if _are_imagenets(names):
        return Classes(tuple(known), tuple(names))
    if found := _some_of_imagenets(names):
        return Classes(tuple(found), tuple(names))
    unique = len(set(names)) == len(names)
    return Classes(tuple(names if unique else ids), tuple(names))


def numbered_classes(largest: int, names: Sequence[str] | None, where: str) -> Classes:
    """Return the classes of labels that are numbers from 0.

    Parameters
    ----------
    largest : int
        Largest label; all numbers up to it are classes, whether they occur or not.
    names : sequence of str, optional
        Name of each class; there may be more than labels.
    where : str
        What has the largest label, for messages.

    Returns
    -------
    Classes

    Raises
    ------
    SourceError
        The largest label has no name, or is no number of a class.
    """
    if largest >= MOST_CLASSES:
        raise SourceError(
            f"{where}: label {largest}; numbers of classes are below {MOST_CLASSES}",
            "name what holds the class with --label-column",
        )
    if names is not None and largest >= len(names):
        raise SourceError(
            f"{where}: label {largest}, but there are {len(names)} class names, for labels from 0",
            "give a file with a line for each class: --class-names FILE",
        )
    count = largest + 1 if names is None else len(names)
    return classes_of([str(number) for number in range(count)], names)


def read_class_names(path: AnyPath) -> list[str]:
    """Read class names from a text file, one per line, in label order.

    Parameters
    ----------
    path : Path or ObjectPath
        UTF-8; empty lines at the end are skipped.

    Returns
    -------
    list of str
        Not empty; names may be equal.

    Raises
    ------
    SourceError
        The file cannot be read, is too large, is not UTF-8, or has an empty line between others.
    """
    with open_path(path) as file:
        data = file.read(_MOST_BYTES + 1)
    where, remedy = shown(as_bytes(path)), "give one name per line"
    if len(data) > _MOST_BYTES:
        raise SourceError(f"{where}: more than {_MOST_BYTES} bytes of class names", remedy)
    try:
        names = [line.strip() for line in data.decode("utf-8-sig").rstrip().splitlines()]
    except UnicodeDecodeError:
        raise SourceError(f"the class names in {where} are not UTF-8 text", remedy) from None
    if not names or not all(names):
        empty = names.index("") + 1 if names else 1
        raise SourceError(f"{where}, line {empty}: no class name", remedy)
    if len(names) > MOST_CLASSES:
        raise SourceError(f"{where}: {len(names)} class names; at most {MOST_CLASSES}", remedy)
    return names


def _is_wnid(text: str) -> bool:
    return WNID.fullmatch(text.encode(errors="replace")) is not None


def _are_imagenets(names: Sequence[str]) -> bool:
    """Return whether names are those of all of ImageNet's classes, in the order of the wnids."""
    wnids = list(class_names())
    if len(names) != len(wnids):
        return False
    pairs = list(zip(wnids, _meant(names), strict=True))
    alike = sum(wnid in meant for wnid, meant in pairs)
    others = sum(len(meant) == 1 and wnid not in meant for wnid, meant in pairs)
    return alike >= _ALIKE * len(wnids) and others < _OTHERS * len(wnids)


def _some_of_imagenets(names: Sequence[str]) -> list[str]:
    """Return the wnids of some classes by their names; empty if they are not all ImageNet's."""
    found = [next(iter(wnids)) for wnids in _meant(names) if len(wnids) == 1]
    every = len(found) == len(names) >= _FEWEST_NAMES and len(set(found)) == len(found)
    return found if every else []


def _meant(names: Sequence[str]) -> list[set[str]]:
    """Return the wnids of ImageNet's classes that each name may be of."""
    wnids_of = defaultdict(set)
    for wnid, name in class_names().items():
        wnids_of[_lemma(name)].add(wnid)
    return [set().union(*(wnids_of.get(lemma, ()) for lemma in _lemmas(name))) for name in names]


def _lemmas(name: str) -> set[str]:
    return {_lemma(part) for part in name.split(",")}


def _lemma(text: str) -> str:
    return text.replace("_", " ").strip().lower()
