"""Layout of text for terminals: width, wrapping, shortening, tables."""

from __future__ import annotations

import re
import shutil
import unicodedata
from collections.abc import Iterable, Sequence

_COLUMNS = 80
_NARROWEST = 8
_ELLIPSIS = "..."
_ESCAPES = re.compile(r"\\(?:[nrt]|x[0-9a-f]{2}|u[0-9a-f]{4}|U000[0-9a-f]{5}|U0010[0-9a-f]{4})")


def columns_of_terminal() -> int:
    """Return the width of the terminal, or 80 if there is none."""
    return shutil.get_terminal_size((_COLUMNS, 24)).columns


def width(text: str) -> int:
    """Return the columns of a text: two for East Asian wide letters, none for combining ones."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(unicodedata.combining(letter) > 0 for letter in text)


def on_one_line(text: str) -> str:
    r"""Escape what cannot be printed: control characters, line ends, bytes that are not UTF-8.

    These bytes are ``\xNN``, as in file names that Python reads; `read_escapes` is the way back.
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else _escape(letter) for letter in text)


def _escape(letter: str) -> str:
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, as `surrogateescape` keeps it
        return f"\\x{code - 0xDC00:02x}"
    if 0x80 <= code <= 0xFF:
        return f"\\u{code:04x}"
    return letter.encode("unicode_escape").decode()


def read_escapes(text: str) -> str:
    """Return the text that `on_one_line`, or JSON, has so; other backslashes stay."""
    pairs = _ESCAPES.sub(_unescape, text).encode("utf-16", "surrogatepass")  # as JSON has them
    return pairs.decode("utf-16", "surrogatepass")


def _unescape(escape: re.Match[str]) -> str:
    if escape[0][1] == "x" and escape[0][2] > "7":
        return chr(0xDC00 + int(escape[0][2:], 16))
    return escape[0].encode().decode("unicode_escape")


def quoted(text: str) -> str:
    """Return text on one line in quotes, for names that may have spaces or no letters at all."""
    quote = '"' if "'" in text else "'"
    return f"{quote}{on_one_line(text)}{quote}"


def shortened(text: str, most: int) -> str:
    """Shorten text to one line, leaving out its middle.

    Two thirds of the rest are from the end, which has the file of a path.

    Parameters
    ----------
    text : str
    most : int
        Largest width in columns, at least 4.

    Returns
    -------
    str
    """
    text = on_one_line(text)
    if width(text) <= most:
        return text
    tail = _beginning(text[::-1], max((most - len(_ELLIPSIS)) * 2 // 3, 1))[::-1]
    return _beginning(text, most - len(_ELLIPSIS) - width(tail)) + _ELLIPSIS + tail


def _beginning(text: str, most: int) -> str:
    """The first letters, as many as fit."""
    used = 0
    for number, letter in enumerate(text):
        used += width(letter)
        if used > most:
            return text[:number]
    return text


def wrapped(text: str, most: int, hang: str = "") -> list[str]:
    """Wrap text into lines of whole words; a word that is too wide has its own line.

    Parameters
    ----------
    text : str
    most : int
        Largest width of a line, columns.
    hang : str
        Prefix of the lines after the first.

    Returns
    -------
    list of str
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
    """Wrap a sentence to the width of the terminal.

    Parameters
    ----------
    text : str
        Text; leading spaces indent all lines.
    hang : str
        Prefix of the lines after the first, after the indent.

    Returns
    -------
    str
    """
    words = on_one_line(text).strip(" ")
    indent = " " * (len(text) - len(text.lstrip(" ")))
    lines = wrapped(words, columns_of_terminal() - len(indent), hang)
    return "\n".join(indent + line for line in lines)


def table(rows: Iterable[tuple[str, str]], most: int | None = None) -> str:
    """Lay out two aligned columns; values that are too wide continue below.

    Parameters
    ----------
    rows : iterable of (str, str)
    most : int, optional
        Largest width of a line; the terminal's by default.

    Returns
    -------
    str
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
    """Lay out a table, its first column left-aligned, the others right-aligned.

    If it is too wide, the names in the first column are shortened in their middle.

    Parameters
    ----------
    heads : sequence of str
        Column heads; empty for a table without heads.
    rows : sequence of sequence of str
    most : int, optional
        Largest width of a line; the terminal's by default.

    Returns
    -------
    str
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
