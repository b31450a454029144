"""Labels of the samples of tar shards, in small files beside each image: ``.cls``, ``.json``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from freqprep.errors import SourceError, some
from freqprep.sources.files import shown
from freqprep.storage.strict_json import parse

Label: TypeAlias = int | str
"""Number of a class, or its name."""

LARGEST_PART = 2**20
"""Most bytes of a file with a label."""

FIELDS = ("label", "cls", "class_id", "class", "class_name")
"""Fields of a ``.json`` that are taken for the label, the first that is there."""

_MOST_DIGITS = 18
_SHOWN = 60
_REMEDY = "correct it, or name what holds the class with --label-column"


class LabelRule:
    """Where the label of a sample is.

    Parameters
    ----------
    column : str or None
        ``cls`` or ``txt`` for the file with that suffix, whose content is the label; else a field
        of the ``.json``. By default ``.cls``, or one of `FIELDS`; a ``.txt`` is mostly a caption.
        ``.cls`` and ``.txt`` with their dots are the files, too.
    """

    def __init__(self, column: str | None) -> None:
        if column in (".cls", ".txt"):
            column = column[1:]
        self.column = column
        self.parts = ("cls", "json") if column is None else (_part(column),)
        """Suffixes of the files that may hold it, the first that is there."""

    @property
    def holder(self) -> str:
        """Name of what holds the label of a sample, for messages."""
        suffix = self.parts[0]
        field = f" with the field {self.column!r}" if suffix == "json" else ""
        return f"a .{suffix}{field}"

    def label(self, parts: Mapping[str, bytes], where: object) -> Label | None:
        """Return the label of a sample; None if it has none.

        Parameters
        ----------
        parts : mapping of str to bytes
            Content of the sample's files with one of `parts`, by suffix.
        where : object
            The sample, whose text names it in messages.

        Returns
        -------
        int, str or None

        Raises
        ------
        SourceError
            What holds it is malformed, or holds something else.
        """
        for suffix in self.parts:
            if suffix in parts:
                return _READ[suffix](parts[suffix], self.column, where)
        return None


def _part(column: str) -> str:
    return column if column in ("cls", "txt") else "json"


def _number(data: bytes, column: str | None, where: object) -> int:
    text = data.strip()
    # isdigit of bytes knows ASCII digits alone; more of them than fit are no class either.
    if not text.isdigit() or len(text) > _MOST_DIGITS:
        raise SourceError(f"{where}.cls: {shown(text[:_SHOWN])!r} is not a number from 0", _REMEDY)
    return int(text)


def _text(data: bytes, column: str | None, where: object) -> str:
    try:
        text = data.decode().strip()
    except UnicodeDecodeError:
        raise SourceError(f"{where}.txt is not UTF-8 text", _REMEDY) from None
    if not text:
        raise SourceError(f"{where}.txt is empty", _REMEDY)
    return text


def _field(data: bytes, column: str | None, where: object) -> Label | None:
    try:
        value = parse(data, finite=False)
    except ValueError as error:
        raise SourceError(f"{where}.json is not JSON: {error}", "correct it") from None
    fields = value if isinstance(value, dict) else {}
    name = column or next((field for field in FIELDS if field in fields), None)
    if name is None:
        return None
    if name not in fields:
        there = some(sorted(map(repr, fields))) or "none"
        raise SourceError(f"{where}.json has no field {name!r}", f"name another: there are {there}")
    return _checked(fields[name], name, where)


def _checked(value: object, name: str, where: object) -> Label | None:
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**_MOST_DIGITS:
        return value
    if isinstance(value, str) and (text := value.strip()) and _is_utf8(text):
        return text
    raise SourceError(
        f"{where}.json, field {name!r}: {repr(value)[:_SHOWN]} is not a number from 0 or a name",
        _REMEDY,
    )


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, as \ud800
        return False
    return True


_READ: Mapping[str, Callable[[bytes, str | None, object], Label | None]] = {
    "cls": _number,
    "txt": _text,
    "json": _field,
}
