"""Splits whose images are grouped by class, from class folders or archives to listings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from freqprep.errors import SourceError
from freqprep.ragged import Ragged
from freqprep.sources.listing import (
    Classes,
    Discovered,
    FileTable,
    Listing,
    choose_splits,
    class_text,
)


class Image(NamedTuple):
    """Where one image of a class is.

    Attributes
    ----------
    key : bytes
        Path inside the class, unique there.
    path : bytes
        File, or archive, relative to the source's root.
    offset : int
        First byte inside the archive, or ``WHOLE_FILE``.
    length, mtime_ns : int
        As in ``FileTable``.
    """

    key: bytes
    path: bytes
    offset: int
    length: int
    mtime_ns: int


ListImages = Callable[[Counter[str]], list[Image]]
"""Lists the images of one class in any order, and counts what is not an image."""


@dataclass(frozen=True)
class ClassSplit:
    """One split of a source.

    Attributes
    ----------
    source_name : str
        Name of the split in the source.
    images : dict of bytes to ListImages
        Class -> its images; not called before they are needed.
    ignored : Counter
        What was met on the way to the classes.
    """

    source_name: str
    images: Mapping[bytes, ListImages]
    ignored: Counter[str] = field(default_factory=Counter)


def discovered(
    root: Path, splits: Sequence[ClassSplit], wanted: str | None, names: Mapping[str, str]
) -> Discovered:
    """List the images of the wanted splits, labelled over the classes of all of them.

    Rows are in the order of the bytes of (class, key).

    Parameters
    ----------
    root : Path
        The source, for messages.
    splits : sequence of ClassSplit
        All splits of the source.
    wanted : str or None
        Keep only this split.
    names : mapping of str to str
        Class id -> name for people; where there is none the id is the name.

    Raises
    ------
    SourceError
        No image at all; ``wanted`` is not there; two splits or two classes have one name.
    """
    chosen = choose_splits((split.source_name for split in splits), wanted, root)
    folders = sorted({folder for split in splits for folder in split.images})
    ids = _class_ids(root, folders)
    labels = {folder: label for label, folder in enumerate(folders)}
    by_source_name = {split.source_name: split for split in splits}
    listings = {
        name: _listing(name, by_source_name[source_name], labels)
        for name, source_name in chosen.items()
    }
    if not any(map(len, listings.values())):
        raise SourceError(
            f"no image in any of the {len(folders)} class folders of {', '.join(chosen.values())}"
            f" in {root}",
            "look for files such as CLASS/NAME.jpg there",
        )
    return Discovered(Classes(ids, tuple(names.get(id_, id_) for id_ in ids)), listings)


def _class_ids(root: Path, folders: Sequence[bytes]) -> tuple[str, ...]:
    by_id: dict[str, bytes] = {}
    for folder in folders:
        other = by_id.setdefault(class_text(folder), folder)
        if other != folder:
            raise SourceError(
                f"the class folders {other!r} and {folder!r} in {root} have the same name as text",
                "rename one of them",
            )
    return tuple(by_id)


def _listing(name: str, split: ClassSplit, labels: Mapping[bytes, int]) -> Listing:
    # One class at a time: a million rows as Python objects would take hundreds of megabytes.
    ignored = Counter(split.ignored)
    keys, paths = [_flat([])], [_flat([])]
    numbers = [np.zeros((0, 5), np.int64)]
    counts = []
    present = sorted(split.images)
    for folder in present:
        images = sorted(split.images[folder](ignored))
        counts.append(len(images))
        in_split = [folder + b"/" + image.key for image in images]
        keys.append(_flat(in_split))
        paths.append(_flat([image.path for image in images]))
        rows = [
            (len(key), len(path), offset, length, mtime_ns)
            for key, (_, path, offset, length, mtime_ns) in zip(in_split, images, strict=True)
        ]
        numbers.append(np.array(rows, np.int64).reshape(-1, 5))
    key_length, path_length, offset, length, mtime_ns = np.concatenate(numbers).T.copy()
    return Listing(
        name=name,
        source_name=split.source_name,
        keys=Ragged.of_lengths(np.concatenate(keys), key_length),
        labels=np.repeat(np.array([labels[folder] for folder in present], np.int64), counts),
        files=FileTable(
            Ragged.of_lengths(np.concatenate(paths), path_length), offset, length, mtime_ns
        ),
        ignored=dict(sorted(ignored.items())),
    )


def _flat(rows: Sequence[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(rows), np.uint8)
