"""Checks of a split's small arrays, a part at a time: none is in memory as a whole.

An array of a split that is not large is one part.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from freqprep.errors import CorruptStoreError
from freqprep.progress import Progress
from freqprep.ragged import Ragged
from freqprep.storage.repeated_rows import first_repeated
from freqprep.store.lazy_ragged import LazyRagged
from freqprep.store.manifest import GROUP_DOCUMENT
from freqprep.store.row_order import order_problem
from freqprep.store.schema import IMAGE_ARRAYS, OBJECT_ARRAYS
from freqprep.store.split import Split

_ROWS_AT_ONCE = 2**20


class ArrayProblem(NamedTuple):
    """Path inside the split, and what is wrong."""

    where: str
    what: str


def shape_problems(split: Split) -> Iterator[ArrayProblem]:
    """Find arrays that are missing, and dimensions of one name that differ in length."""
    known = dict(split.arrays.lengths)
    specs = dict(IMAGE_ARRAYS)
    if any(f"{name}/{GROUP_DOCUMENT}" in split.manifest.files for name in OBJECT_ARRAYS):
        specs |= OBJECT_ARRAYS
    for name, spec in specs.items():
        if f"{name}/{GROUP_DOCUMENT}" not in split.manifest.files:
            yield ArrayProblem(name, "is not there")
            continue
        try:
            shape = split.arrays.in_parts(name).shape
        except CorruptStoreError as error:
            yield ArrayProblem(name, str(error))
            continue
        for dimension, length in zip(spec.dimensions, shape, strict=True):
            if known.setdefault(dimension, length) != length:
                yield ArrayProblem(name, f"has {length} along {dimension}, not {known[dimension]}")
    if known.get("object_edge", 1) != known.get("object", 0) + 1:
        yield ArrayProblem("mask_offset", "does not have one entry more than there are objects")


def array_problems(split: Split) -> Iterator[ArrayProblem]:
    """Find values that contradict the attributes or each other; shapes must have been checked."""
    attributes = split.attributes
    if not np.array_equal(split.array("step"), attributes.stored_steps):
        yield ArrayProblem("step", "is not the table of the precision")
    yield from _row_problems(split)
    index = split.arrays.in_parts("listing_index").blocks()
    if what := order_problem(index, len(split), attributes.seed, attributes.window):
        yield ArrayProblem("listing_index", what)
    whole = []
    for name in ("key", "defect", "note"):
        if _offsets_fit(split, f"{name}_offset", len(split), name):
            whole.append(name)
        else:
            yield ArrayProblem(f"{name}_offset", f"does not cut {name} into {len(split)} rows")
    if split.has_boxes:
        yield from _object_problems(split)
    if "key" in whole and _has_repeated(split.key_rows):
        yield ArrayProblem("key", "is not unique")


def _row_problems(split: Split) -> Iterator[ArrayProblem]:
    attributes = split.attributes
    valid, label, size = map(split.arrays.in_parts, ("valid", "label", "size"))
    limit = attributes.encoding.geometry.grid
    found, rejected = set(), 0
    for first in range(0, len(split), _ROWS_AT_ONCE):
        rows = first, min(first + _ROWS_AT_ONCE, len(split))
        mask, labels, sizes = valid.rows(*rows), label.rows(*rows), size.rows(*rows)
        rejected += int(np.count_nonzero(~mask))
        if labels.max(initial=-1) >= len(attributes.class_ids) or labels.min(initial=0) < -1:
            found.add(ArrayProblem("label", "has a class that does not exist"))
        if (sizes[mask] < 1).any() or (sizes > np.multiply(limit, 8)).any():
            found.add(ArrayProblem("size", "has an image that does not fit the grid"))
        if (sizes[~mask] != 0).any():
            found.add(ArrayProblem("size", "has a size for a rejected row"))
    if rejected != attributes.rejected:
        yield ArrayProblem("valid", f"does not mask {attributes.rejected} rejected rows")
    yield from sorted(found)


def _object_problems(split: Split) -> Iterator[ArrayProblem]:
    classes = len(split.attributes.class_ids)
    if any(
        labels.min(initial=0) < 0 or labels.max(initial=-1) >= classes
        for labels in split.arrays.in_parts("object_label").blocks()
    ):
        yield ArrayProblem("object_label", "has a class that does not exist")
    objects = len(split.arrays.in_parts("object_label"))
    for name, rows in (("box", len(split)), ("mask", objects), ("annotation", objects)):
        offsets = "object_offset" if name == "box" else f"{name}_offset"
        if not _offsets_fit(split, offsets, rows, name):
            yield ArrayProblem(offsets, f"does not cut {name} into rows")


def _offsets_fit(split: Split, offsets: str, rows: int, values: str) -> bool:
    """Return whether offsets cut all values into so many rows, in order."""
    array, last = split.arrays.in_parts(offsets), 0
    if array.shape != (rows + 1,):
        return False
    for number, block in enumerate(array.blocks()):
        if (number == 0 and block[0] != 0) or (np.diff(block, prepend=last) < 0).any():
            return False
        last = int(block[-1])
    return last == len(split.arrays.in_parts(values))


def _has_repeated(keys: Ragged | LazyRagged) -> bool:
    with Progress("keys", len(keys), unit="key") as progress:

        def blocks() -> Iterator[Ragged]:
            for block in keys.blocks():
                yield block
                progress.update(len(block))

        return first_repeated(blocks, len(keys)) is not None
