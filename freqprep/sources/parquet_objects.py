"""Annotated objects of Parquet tables, with the names that COCO's annotation files have."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from freqprep.errors import SourceError
from freqprep.progress import Progress
from freqprep.ragged import Ragged
from freqprep.sources.coco_values import as_int64, measures
from freqprep.sources.listing import Objects
from freqprep.sources.parquet_file import arrow
from freqprep.sources.parquet_parts import Part
from freqprep.sources.parquet_schema import Columns, is_list, object_fields
from freqprep.text.quantities import plural

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = 1000
_IDS = ("id", "bbox_id", "annotation_id", "object_id")
_CROWD = ("iscrowd", "is_crowd")


class Found(NamedTuple):
    """Objects of a split, and what people should know of them."""

    objects: Objects
    notes: tuple[str, ...]


def categories(part: Part) -> pa.ChunkedArray:
    """Return the class of each object of a file, as it is there.

    Raises
    ------
    SourceError
        The fields of the objects of a row differ in length.
    """
    return _field(part, part.columns.category or "")


def read_objects(
    parts: Sequence[Part],
    labels: Sequence[np.ndarray],
    class_ids: Sequence[int],
    image_ids: np.ndarray,
) -> Found:
    """Return the objects of a split.

    Parameters
    ----------
    parts : sequence of Part
        Files of the split.
    labels : sequence of ndarray of int64
        Index of the class of each object of each file.
    class_ids : sequence of int
        Id of each class.
    image_ids : ndarray of int64, shape (n,)
        Id of each row.

    Returns
    -------
    Found
        In the order of the tables. Ids are those of the table if they are unique whole numbers,
        else numbers from 1.

    Raises
    ------
    SourceError
        A box or an area is not a finite number, or an object has no class.
    """
    ids, notes = _ids(parts)
    label = np.concatenate([np.zeros(0, np.int64), *labels])
    counts: list[int] = []
    texts: list[bytes] = []
    boxes, areas, crowds = array("d"), array("d"), array("b")
    with Progress("objects", len(image_ids), unit="image") as progress:
        for where, row, found in _rows(parts):
            for entry in found:
                number = len(texts)
                if label[number] < 0:
                    raise SourceError(
                        f"{where}, row {row}: an object has no class", "give each object a class"
                    )
                entry["id"], entry["image_id"] = ids[number], int(image_ids[len(counts)])
                entry["category_id"] = class_ids[label[number]]
                try:
                    box, area, crowd = measures(entry)
                    text = json.dumps(entry, separators=(",", ":"), allow_nan=False)
                except ValueError as error:
                    raise SourceError(
                        f"{where}, row {row}: an object has {error}", "correct the table"
                    ) from error
                texts.append(text.encode("ascii"))
                boxes.extend(box)
                areas.append(area)
                crowds.append(crowd)
            counts.append(len(found))
            progress.update(1)
    objects = Objects(
        offsets=np.cumsum([0, *counts], dtype=np.int64),
        box=np.array(boxes, np.float64).reshape(-1, 4),
        label=label,
        area=np.array(areas, np.float64),
        iscrowd=np.array(crowds, bool),
        annotation_id=np.array(ids, np.int64),
        annotation=Ragged.of_bytes(texts),
    )
    return Found(objects, notes)


def _field(part: Part, name: str) -> pa.ChunkedArray:
    """Return a field of all objects of a file."""
    compute, chunks, row = arrow().compute, [], 0
    column = part.values[part.columns.objects or ""]
    for chunk in column.chunks:
        if arrow().types.is_struct(chunk.type):
            fields = dict(zip([f.name for f in chunk.type], chunk.flatten(), strict=True))
            _check_lengths(part.where, row, fields)
            chunks.append(compute.list_flatten(fields[name]))
        else:
            chunks.append(compute.struct_field(compute.list_flatten(chunk), name))
        row += len(chunk)
    values = arrow().chunked_array(chunks or [arrow().array([], arrow().int64())])
    if arrow().types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    return values


def _check_lengths(where: str, first: int, fields: dict[str, pa.Array]) -> None:
    compute = arrow().compute
    lengths = {
        name: compute.fill_null(compute.list_value_length(field), 0).to_numpy()
        for name, field in fields.items()
        if is_list(field.type)
    }
    for name, found in lengths.items():
        differ = np.flatnonzero(found != lengths["bbox"])
        if len(differ):
            row = int(differ[0])
            raise SourceError(
                f"{where}, row {first + row}: {plural(int(lengths['bbox'][row]), 'box')}, but"
                f" {found[row]} of {name!r}",
                "correct the table: each object has one value of each field",
            )


def _rows(parts: Sequence[Part]) -> Iterator[tuple[str, int, list[dict[str, Any]]]]:
    """Yield file, number and objects of each row, with COCO's names of the usual fields."""
    for part in parts:
        row = 0
        for chunk in part.values[part.columns.objects or ""].chunks:
            for first in range(0, len(chunk), _ROWS):
                for found in chunk.slice(first, _ROWS).to_pylist():
                    yield part.where, row, [_renamed(e, part.columns) for e in _entries(found)]
                    row += 1


def _entries(row: Any) -> list[dict[str, Any]]:
    if isinstance(row, dict):
        lists = {name: values for name, values in row.items() if isinstance(values, list)}
        count = len(lists.get("bbox") or ())
        return [{name: values[i] for name, values in lists.items()} for i in range(count)]
    return [entry or {} for entry in row or ()]


def _renamed(entry: dict[str, Any], columns: Columns) -> dict[str, Any]:
    left_out = {columns.category, *_IDS[:1]}
    crowd = next((entry[name] for name in _CROWD if entry.get(name) is not None), None)
    kept = {
        name: value
        for name, value in entry.items()
        if name not in left_out and name not in _CROWD and _is_json(value)
    }
    return kept if crowd is None else {**kept, "iscrowd": crowd}


def _is_json(value: Any) -> bool:
    """Return whether a value has a form in JSON; bytes and times have none, and are left out."""
    if isinstance(value, dict):
        return all(map(_is_json, value.values()))
    if isinstance(value, list):
        return all(map(_is_json, value))
    return value is None or isinstance(value, str | int | float | bool)


def _ids(parts: Sequence[Part]) -> tuple[list[int], tuple[str, ...]]:
    """Return a unique id of each object."""
    count = sum(len(categories(part)) for part in parts)
    fields = object_fields(parts[0].values[parts[0].columns.objects or ""].type)
    name = next((name for name in _IDS if name in fields), None)
    if name is None:
        return list(range(1, count + 1)), ()
    given = [as_int64(value) for part in parts for value in _field(part, name).to_pylist()]
    ids = [id_ for id_ in given if id_ is not None]
    if len(set(ids)) == count:
        return ids, ()
    note = f"the {name!r} of objects are missing or repeat: objects are numbered from 1"
    return list(range(1, count + 1)), (note,)
