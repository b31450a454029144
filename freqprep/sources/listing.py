"""What every source gives: classes, and for each split a table of its images."""

from __future__ import annotations

import os
import stat
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from freqprep.errors import SourceError, did_you_mean
from freqprep.ragged import Ragged
from freqprep.sources.split_names import normalise_split

WHOLE_FILE = -1
"""Value of ``FileTable.offset`` for an image that is a file of its own."""


@dataclass(frozen=True)
class Classes:
    """The classes of a source; a label is an index into both tuples.

    Attributes
    ----------
    ids : tuple of str or int
        Folder name, wnid or COCO category id; unique.
    names : tuple of str
        For people; not always unique.
    """

    ids: tuple[str | int, ...]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(set(self.ids)) != len(self.ids) or len(self.ids) != len(self.names):
            raise SourceError(f"{len(self.ids)} class ids and {len(self.names)} names do not pair")


@dataclass(frozen=True)
class FileTable:
    """Where the bytes of each image are.

    Attributes
    ----------
    paths : Ragged of uint8
        File, relative to the source's root, as the bytes the system uses. For an image inside
        an archive: the archive.
    offset : ndarray of int64, shape (n,)
        First byte inside the archive, or ``WHOLE_FILE``.
    length : ndarray of int64, shape (n,)
        Bytes of the image; 0 where the file is absent or not a regular one.
    mtime_ns : ndarray of int64, shape (n,)
        Time of last change of the file (or archive) in ns; 0 where the file is absent or not a
        regular one.
    """

    paths: Ragged
    offset: np.ndarray
    length: np.ndarray
    mtime_ns: np.ndarray

    def __len__(self) -> int:
        return len(self.paths)


@dataclass(frozen=True)
class Objects:
    """Annotated objects of all images of a split, in the source image's pixels.

    ``n`` images, ``m`` objects; image ``i`` owns objects ``offsets[i]:offsets[i + 1]``.

    Attributes
    ----------
    offsets : ndarray of int64, shape (n + 1,)
    box : ndarray of float64, shape (m, 4)
        x, y, width, height in pixels, as COCO has them.
    label : ndarray of int64, shape (m,)
        Index into the classes.
    area : ndarray of float64, shape (m,)
        Square pixels.
    iscrowd : ndarray of bool, shape (m,)
    annotation_id : ndarray of int64, shape (m,)
    annotation : Ragged of uint8, m rows
        The source's own annotation object as compact UTF-8 JSON, unknown keys included.
    """

    offsets: np.ndarray
    box: np.ndarray
    label: np.ndarray
    area: np.ndarray
    iscrowd: np.ndarray
    annotation_id: np.ndarray
    annotation: Ragged


@dataclass(frozen=True)
class Listing:
    """One split of a source, in an order that does not depend on the file system.

    Attributes
    ----------
    name : str
        Name of the split in the store.
    source_name : str
        Name of the split in the source.
    keys : Ragged of uint8
        Unique key of each image: ``class/file`` or COCO's ``file_name``, as bytes.
    labels : ndarray of int64, shape (n,)
        Index into the classes; -1 where an image has none of its own (detection).
    files : FileTable
    image_ids : ndarray of int64, shape (n,), or None
        The source's own ids (COCO).
    stated_sizes : ndarray of int32, shape (n, 2), or None
        Height and width that the annotation states.
    objects : Objects or None
    ignored : dict of str to int
        What lay in the folder and is not an image of this split: description -> count.
    named_paths : dict of str to str
        Paths in the source that the user named, by option: relative to its root where they lie
        in it, else absolute.
    """

    name: str
    source_name: str
    keys: Ragged
    labels: np.ndarray
    files: FileTable
    image_ids: np.ndarray | None = None
    stated_sizes: np.ndarray | None = None
    objects: Objects | None = None
    ignored: dict[str, int] = field(default_factory=dict)
    named_paths: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.keys)


class Doubt(NamedTuple):
    """Classes that may not be what the user means; an error unless the user lists them.

    Attributes
    ----------
    classes : frozenset of str or int
        Class ids; with all of them in ``--classes`` the doubt is settled.
    message, remedy : str
        Of the error.
    """

    classes: frozenset[str | int]
    message: str
    remedy: str


@dataclass(frozen=True)
class Discovered:
    """A whole source: its classes, and its splits by name.

    Attributes
    ----------
    classes : Classes
    listings : dict of str to Listing
    notes : tuple of str
        How the folder was understood and what to look at, a line each.
    doubts : tuple of Doubt
    """

    classes: Classes
    listings: dict[str, Listing]
    notes: tuple[str, ...] = ()
    doubts: tuple[Doubt, ...] = ()


class Source(Protocol):
    """A kind of source is one function that lists what a folder holds.

    It reads names, sizes and labels, but decodes nothing.
    """

    def __call__(self, root: Path, split: str | None) -> Discovered:
        """List the splits under ``root``.

        Parameters
        ----------
        root : Path
            The folder named by the user.
        split : str or None
            Keep only this split (a name in the store or in the source). Where the source has
            no split folders, it is the name to give; None then means ``train``.

        Raises
        ------
        SourceError
            Nothing usable is there, or labels or annotations are missing or malformed.
        """


def choose_splits(
    found: Iterable[str],
    wanted: str | None,
    root: Path,
    names: Mapping[str, str] = types.MappingProxyType({}),
) -> dict[str, str]:
    """Name in the store -> name in the source, of the splits to convert.

    Parameters
    ----------
    found : iterable of str
        Names in the source.
    wanted : str or None
        Keep only this one: a name in the source, or else one in the store.
    root : Path
        The source, for messages.
    names : mapping of str to str
        Name in the source -> name in the store, where it is not that of `normalise_split`.

    Raises
    ------
    SourceError
        ``wanted`` is not there, or two splits would get the same name in the store.
    """
    found = sorted(found)
    if wanted in found:
        return {names.get(wanted) or normalise_split(wanted): wanted}
    chosen: dict[str, str] = {}
    for source_name in found:
        name = names.get(source_name) or normalise_split(source_name)
        if wanted is not None and name != normalise_split(wanted):
            continue
        if name in chosen:
            raise SourceError(
                f"both {chosen[name]!r} and {source_name!r} in {root} are the split {name!r}",
                f"choose one, for example with --split {source_name}",
            )
        chosen[name] = source_name
    if not chosen:
        raise SourceError(
            f"no split {wanted!r} in {root}",
            f"{did_you_mean(wanted or '', found)}choose one of those there: {', '.join(found)}",
        )
    return chosen


def class_text(name: bytes) -> str:
    r"""A folder's name as text; bytes that are not UTF-8 appear as ``\xNN``."""
    return name.decode("utf-8", "backslashreplace")


def file_table(root: Path, paths: list[bytes]) -> FileTable:
    """Sizes and times of whole files; what is not a regular file gets length 0, time 0.

    ``paths`` are relative to ``root``; links are followed.
    """
    length = np.zeros(len(paths), np.int64)
    mtime_ns = np.zeros(len(paths), np.int64)
    for row, path in enumerate(paths):
        try:
            status = os.stat(os.path.join(os.fsencode(root), path))
        except OSError:
            continue
        if not stat.S_ISREG(status.st_mode):
            continue
        length[row], mtime_ns[row] = status.st_size, status.st_mtime_ns
    offset = np.full(len(paths), WHOLE_FILE, np.int64)
    return FileTable(Ragged.of_bytes(paths), offset, length, mtime_ns)
