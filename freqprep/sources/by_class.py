"""Listings of splits whose images are grouped by class, in folders or archives."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from freqprep.errors import SourceError
from freqprep.ragged import Ragged
from freqprep.sources.class_doubts import Shape, judge
from freqprep.sources.file_table import FileTable
from freqprep.sources.files import shown
from freqprep.sources.listing import Classes, Discovered, Listing, choose_splits, class_text
from freqprep.storage.interruptible import in_threads
from freqprep.storage.paths import AnyPath


class ImageEntry(NamedTuple):
    """Position of one image of a class.

    Attributes
    ----------
    key : bytes
        Path inside the class, unique.
    path : bytes
        Path of the file or archive, relative to the source.
    offset : int
        First byte inside the archive, or ``WHOLE_FILE``.
    length, version : int
        As in ``FileTable``.
    """

    key: bytes
    path: bytes
    offset: int
    length: int
    version: int


ListImages = Callable[[Counter[str]], list[ImageEntry]]
"""Function that lists the images of one class in any order, and counts ignored entries."""


@dataclass(frozen=True)
class ClassSplit:
    """One split of a source.

    Attributes
    ----------
    source_name : str
        Name of the split in the source.
    name : str
        Name of the split in the store.
    images : dict of bytes to ListImages
        Class -> function that lists its images, called when they are needed.
    ignored : Counter
        Ignored entries outside the classes: description -> count.
    at_once : int
        Number of classes that are listed at the same time, where a server is waited for.
    """

    source_name: str
    name: str
    images: Mapping[bytes, ListImages]
    ignored: Counter[str] = field(default_factory=Counter)
    at_once: int = 1


def by_label(
    where: str, images: Sequence[ImageEntry], label: Callable[[Sequence[bytes]], list[bytes]]
) -> dict[bytes, ListImages]:
    """Group the images of one folder or archive by the classes of their file names.

    Parameters
    ----------
    where : str
        Folder or archive, for messages.
    images : sequence of ImageEntry
        Images; folders in their keys are removed.
    label : callable
        Function of sorted file names that returns the class of each.

    Returns
    -------
    dict of bytes to ListImages

    Raises
    ------
    SourceError
        Two images have the same file name, or an image has no class.
    """
    images = sorted(image._replace(key=image.key.rpartition(b"/")[2]) for image in images)
    for image, other in pairwise(images):
        if image.key == other.key:
            raise SourceError(
                f"two images of {where} are called {shown(image.key)}", "remove one of them"
            )
    members: dict[bytes, list[ImageEntry]] = defaultdict(list)
    for image, folder in zip(images, label([image.key for image in images]), strict=True):
        members[folder].append(image)
    return {folder: partial(_listed, inside) for folder, inside in members.items()}


def _listed(images: list[ImageEntry], ignored: Counter[str]) -> list[ImageEntry]:
    return images


def discovered(
    root: AnyPath,
    splits: Sequence[ClassSplit],
    wanted: str | None,
    names: Mapping[str, str],
    notes: Sequence[str] = (),
) -> Discovered:
    """List the images of the wanted splits, with labels over the classes of all splits.

    Rows are sorted by the bytes of (class, key).

    Parameters
    ----------
    root : Path or ObjectPath
        Folder of the source, for messages.
    splits : sequence of ClassSplit
        All splits of the source.
    wanted : str or None
        List only this split.
    names : mapping of str to str
        Class id -> name for people; the id by default.
    notes : sequence of str
        Notes on the source.

    Returns
    -------
    Discovered

    Raises
    ------
    SourceError
        There are no images or no split ``wanted``; two splits or two classes have one name.
    """
    store_names = {split.source_name: split.name for split in splits}
    chosen = choose_splits(store_names, wanted, root, store_names)
    folders = sorted({folder for split in splits for folder in split.images})
    ids = _class_ids(root, folders)
    labels = {folder: label for label, folder in enumerate(folders)}
    by_source_name = {split.source_name: split for split in splits}
    listings, shapes = {}, {}
    for name, source_name in chosen.items():
        listings[name], shapes[name] = _listing(name, by_source_name[source_name], labels)
    if not any(map(len, listings.values())):
        raise SourceError(
            f"no image in any of the {len(folders)} class folders of {', '.join(chosen.values())}"
            f" in {root}",
            "look for files such as CLASS/NAME.jpg there",
        )
    train = {folder for split in splits if split.name == "train" for folder in split.images}
    doubts, warnings = judge(shapes, train)
    classes = Classes(ids, tuple(names.get(id_, id_) for id_ in ids))
    return Discovered(classes, listings, (*notes, *warnings), tuple(doubts))


def _class_ids(root: AnyPath, folders: Sequence[bytes]) -> tuple[str, ...]:
    by_id: dict[str, bytes] = {}
    for folder in folders:
        other = by_id.setdefault(class_text(folder), folder)
        if other != folder:
            raise SourceError(
                f"the class folders {other!r} and {folder!r} in {root} have the same name as text",
                "rename one of them",
            )
    return tuple(by_id)


def _listing(
    name: str, split: ClassSplit, labels: Mapping[bytes, int]
) -> tuple[Listing, dict[bytes, Shape]]:
    # One class at a time: a million rows as Python objects would take hundreds of megabytes.
    ignored = Counter(split.ignored)
    keys, paths = [_flat([])], [_flat([])]
    numbers = [np.zeros((0, 5), np.int64)]
    counts = []
    shapes = {}
    present = sorted(split.images)
    for folder, (images, met) in zip(present, _images(split, present), strict=True):
        ignored += met
        counts.append(len(images))
        shapes[folder] = Counter(
            image.key.partition(b"/")[0] if b"/" in image.key else b"" for image in images
        )
        in_split = [folder + b"/" + image.key for image in images]
        keys.append(_flat(in_split))
        paths.append(_flat([image.path for image in images]))
        rows = [
            (len(key), len(path), offset, length, version)
            for key, (_, path, offset, length, version) in zip(in_split, images, strict=True)
        ]
        numbers.append(np.array(rows, np.int64).reshape(-1, 5))
    key_length, path_length, offset, length, version = np.concatenate(numbers).T.copy()
    listing = Listing(
        name=name,
        source_name=split.source_name,
        keys=Ragged.of_lengths(np.concatenate(keys), key_length),
        labels=np.repeat(np.array([labels[folder] for folder in present], np.int64), counts),
        files=FileTable(
            Ragged.of_lengths(np.concatenate(paths), path_length), offset, length, version
        ),
        ignored=dict(sorted(ignored.items())),
    )
    return listing, shapes


def _images(
    split: ClassSplit, folders: Sequence[bytes]
) -> Iterator[tuple[list[ImageEntry], Counter[str]]]:
    """Yield the sorted images of each class, and counts of ignored entries."""

    def listed(folder: bytes) -> tuple[list[ImageEntry], Counter[str]]:
        met: Counter[str] = Counter()
        return sorted(split.images[folder](met)), met

    if split.at_once == 1:
        return map(listed, folders)
    return in_threads((partial(listed, folder) for folder in folders), split.at_once)


def _flat(rows: Sequence[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(rows), np.uint8)
