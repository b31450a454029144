"""Comparison of what a source lists now with what a finished split was made from."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from freqprep.ragged import Ragged
from freqprep.sources import Classes, Listing
from freqprep.store.reader import Split
from freqprep.text.quantities import plural

NO_SUCH_CLASS = -2
"""Label of an image whose class is not one of those asked for."""


def relabelled(listing: Listing, found: Classes, ids: Sequence[str | int]) -> Listing:
    """Return a listing whose labels are indices into other class ids.

    Parameters
    ----------
    listing : Listing
    found : Classes
        Its labels are indices into these.
    ids : sequence of str or int

    Returns
    -------
    Listing
        Labels are `NO_SUCH_CLASS` where ``ids`` lacks the class.
    """
    label_of = {identity: label for label, identity in enumerate(ids)}
    lookup = np.array([label_of.get(id_, NO_SUCH_CLASS) for id_ in found.ids] + [-1], np.int64)
    objects = listing.objects
    if objects is not None:
        objects = dataclasses.replace(objects, label=lookup[objects.label])
    return dataclasses.replace(listing, labels=lookup[listing.labels], objects=objects)


def other_images(rows: Listing, split: Split) -> str:
    """Describe how planned rows are not those of a split.

    Parameters
    ----------
    rows : Listing
        As many, in row order.
    split : Split

    Returns
    -------
    str
        Empty if they have the same keys.
    """
    stored = split.ragged("key")
    if same_rows(rows.keys, stored):
        return ""
    if rows.runs is not None and _sorted(rows.keys) == _sorted(stored):
        return "the same images in other row groups"
    return "other images"


def changed_rows(rows: Listing, split: Split) -> dict[str, np.ndarray]:
    """Return the rows of a split that have other labels or annotations in the source.

    Parameters
    ----------
    rows : Listing
        Those of the source in row order, with the keys of the split, `relabelled` for its classes.
    split : Split

    Returns
    -------
    dict of str to ndarray of int64
        ``labels`` and ``annotations`` -> numbers of rows.
    """
    labels, annotations = rows.labels != split.labels, np.zeros(len(split), bool)
    objects = rows.objects
    if (objects is not None) != split.has_boxes:
        annotations[:] = True
    elif objects is not None and rows.image_ids is not None:
        offsets = split.array("object_offset")
        now = Ragged(objects.annotation.values, objects.annotation.offsets[objects.offsets])
        stored = split.ragged("annotation")
        then = Ragged(stored.values, stored.offsets[offsets])
        # JSON of one image after the other: the texts together tell also how many there are.
        annotations = _different(now, then) | (rows.image_ids != split.array("image_id"))
        if np.array_equal(objects.offsets, offsets):
            other = np.flatnonzero(objects.label != split.array("object_label"))
            labels[np.searchsorted(offsets, other, side="right") - 1] = True
    if rows.stated_sizes is not None:
        other_sizes = (rows.stated_sizes != split.array("source_size")).any(axis=1)
        annotations |= split.valid & other_sizes  # what was rejected may be what was repaired
    return {"labels": np.flatnonzero(labels), "annotations": np.flatnonzero(annotations)}


def described(split: Split, rows: Listing, what: str, changed: np.ndarray) -> str:
    """Describe a result of `changed_rows` that is not empty."""
    row = int(changed[0])
    text = f"{what} of {plural(len(changed), 'row')} are not those of the source, first of row"
    text += f" {row} ({split.keys[row]!r})"
    ids = (*split.attributes.class_ids, "another class", "none")  # from the end: -2 and -1
    then, now = (ids[int(labels[row])] for labels in (split.labels, rows.labels))
    return f"{text}: {then}, now {now}" if then != now else text


def same_rows(one: Ragged, other: Ragged) -> bool:
    """Return whether two ragged arrays have the same rows."""
    same_lengths = np.array_equal(one.offsets, other.offsets)
    return same_lengths and np.array_equal(one.values, other.values)


def _different(one: Ragged, other: Ragged) -> np.ndarray:
    """Return which rows of two ragged arrays of as many rows differ."""
    different: np.ndarray = np.diff(one.offsets) != np.diff(other.offsets)
    if not same_rows(one, other):
        for row in np.flatnonzero(~different).tolist():
            different[row] = not np.array_equal(one[row], other[row])
    return different


def _sorted(keys: Ragged) -> list[bytes]:
    return sorted(keys.bytes_at(row) for row in range(len(keys)))
