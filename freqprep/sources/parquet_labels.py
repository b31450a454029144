"""Labels of tables, as numbers or texts, as indices into classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from freqprep.errors import SourceError, some
from freqprep.sources.class_ids import MOST_CLASSES, classes_of, numbered_classes
from freqprep.sources.listing import Classes
from freqprep.sources.parquet_file import arrow
from freqprep.storage.scratch import each

if TYPE_CHECKING:
    import pyarrow as pa

_UNLABELLED = -1

ItemT = TypeVar("ItemT")


class Values(NamedTuple):
    """Labels of one file as they are there.

    Attributes
    ----------
    where : str
        The file, for messages.
    values : ChunkedArray
        Numbers or texts; null, -1 or an empty text is no label.
    """

    where: str
    values: pa.ChunkedArray


class Indexed(NamedTuple):
    """Labels as indices into classes.

    Attributes
    ----------
    classes : Classes
    labels : sequence of ndarray of int64
        Index of each label of each file; -1 for none.
    """

    classes: Classes
    labels: Sequence[np.ndarray]


def index_labels(
    files: Sequence[Values], numbered: bool, names: Sequence[str] | None, named_in: str
) -> Indexed:
    """Return the labels of images, as indices into classes.

    Parameters
    ----------
    files : sequence of Values
    numbered : bool
        Whether labels are numbers: the indices themselves. Texts are sorted.
    names : sequence of str or None
        Names of the classes in label order.
    named_in : str
        File that has the names, for messages.

    Returns
    -------
    Indexed

    Raises
    ------
    SourceError
        A label has no name, is negative or too large, or there are no labels.
    """
    if not numbered:
        texts, labels = _texts(files, names, named_in)
        return Indexed(classes_of(_some(texts, files)), labels)
    labels = each(map(_numbers, files), np.int64)
    _refuse_below(files, labels, _UNLABELLED)
    largest = [int(part.max(initial=_UNLABELLED)) for part in labels]
    where = files[int(np.argmax(largest))].where
    if names is None:
        _some(list(filter(lambda label: label >= 0, largest)), files)
    return Indexed(numbered_classes(max(largest), names, where), labels)


def index_categories(
    files: Sequence[Values], numbered: bool, names: Sequence[str] | None, named_in: str
) -> Indexed:
    """Return the categories of objects, as indices into classes whose ids are numbers.

    Numbers with names are indices into these. Numbers without are ids themselves, as COCO's are.
    Texts are sorted, and numbered from 0. Parameters and errors are those of `index_labels`.
    """
    if not numbered:
        texts, labels = _texts(files, names, named_in)
        return Indexed(Classes(tuple(range(len(texts))), tuple(_some(texts, files))), labels)
    numbers = [_numbers(file) for file in files]
    if names is not None:
        _refuse_below(files, numbers, _UNLABELLED)
        for (where, _), part in zip(files, numbers, strict=True):
            numbered_classes(int(part.max(initial=_UNLABELLED)), names, where)
        return Indexed(Classes(tuple(range(len(names))), tuple(names)), numbers)
    distinct = np.unique(np.concatenate([np.unique(part) for part in numbers]))
    distinct = distinct[distinct != _UNLABELLED]
    ids = tuple(_some(distinct.tolist(), files))
    labels = [
        np.where(part == _UNLABELLED, _UNLABELLED, np.searchsorted(distinct, part))
        for part in numbers
    ]
    return Indexed(Classes(ids, tuple(map(str, ids))), labels)


def _some(found: Sequence[ItemT], files: Sequence[Values]) -> Sequence[ItemT]:
    """Return what was found; raise `SourceError` if that is nothing."""
    if not found:
        raise SourceError(
            f"no row of {some([file.where for file in files])} has a label",
            "name the column of the labels with --label-column",
        )
    return found


def _numbers(file: Values) -> np.ndarray:
    try:
        whole = arrow().compute.fill_null(file.values.cast(arrow().int64()), _UNLABELLED)
    except arrow().ArrowInvalid as error:
        raise SourceError(
            f"{file.where} has labels that are no numbers of 64 bits: {error}",
            "name the column of the labels with --label-column",
        ) from error
    numbers: np.ndarray = whole.to_numpy().astype(np.int64)
    return numbers


def _refuse_below(files: Sequence[Values], labels: Sequence[np.ndarray], least: int) -> None:
    for (where, _), part in zip(files, labels, strict=True):
        if len(part) and (lowest := int(part.min())) < least:
            raise SourceError(
                f"{where}, label number {int(np.argmin(part))}: {lowest}; labels are numbers from"
                f" 0, and {_UNLABELLED} where there is none",
                "name another column with --label-column, or write texts",
            )


def _texts(
    files: Sequence[Values], names: Sequence[str] | None, named_in: str
) -> tuple[Sequence[str], Sequence[np.ndarray]]:
    """Return the texts that are classes, in order, and the index of each label."""
    known = [_dictionary(_encoded(file)) for file in files]
    if names is None:
        names = sorted({text for texts in known for text in texts if text})
        if len(names) > MOST_CLASSES:
            raise SourceError(
                f"{files[0].where} and the files with it have {len(names)} texts as labels, such as"
                f" {names[0]!r}; classes are at most {MOST_CLASSES}",
                "name another column with --label-column",
            )
    if len(set(names)) < len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise SourceError(
            f"{named_in} has the class name {twice!r} twice, and labels are texts",
            "give each class a name of its own",
        )
    index_of = {"": _UNLABELLED, **{name: index for index, name in enumerate(names)}}
    for (where, _), texts in zip(files, known, strict=True):
        unknown = [text for text in texts if text not in index_of]
        if unknown:
            raise SourceError(
                f"{where}: the label {unknown[0]!r} is not one of the {len(names)} names of classes"
                f" in {named_in}",
                "give all names with --class-names FILE",
            )
    return names, each((_indices(file, index_of) for file in files), np.int64)


def _encoded(file: Values) -> pa.DictionaryArray:
    return file.values.combine_chunks().dictionary_encode()


def _dictionary(part: pa.DictionaryArray) -> list[str]:
    return [text or "" for text in part.dictionary.to_pylist()]


def _indices(file: Values, index_of: Mapping[str, int]) -> np.ndarray:
    part = _encoded(file)
    lookup = np.array([*map(index_of.__getitem__, _dictionary(part)), _UNLABELLED], np.int64)
    indices = part.indices.cast(arrow().int64())
    missing = len(lookup) - 1
    labels: np.ndarray = lookup[arrow().compute.fill_null(indices, missing).to_numpy()]
    return labels
