"""Comparison of what a source lists now with what a finished split was made from."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from freqprep.errors import SourceError, some
from freqprep.ragged import Ragged
from freqprep.sources import Classes, Listing
from freqprep.sources.listing import other_names
from freqprep.storage.paths import AnyPath
from freqprep.storage.scratch import joined, slices
from freqprep.store.plan import SplitPlan
from freqprep.store.reader import Split
from freqprep.text.quantities import plural
from freqprep.text.terminal import quoted

NO_SUCH_CLASS = -2
"""Label of an image whose class is not one of those asked for."""


def refuse_other_names(stored: Classes, found: Classes, store: AnyPath) -> None:
    """Raise SourceError where a number stands for another class than in the store.

    Classes are matched by their ids, and numbers from 0 or 1 on are in every other file.
    """
    if differ := other_names(stored, found):
        raise SourceError(
            f"the source numbers its classes otherwise than {store}: "
            + some([f"{id_} is {b!r}, in the store {a!r}" for id_, a, b in differ]),
            "convert all splits together into a new store, or this one into a store of its own, or"
            " give the classes the same numbers and names",
        )


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
    labels = listing.labels
    if not np.array_equal(lookup[:-1], np.arange(len(found.ids))):
        labels = joined((lookup[labels[part]] for part in slices(len(labels))), np.int64)
    return dataclasses.replace(listing, labels=labels, objects=objects)


def other_images(plan: SplitPlan, split: Split) -> str:
    """Describe how planned rows are not those of a split.

    Parameters
    ----------
    plan : SplitPlan
        Of as many.
    split : Split

    Returns
    -------
    str
        Empty if they have the same keys.
    """
    first, keys = 0, plan.listing.keys
    for stored in split.key_rows.blocks():
        rows = range(first, first + len(stored))
        if not same_rows(keys.take(plan.order.take(rows)), stored):
            break
        first = rows.stop
    else:
        return ""
    if plan.listing.runs is not None and _sorted(keys) == _sorted(split.ragged("key")):
        return "the same images in other row groups"
    return "other images"


def changed_rows(plan: SplitPlan, split: Split) -> dict[str, np.ndarray]:
    """Return the rows of a split that have other labels or annotations in the source.

    Parameters
    ----------
    plan : SplitPlan
        That of the source, with the keys of the split, `relabelled` for its classes.
    split : Split

    Returns
    -------
    dict of str to ndarray of int64
        ``labels`` and ``annotations`` -> numbers of rows.
    """
    listing, labels = plan.listing, np.zeros(len(split), bool)
    for rows, index in plan.blocks():
        part = slice(rows.start, rows.stop)
        labels[part] = listing.labels[index] != split.labels[part]
    if listing.objects is None and not split.has_boxes:
        return {"labels": np.flatnonzero(labels), "annotations": np.empty(0, np.int64)}
    annotations, index = np.zeros(len(split), bool), plan.order.take(range(len(split)))
    if listing.objects is None or not split.has_boxes:
        annotations[:] = True
    elif listing.image_ids is not None:
        objects = listing.objects.take(index)
        offsets = split.array("object_offset")
        now = Ragged(objects.annotation.values, objects.annotation.offsets[objects.offsets])
        stored = split.ragged("annotation")
        then = Ragged(stored.values, stored.offsets[offsets])
        # JSON of one image after the other: the texts together tell also how many there are.
        annotations |= _different(now, then)
        annotations |= listing.image_ids[index] != split.array("image_id")
        if np.array_equal(objects.offsets, offsets):
            other = np.flatnonzero(objects.label != split.array("object_label"))
            labels[np.searchsorted(offsets, other, side="right") - 1] = True
    if listing.stated_sizes is not None:
        other_sizes = (listing.stated_sizes[index] != split.array("source_size")).any(axis=1)
        annotations |= split.valid & other_sizes  # what was rejected may be what was repaired
    return {"labels": np.flatnonzero(labels), "annotations": np.flatnonzero(annotations)}


def described(split: Split, plan: SplitPlan, what: str, changed: np.ndarray) -> str:
    """Describe a result of `changed_rows` that is not empty."""
    row = int(changed[0])
    text = f"{what} of {plural(len(changed), 'row')} are not those of the source, first of row"
    text += f" {row} ({quoted(split.keys[row])})"
    ids = (*split.attributes.class_ids, "another class", "none")  # from the end: -2 and -1
    index = int(plan.order.take(range(row, row + 1))[0])
    then, now = ids[int(split.labels[row])], ids[int(plan.listing.labels[index])]
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
