"""Text for people: numbers with units, durations, and what fits the terminal on its lines."""

from __future__ import annotations

import shutil
import unicodedata
from collections.abc import Iterable, Sequence

_COLUMNS = 80
_NARROWEST = 8
_ELLIPSIS = "..."


def columns_of_terminal() -> int:
    """Columns that text may take: the terminal's, or 80 where there is none."""
    return shutil.get_terminal_size((_COLUMNS, 24)).columns


def width(text: str) -> int:
    """Columns that a text takes: East Asian wide letters take two, combining ones none."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(unicodedata.combining(letter) > 0 for letter in text)


def on_one_line(text: str) -> str:
    """Text in which what cannot be printed is escaped: controls, line ends, lone surrogates."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def shortened(text: str, most: int) -> str:
    """Text on one line, its middle left out where it takes more columns than there are.

    Two thirds of what is kept are its end: the file of a path.

    Parameters
    ----------
    text : str
    most : int
        Columns that it may take, at least 4.
    """
    text = on_one_line(text)
    if width(text) <= most:
        return text
    tail = _beginning(text[::-1], max((most - len(_ELLIPSIS)) * 2 // 3, 1))[::-1]
    return _beginning(text, most - len(_ELLIPSIS) - width(tail)) + _ELLIPSIS + tail


def _beginning(text: str, most: int) -> str:
    """As many of the first letters as fit."""
    used = 0
    for number, letter in enumerate(text):
        used += width(letter)
        if used > most:
            return text[:number]
    return text


def wrapped(text: str, most: int, hang: str = "") -> list[str]:
    """Lines of whole words; a word that is too wide has a line of its own.

    Parameters
    ----------
    text : str
    most : int
        Columns that a line may take.
    hang : str
        What the lines after the first begin with.
    """
    first, *rest = text.split(" ")
    lines = [first]
    for word in rest:
        if width(lines[-1]) + 1 + width(word) <= most:
            lines[-1] += f" {word}"
        else:
            lines.append(hang + word)
    return lines


def paragraph(text: str, hang: str = "  ") -> str:
    """A sentence for stdout, on as many lines as it takes.

    Parameters
    ----------
    text : str
        Spaces that it begins with indent all of its lines.
    hang : str
        What the lines after the first begin with, behind the indent.
    """
    words = on_one_line(text).strip(" ")
    indent = " " * (len(text) - len(text.lstrip(" ")))
    lines = wrapped(words, columns_of_terminal() - len(indent), hang)
    return "\n".join(indent + line for line in lines)


def table(rows: Iterable[tuple[str, str]], most: int | None = None) -> str:
    """Two aligned columns; what is too wide for its line goes on below, and nothing is lost.

    Parameters
    ----------
    rows : iterable of (str, str)
    most : int, optional
        Columns that a line may take; those of the terminal by default.
    """
    rows = [(on_one_line(name), on_one_line(value)) for name, value in rows]
    most = columns_of_terminal() if most is None else most
    names = max((width(name) for name, _ in rows), default=0)
    lines = []
    for name, value in rows:
        room = most - names - 4
        first, *rest = wrapped(value, room)
        if max(map(width, (first, *rest))) > room:  # a long path or hash, on a line of its own
            lines += [f"  {name}", *(f"    {line}" for line in wrapped(value, most - 4))]
            continue
        lines.append(f"  {_padded(name, names)}  {first}".rstrip())
        lines += [f"  {'':{names}}  {line}" for line in rest]
    return "\n".join(lines)


def columns(heads: Sequence[str], rows: Sequence[Sequence[str]], most: int | None = None) -> str:
    """A table: the first column to the left, the others to the right; perhaps without heads.

    Where it is too wide, the names in the first column are shortened in their middle.

    Parameters
    ----------
    heads : sequence of str
        Empty for a table without them.
    rows : sequence of sequence of str
    most : int, optional
        Columns that a line may take; those of the terminal by default.
    """
    lines = [list(map(on_one_line, line)) for line in ([heads, *rows] if heads else rows)]
    most = columns_of_terminal() if most is None else most
    widths = [max(map(width, column)) for column in zip(*lines, strict=True)]
    room = most - 2 - sum(2 + other for other in widths[1:])
    if widths and widths[0] > room:
        widths[0] = max(room, _NARROWEST)
    return "\n".join(
        "  "
        + "  ".join(
            _padded(shortened(cell, at_most), at_most)
            if number == 0
            else f"{'':{at_most - width(cell)}}{cell}"
            for number, (cell, at_most) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _padded(text: str, to: int) -> str:
    return text + " " * (to - width(text))
