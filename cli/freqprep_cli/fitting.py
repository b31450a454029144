"""Text that fits a terminal of 80 columns, whatever names are in it."""

from __future__ import annotations

import textwrap
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

from freqprep_cli.output import on_one_line

WIDTH = 80
"""Columns of a terminal."""

_DOTS = "..."


def columns_of(text: str) -> int:
    """Columns that printable text takes on a terminal: wide letters take two, marks none."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(unicodedata.combining(letter) > 0 for letter in text)


def shortened(text: str, room: int) -> str:
    """Text on one line, its middle left out where it takes more columns than there are.

    Two thirds of what is kept are its end: the file of a path.
    """
    text = on_one_line(text)
    if columns_of(text) <= room:
        return text
    tail = _taken(text[::-1], max((room - len(_DOTS)) * 2 // 3, 1))[::-1]
    return _taken(text, max(room - len(_DOTS) - columns_of(tail), 0)) + _DOTS + tail


def _taken(text: str, room: int) -> str:
    """As many of the first letters as fit."""
    used = 0
    for number, letter in enumerate(text):
        used += columns_of(letter)
        if used > room:
            return text[:number]
    return text


def in_two_columns(rows: Iterable[tuple[str, str]]) -> str:
    """Names and values; a value that does not fit goes on below, at spaces."""
    rows = list(rows)
    width = max(len(name) for name, _ in rows)
    lines = []
    for name, value in rows:
        parts = textwrap.wrap(
            value, WIDTH - width - 4, break_long_words=False, break_on_hyphens=False
        )
        lines += [
            f"  {name if first else '':<{width}}  {part}".rstrip()
            for first, part in zip([True] + [False] * len(parts), parts or [""], strict=False)
        ]
    return "\n".join(lines)


def wrapped(text: str, hang: str = "  ") -> str:
    """A sentence on as many lines as it takes; those after the first begin with ``hang``."""
    indent = " " * (len(text) - len(text.lstrip(" ")))
    lines = textwrap.wrap(
        on_one_line(text.strip(" ")),
        WIDTH - len(indent),
        subsequent_indent=hang,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(indent + line for line in lines)


def unique_names(ids: Sequence[str | int], names: Sequence[str]) -> list[str]:
    """Names of classes; of those that share one (ImageNet's two cranes) each has its id as well."""
    times = Counter(names)
    return [
        name if times[name] == 1 else f"{name} ({class_id})"
        for class_id, name in zip(ids, names, strict=True)
    ]
