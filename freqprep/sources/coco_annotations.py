"""Reader of one COCO annotation file (``instances_*.json``) as checked columns."""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from freqprep.errors import SourceError
from freqprep.sources.coco_json import Take, read_arrays
from freqprep.sources.coco_names import escapes, name_in_url, spellings
from freqprep.sources.coco_values import LARGEST_SIDE, as_int64, brief, measures
from freqprep.sources.files import open_path
from freqprep.storage.paths import AnyPath
from freqprep.text.quantities import plural

_REMEDY = "correct the annotation file, or download it again"


@dataclass(frozen=True)
class Annotations:
    """Content of an annotation file: ``n`` images, ``m`` objects, both in the file's order.

    Attributes
    ----------
    categories : dict of int to str
        Id -> name.
    image_id : ndarray of int64, shape (n,)
        Unique.
    file_name : list of bytes
        Names as the file has them, unique; see `freqprep.sources.coco_names.spellings`. None
        leads out of a folder. For an image without a name, the end of its URL.
    size : ndarray of int32, shape (n, 2)
        Height and width; positive.
    object_image : ndarray of int64, shape (m,)
        Image id of each object, not always one of ``image_id``.
    category : ndarray of int64, shape (m,)
        Category id of each object, one of ``categories``.
    box : ndarray of float64, shape (m, 4)
    area : ndarray of float64, shape (m,)
    iscrowd : ndarray of bool, shape (m,)
    annotation_id : ndarray of int64, shape (m,)
        Unique.
    annotation : list of bytes
        Each object of the file as compact JSON.
    """

    categories: dict[int, str]
    image_id: np.ndarray
    file_name: list[bytes]
    size: np.ndarray
    object_image: np.ndarray
    category: np.ndarray
    box: np.ndarray
    area: np.ndarray
    iscrowd: np.ndarray
    annotation_id: np.ndarray
    annotation: list[bytes]


@dataclass(frozen=True)
class Outline:
    """Content of an annotation file except its objects.

    Attributes
    ----------
    categories : dict of int to str
        Id -> name.
    file_name : list of bytes
        Names as in `Annotations`; malformed entries are skipped.
    """

    categories: dict[int, str]
    file_name: list[bytes]


def read_outline(path: AnyPath) -> Outline:
    """Read categories and images of an annotation file that is not converted itself.

    Raises
    ------
    SourceError
        The file cannot be read, is not JSON, or its categories are missing or malformed.
    """
    reader = _Reader(path)
    names: dict[bytes, None] = {}

    def take_name(entry: Any) -> None:
        try:
            names[reader.name_of(entry, "an image")] = None
        except SourceError:  # raised when that split is converted
            return

    _read(path, {"categories": reader.take_category, "images": take_name})
    return Outline(reader.categories, list(names))


def read_annotations(path: AnyPath) -> Annotations:
    """Read all columns of one annotation file.

    Raises
    ------
    SourceError
        The file cannot be read, is not JSON, or has an invalid value: the message names the entry
        and the value.
    """
    reader = _Reader(path)
    _read(
        path,
        {
            "images": reader.take_image,
            "annotations": reader.take_annotation,
            "categories": reader.take_category,
        },
    )
    return reader.columns()


def _read(path: AnyPath, take: Mapping[str, Take]) -> None:
    with open_path(path) as file:
        data = file.read()
    try:
        text = data.decode("utf-8-sig")
        del data  # half a gigabyte that parsing does not need
        missing = sorted(take.keys() - read_arrays(text, take))
    except UnicodeDecodeError as error:
        raise SourceError(f"{path} is not UTF-8 at byte {error.start}", _REMEDY) from error
    except json.JSONDecodeError as error:
        raise SourceError(
            f"{path} is not a complete annotation file: {error.msg} at line {error.lineno}, column"
            f" {error.colno}",
            _REMEDY,
        ) from error
    if missing:
        raise SourceError(f"{path} has no {' and no '.join(map(repr, missing))}", _REMEDY)


class _Reader:
    """Reader of entries, which are checked and collected in columns."""

    def __init__(self, path: AnyPath) -> None:
        self.path = path
        self.categories: dict[int, str] = {}
        self.image_id = array("q")
        self.file_name: list[bytes] = []
        self.size = array("q")
        self.object_image = array("q")
        self.category = array("q")
        self.box = array("d")
        self.area = array("d")
        self.iscrowd = array("b")
        self.annotation_id = array("q")
        self.annotation: list[bytes] = []
        # Row among the objects, height and width of each run-length mask, checked at the end:
        # the images may follow the annotations in the file.
        self.masks = array("q")

    def fail(self, what: str, remedy: str = _REMEDY) -> NoReturn:
        raise SourceError(f"{self.path}: {what}", remedy)

    def integer(self, entry: Any, key: str, kind: str, number: int) -> int:
        value = entry.get(key) if isinstance(entry, dict) else None
        integer = as_int64(value)
        if integer is None:
            self.fail(
                f"{kind} number {number} (id {_id(entry)}) has {key} = {brief(value)}, not an"
                " integer of 64 bits"
            )
        return integer

    def take_category(self, entry: Any) -> None:
        number = len(self.categories)
        id_ = self.integer(entry, "id", "category", number)
        name = entry.get("name")
        if not isinstance(name, str):
            self.fail(f"category number {number} (id {id_}) has name = {brief(name)}, not a text")
        if id_ in self.categories:
            self.fail(f"two categories have the id {id_}: {self.categories[id_]!r} and {name!r}")
        self.categories[id_] = name

    def take_image(self, entry: Any) -> None:
        number = len(self.image_id)
        id_ = self.integer(entry, "id", "image", number)
        for key in ("height", "width"):
            if entry.get(key) is None:
                self.fail(
                    f"image number {number} (id {id_}) has {key} = missing, not an integer of 64"
                    " bits",
                    "write the size of each image, in the pixels of its boxes, into the file",
                )
            side = self.integer(entry, key, "image", number)
            if not 0 < side <= LARGEST_SIDE:
                self.fail(f"image number {number} (id {id_}) has {key} = {side}, not a size")
            self.size.append(side)
        self.image_id.append(id_)
        self.file_name.append(self.name_of(entry, f"image number {number}"))

    def name_of(self, entry: Any, where: str) -> bytes:
        """Return the file name of an image as bytes, if it can be that of a file in a folder."""
        name = entry.get("file_name") if isinstance(entry, dict) else None
        if name is None and isinstance(entry, dict):
            name = name_in_url(entry.get("coco_url"))
        if not isinstance(name, str) or "\0" in name:
            self.fail(f"{where} has file_name = {brief(name)}, not the name of a file")
        try:
            key = name.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            self.fail(f"{where} has file_name = {brief(name)}, which is not Unicode text")
        if not spellings(key):
            self.fail(f"{where} has file_name = {brief(name)}, not the name of a file")
        if escapes(key):
            self.fail(f"{where} has file_name = {brief(name)}, which leaves the image folder")
        return key

    def take_annotation(self, entry: Any) -> None:
        number = len(self.annotation)
        id_ = self.integer(entry, "id", "annotation", number)
        self.object_image.append(self.integer(entry, "image_id", "annotation", number))
        self.category.append(self.integer(entry, "category_id", "annotation", number))
        self.annotation_id.append(id_)
        where = f"annotation number {number} (id {id_})"
        try:
            box, area, iscrowd = measures(entry)
        except ValueError as error:
            self.fail(f"{where} has {error}")
        self.box.extend(box)
        self.area.append(area)
        self.iscrowd.append(iscrowd)
        self.take_mask(entry.get("segmentation"), number, where)
        try:
            text = json.dumps(entry, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
        except ValueError:
            self.fail(f"{where} holds a number beyond the range of a double")
        self.annotation.append(text.encode("ascii"))

    def take_mask(self, segmentation: Any, number: int, where: str) -> None:
        if not isinstance(segmentation, dict):
            return
        size = segmentation.get("size")
        sides = [as_int64(side) for side in size] if isinstance(size, list) else []
        if len(sides) != 2 or None in sides:
            self.fail(f"{where} has a mask of size {brief(size)}, not [height, width]")
        known = [side for side in sides if side is not None and 0 < side <= LARGEST_SIDE]
        if len(known) != 2:
            self.fail(f"{where} has a mask of size {brief(size)}, which no image has")
        self.masks.extend([number, *known])

    def columns(self) -> Annotations:
        columns = Annotations(
            categories=self.categories,
            image_id=np.array(self.image_id, np.int64),
            file_name=self.file_name,
            size=np.array(self.size, np.int32).reshape(-1, 2),
            object_image=np.array(self.object_image, np.int64),
            category=np.array(self.category, np.int64),
            box=np.array(self.box, np.float64).reshape(-1, 4),
            area=np.array(self.area, np.float64),
            iscrowd=np.array(self.iscrowd, bool),
            annotation_id=np.array(self.annotation_id, np.int64),
            annotation=self.annotation,
        )
        if len(columns.image_id) == 0:
            self.fail("it lists no images")
        self.check_unique("image", "id", columns.image_id)
        self.check_unique("image", "file_name", np.array(self.file_name, object))
        self.check_unique("annotation", "id", columns.annotation_id)
        self.check_categories(columns)
        self.check_masks(columns)
        return columns

    def check_unique(self, kind: str, key: str, values: np.ndarray) -> None:
        in_order = np.sort(values)
        twice = in_order[1:][in_order[1:] == in_order[:-1]]
        if len(twice):
            repeat = "repeats" if len(twice) == 1 else "repeat"
            count = plural(len(twice), kind)
            self.fail(f"{count} {repeat} the {key} of another, first {twice[0]}")

    def check_categories(self, columns: Annotations) -> None:
        known = np.isin(columns.category, np.array(list(self.categories), np.int64), kind="sort")
        if not known.all():
            number = int(np.argmin(known))
            self.fail(
                f"annotation number {number} (id {columns.annotation_id[number]}) has category_id"
                f" = {columns.category[number]}, which is none of the {len(self.categories)}"
                " categories"
            )

    def check_masks(self, columns: Annotations) -> None:
        masks = np.array(self.masks, np.int64).reshape(-1, 3)
        row, listed = rows_of(columns.image_id, columns.object_image[masks[:, 0]])
        wrong = listed & (masks[:, 1:] != columns.size[row]).any(axis=1)
        if wrong.any():
            number, height, width = masks[np.argmax(wrong)]
            self.fail(
                f"annotation number {number} (id {columns.annotation_id[number]}) has a mask of"
                f" size [{height}, {width}], but its image has"
                f" {columns.size[row[np.argmax(wrong)]].tolist()}"
            )


def rows_of(ids: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find ids in a list of ids.

    Parameters
    ----------
    ids : ndarray of int64, shape (n,)
        Unique ids, in any order.
    wanted : ndarray of int64, shape (m,)

    Returns
    -------
    row : ndarray of int64, shape (m,)
        Index in ``ids`` of each wanted id; any index if it is not there.
    found : ndarray of bool, shape (m,)
        Whether each wanted id is there.
    """
    if len(ids) == 0:
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), bool)
    order = np.argsort(ids)
    row = order[np.minimum(np.searchsorted(ids, wanted, sorter=order), len(ids) - 1)]
    return row, ids[row] == wanted


def _id(entry: Any) -> str:
    return brief(entry.get("id")) if isinstance(entry, dict) else f"none in {brief(entry)}"
