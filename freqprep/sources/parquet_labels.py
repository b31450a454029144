"""Labels of tables, as numbers or texts, as indices into classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from freqprep.errors import SourceError, some
from freqprep.sources.parquet_file import arrow

if TYPE_CHECKING:
    import pyarrow as pa

_UNLABELLED = -1


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
    """Labels as indices.

    Attributes
    ----------
    names : tuple of str
        Name of each class; not always unique.
    numbers : tuple of int
        Number of each class in the files; the index, where classes have names.
    labels : list of ndarray of int64
        Index of each label of each file; -1 for none.
    """

    names: tuple[str, ...]
    numbers: tuple[int, ...]
    labels: list[np.ndarray]


def index_labels(
    files: Sequence[Values], numbered: bool, names: tuple[str, ...] | None, named_in: str
) -> Indexed:
    """Return labels as indices into classes.

    Parameters
    ----------
    files : sequence of Values
    numbered : bool
        Whether labels are numbers.
    names : tuple of str or None
        Names of the classes in label order. Without them classes are the numbers or texts that
        occur, sorted.
    named_in : str
        File that has the names, for messages.

    Returns
    -------
    Indexed

    Raises
    ------
    SourceError
        A label has no name, or there are no labels.
    """
    found = _numbers(files, names, named_in) if numbered else _texts(files, names, named_in)
    if not found.names:
        raise SourceError(
            f"no row of {some([file.where for file in files])} has a label",
            "name the column of the labels with --label-column",
        )
    return found


def _numbers(files: Sequence[Values], names: tuple[str, ...] | None, named_in: str) -> Indexed:
    compute = arrow().compute
    labels = []
    for where, values in files:
        try:
            whole = compute.fill_null(values.cast(arrow().int64()), _UNLABELLED)
        except arrow().ArrowInvalid as error:
            raise SourceError(
                f"{where} has labels that are no numbers of 64 bits: {error}",
                "name the column of the labels with --label-column",
            ) from error
        labels.append(whole.to_numpy().astype(np.int64))
    if names is None:
        distinct = np.unique(np.concatenate([np.unique(part) for part in labels]))
        distinct = distinct[distinct != _UNLABELLED]
        indexed = [
            np.where(part == _UNLABELLED, _UNLABELLED, np.searchsorted(distinct, part))
            for part in labels
        ]
        numbers = tuple(distinct.tolist())
        return Indexed(tuple(map(str, numbers)), numbers, indexed)
    for (where, _), part in zip(files, labels, strict=True):
        wrong = (part < _UNLABELLED) | (part >= len(names))
        if wrong.any():
            row = int(np.argmax(wrong))
            raise _no_name(f"{where}, row {row}: label {part[row]}", names, named_in)
    return Indexed(names, tuple(range(len(names))), labels)


def _texts(files: Sequence[Values], names: tuple[str, ...] | None, named_in: str) -> Indexed:
    encoded = [values.combine_chunks().dictionary_encode() for _, values in files]
    known = [_dictionary(part) for part in encoded]
    if names is None:
        names = tuple(sorted({text for texts in known for text in texts if text}))
    index_of = {"": _UNLABELLED, **{name: index for index, name in enumerate(names)}}
    labels = []
    for (where, _), part, texts in zip(files, encoded, known, strict=True):
        unknown = [text for text in texts if text not in index_of]
        if unknown:
            raise _no_name(f"{where}: the label {unknown[0]!r}", names, named_in)
        lookup = np.array([*(index_of[text] for text in texts), _UNLABELLED], np.int64)
        indices = arrow().compute.fill_null(_indices(part), len(texts))
        labels.append(lookup[indices.to_numpy(zero_copy_only=False)])
    return Indexed(names, tuple(range(len(names))), labels)


def _dictionary(part: pa.DictionaryArray) -> list[str]:
    return [text or "" for text in part.dictionary.to_pylist()]


def _indices(part: pa.DictionaryArray) -> pa.Array:
    return part.indices.cast(arrow().int64())


def _no_name(what: str, names: Sequence[str], named_in: str) -> SourceError:
    return SourceError(
        f"{what} is not one of the {len(names)} names of classes in {named_in}",
        "give all names in label order with --class-names FILE",
    )
