"""Counts of the images and annotated objects of each class, from a split's small arrays."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from freqprep.errors import CorruptStoreError
from freqprep.store.object_table import offsets_fit
from freqprep.store.split import Split

_MOST_FLAGS = 2**24
"""Largest number of rows times classes per step: 16 MB."""


_ROWS_AT_ONCE = 2**20


@dataclass(frozen=True)
class ObjectCounts:
    """Counts of annotated objects.

    Attributes
    ----------
    total : int
        Number of objects of the images counted, crowds included.
    crowds : int
        Number of groups under one outline (``iscrowd``).
    masks : int or None
        Number of objects with a mask; None if not known yet.
    images, images_without : int
        Number of images with at least one object, and with none.
    in_rejected : int
        Number of objects of rejected images, which no other number includes.
    """

    total: int
    crowds: int
    masks: int | None
    images: int
    images_without: int
    in_rejected: int


@dataclass(frozen=True)
class ClassCounts:
    """Counts of images and objects of each class.

    Attributes
    ----------
    ids : tuple of str or int
    names : tuple of str
    images : tuple of int
        Number of images of each class; with annotated objects, of those with at least one object
        of the class.
    objects : tuple of int, or None
        Number of objects of each class, crowds included; None without annotated objects.
    unlabelled : int or None
        Number of images without a label; None with annotated objects.
    """

    ids: tuple[str | int, ...]
    names: tuple[str, ...]
    images: tuple[int, ...]
    objects: tuple[int, ...] | None
    unlabelled: int | None

    def to_dict(self) -> dict[str, Any]:
        """Return JSON data: ``class_ids``, ``class_names``, ..., and ``unlabelled``."""
        document = asdict(self)
        return {n if n == "unlabelled" else f"class_{n}": value for n, value in document.items()}


def count_split(split: Split) -> tuple[ClassCounts, ObjectCounts | None]:
    """Count the valid images of a split and their objects, without reading boxes and masks.

    Raises
    ------
    CorruptStoreError
        The arrays are not consistent.
    """
    ids, names = split.attributes.class_ids, split.attributes.class_names
    if not split.has_boxes:
        _check(_within(split.labels, -1, len(ids)), split, "labels of classes that do not exist")
        counts = np.zeros(len(ids) + 1, np.int64)
        for first in range(0, len(split), _ROWS_AT_ONCE):
            rows = slice(first, first + _ROWS_AT_ONCE)
            labels = split.labels[rows][split.valid[rows]]
            counts += np.bincount(labels + 1, minlength=len(counts))
        return _of_images(ids, names, counts), None
    offsets, label = split.array("object_offset"), split.array("object_label")
    crowd, masks = split.array("iscrowd"), np.diff(split.array("mask_offset"))
    fits = offsets_fit(offsets, len(split), len(label)) and _within(label, 0, len(ids))
    fits = fits and len(label) == len(crowd) == len(masks)
    _check(fits, split, "objects that do not fit its images and classes")
    return count_objects(ids, names, split.valid, offsets, label, crowd, masks > 0)


def count_labels(
    ids: tuple[str | int, ...], names: tuple[str, ...], labels: np.ndarray
) -> ClassCounts:
    """Count images by their labels: int64, shape (n,), -1 without a label."""
    return _of_images(ids, names, np.bincount(labels + 1, minlength=len(ids) + 1))


def _of_images(
    ids: tuple[str | int, ...], names: tuple[str, ...], counts: np.ndarray
) -> ClassCounts:
    unlabelled, *images = counts.tolist()
    return ClassCounts(ids, names, tuple(images), None, unlabelled)


def count_objects(
    ids: tuple[str | int, ...],
    names: tuple[str, ...],
    valid: np.ndarray,
    offsets: np.ndarray,
    label: np.ndarray,
    crowd: np.ndarray,
    masked: np.ndarray | None = None,
) -> tuple[ClassCounts, ObjectCounts]:
    """Count objects and the images that have them.

    Parameters
    ----------
    ids, names : tuple
        Ids and names of the classes.
    valid : ndarray of bool, shape (n,)
        Whether each image counts.
    offsets : ndarray of int64, shape (n + 1,)
        Image i has the objects ``offsets[i]:offsets[i + 1]``.
    label : ndarray of int64, shape (m,)
        Class of each object, from 0.
    crowd, masked : ndarray of bool, shape (m,)
        Whether each object is a crowd, and whether it has a mask, if known.

    Returns
    -------
    ClassCounts, ObjectCounts
    """
    classes, each = len(ids), np.diff(offsets)
    kept = np.repeat(valid, each)
    row, label = np.repeat(np.arange(len(valid)), each)[kept], label[kept]
    images = int((each[valid] > 0).sum())
    by_class = tuple(np.bincount(label, minlength=classes).tolist())
    images_by_class = tuple(_images_of_objects(row, label, len(valid), classes).tolist())
    return ClassCounts(ids, names, images_by_class, by_class, None), ObjectCounts(
        total=len(label),
        crowds=int(crowd[kept].astype(bool).sum()),
        masks=None if masked is None else int(masked[kept].sum()),
        images=images,
        images_without=int(valid.sum()) - images,
        in_rejected=int((~kept).sum()),
    )


def _images_of_objects(row: np.ndarray, label: np.ndarray, rows: int, classes: int) -> np.ndarray:
    """Count the rows with at least one object of each class; objects are sorted by row."""
    found = np.zeros(classes, np.int64)
    step = max(_MOST_FLAGS // max(classes, 1), 1)
    for first in range(0, rows, step):
        part = slice(*np.searchsorted(row, (first, first + step)).tolist())
        flags = np.zeros((min(step, rows - first), classes), bool)
        flags[row[part] - first, label[part]] = True
        found += flags.sum(axis=0)
    return found


def _within(labels: np.ndarray, first: int, stop: int) -> bool:
    return not labels.size or bool(labels.min() >= first and labels.max() < stop)


def _check(fits: bool, split: Split, what: str) -> None:
    if not fits:
        raise CorruptStoreError(
            f"{split.path} has {what}",
            "restore the split from a copy, or convert again with --overwrite",
        )
