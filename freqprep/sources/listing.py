"""Listings: the classes of a source, and a table of the images of each split."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np

from freqprep.errors import SourceError, did_you_mean
from freqprep.ragged import Ragged
from freqprep.sources.file_table import FileTable, TableFiles
from freqprep.sources.options import SourceOptions
from freqprep.sources.split_names import normalise_split
from freqprep.storage.paths import AnyPath


@dataclass(frozen=True)
class Classes:
    """Classes of a source; a label is an index into both tuples.

    Attributes
    ----------
    ids : tuple of str or int
        Folder name, wnid or COCO category id; unique.
    names : tuple of str
        Names for people; not always unique.
    """

    ids: tuple[str | int, ...]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(set(self.ids)) != len(self.ids) or len(self.ids) != len(self.names):
            raise SourceError(f"{len(self.ids)} class ids and {len(self.names)} names do not pair")


def other_names(one: Classes, other: Classes) -> list[tuple[int, str, str]]:
    """Find numbers of classes that have one name here and another there.

    Ids that are texts mean themselves, and a name that is the number is none.

    Returns
    -------
    list of (int, str, str)
        Number and its two names, in the order of the second.
    """
    names = dict(zip(one.ids, one.names, strict=True))
    return [
        (id_, names[id_], name)
        for id_, name in zip(other.ids, other.names, strict=True)
        if isinstance(id_, int)
        and id_ in names
        and names[id_] != name
        and str(id_) not in (names[id_], name)
    ]


@dataclass(frozen=True)
class Objects:
    """Annotated objects of the images of a split, in pixels of the source images.

    ``n`` images, ``m`` objects; image ``i`` has the objects ``offsets[i]:offsets[i + 1]``.

    Attributes
    ----------
    offsets : ndarray of int64, shape (n + 1,)
    box : ndarray of float64, shape (m, 4)
        x, y, width and height in pixels, as in COCO.
    label : ndarray of int64, shape (m,)
        Index into the classes.
    area : ndarray of float64, shape (m,)
        Area in square pixels.
    iscrowd : ndarray of bool, shape (m,)
    annotation_id : ndarray of int64, shape (m,)
    annotation : Ragged of uint8, m rows
        Annotation of the source as compact UTF-8 JSON, unknown keys included.
    """

    offsets: np.ndarray
    box: np.ndarray
    label: np.ndarray
    area: np.ndarray
    iscrowd: np.ndarray
    annotation_id: np.ndarray
    annotation: Ragged

    def take(self, rows: np.ndarray) -> Objects:
        """Return the objects of some images, in the given order."""
        every = Ragged(np.arange(len(self.box)), self.offsets).take(rows)
        kept = every.values
        return Objects(
            offsets=every.offsets,
            box=self.box[kept],
            label=self.label[kept],
            area=self.area[kept],
            iscrowd=self.iscrowd[kept],
            annotation_id=self.annotation_id[kept],
            annotation=self.annotation.take(kept),
        )


@dataclass(frozen=True)
class Listing:
    """Images of one split of a source, in an order that does not depend on the file system.

    Attributes
    ----------
    name : str
        Name of the split in the store.
    source_name : str
        Name of the split in the source.
    keys : Ragged of uint8
        Unique key of each image: ``class/file`` or COCO's ``file_name``, as bytes.
    labels : ndarray of int64, shape (n,)
        Index into the classes; -1 for an image without a label (detection).
    files : FileTable or TableFiles
    image_ids : ndarray of int64, shape (n,), or None
        Image ids of the source (COCO).
    stated_sizes : ndarray of int32, shape (n, 2), or None
        Height and width that the annotations state.
    objects : Objects or None
    ignored : dict of str to int
        Entries of the folder that are not images of this split: description -> count.
    options : dict of str to str
        From `freqprep.sources.options.SourceOptions.texts`.
    image_column : str or None
        Column of the images if the files are tables (Parquet), else None.
    runs : ndarray of int64, shape (runs,), or None
        Lengths of runs of images that are read together, in listing order (row groups of tables);
        None if images are read one by one.
    """

    name: str
    source_name: str
    keys: Ragged
    labels: np.ndarray
    files: FileTable | TableFiles
    image_ids: np.ndarray | None = None
    stated_sizes: np.ndarray | None = None
    objects: Objects | None = None
    ignored: dict[str, int] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    image_column: str | None = None
    runs: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, images: np.ndarray) -> Listing:
        """Return some images, in the given order."""
        return dataclasses.replace(
            self,
            keys=self.keys.take(images),
            labels=self.labels[images],
            files=self.files.take(images),
            image_ids=None if self.image_ids is None else self.image_ids[images],
            stated_sizes=None if self.stated_sizes is None else self.stated_sizes[images],
            objects=None if self.objects is None else self.objects.take(images),
        )


class Doubt(NamedTuple):
    """Content that the user may not mean: an error of a conversion, not of a store of it.

    Attributes
    ----------
    classes : frozenset of str or int, or None
        Class ids; if all are in ``--classes``, there is no error. None: it is not about classes.
    message, remedy : str
        Message and remedy of the error.
    """

    classes: frozenset[str | int] | None
    message: str
    remedy: str


@dataclass(frozen=True)
class Discovered:
    """Content of a source: its classes, and its splits by name.

    Attributes
    ----------
    classes : Classes
    listings : dict of str to Listing
    notes : tuple of str
        Notes on how the folder was understood, and warnings, a line each.
    doubts : tuple of Doubt
    """

    classes: Classes
    listings: dict[str, Listing]
    notes: tuple[str, ...] = ()
    doubts: tuple[Doubt, ...] = ()


class Source(Protocol):
    """Function that lists the content of a source of one kind.

    It reads names, sizes and labels, and decodes nothing.
    """

    def __call__(self, root: AnyPath, split: str | None, options: SourceOptions) -> Discovered:
        """List the splits under ``root``.

        Parameters
        ----------
        root : Path or ObjectPath
            What the user named: a folder, or files of the kind.
        split : str or None
            List only this split (a name in the store or in the source). If the source has no
            splits, this is the name of the split, by default ``train``.
        options : SourceOptions
            Only those of this kind are given.

        Returns
        -------
        Discovered

        Raises
        ------
        SourceError
            Nothing usable is found, or labels or annotations are missing or malformed.
        """


def choose_splits(
    found: Iterable[str],
    wanted: str | None,
    root: AnyPath,
    names: Mapping[str, str] = types.MappingProxyType({}),
) -> dict[str, str]:
    """Choose the splits to convert: name in the store -> name in the source.

    Parameters
    ----------
    found : iterable of str
        Names in the source.
    wanted : str or None
        Choose only this split: a name in the source, or else one in the store.
    root : Path or ObjectPath
        Folder of the source, for messages.
    names : mapping of str to str
        Name in the source -> name in the store, if not that of `normalise_split`.

    Returns
    -------
    dict of str to str

    Raises
    ------
    SourceError
        There is no split ``wanted``, or two splits would have one name in the store.
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
    r"""Return a folder name as text; bytes that are not UTF-8 become ``\xNN``."""
    return name.decode("utf-8", "backslashreplace")
