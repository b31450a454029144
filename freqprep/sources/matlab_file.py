"""Reader of structs in MATLAB's files of version 5, which may come from anyone.

It reads one variable, of texts and numbers, and takes no more memory than the file, unpacked, has:
scipy's reader, in C, crashes on some damaged files. Layout: MathWorks, "MAT-File Format", 1999.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np

MOST_BYTES = 2**26
"""Length of a variable, unpacked, at most."""

_HEADER_BYTES = 128
_MATRIX, _COMPRESSED = 14, 15
_STRUCT, _TEXT = 2, 4  # classes of arrays; numbers are from 6 on
_NUMBERS = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
_ENCODINGS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}


class _Element(NamedTuple):
    kind: int
    data: bytes


def read_structs(
    data: bytes, variable: str, fields: Sequence[str]
) -> list[tuple[str | float | None, ...]]:
    """Read some fields of an array of structs.

    Parameters
    ----------
    data : bytes
        The whole file.
    variable : str
    fields : sequence of str

    Returns
    -------
    list of tuple
        Values of the fields, of each struct: a text, the first of its numbers, or None.

    Raises
    ------
    ValueError
        The file is no such file, is damaged, or has no such variable or field.
    """
    orders = {b"IM": "<", b"MI": ">"}
    if (order := orders.get(data[_HEADER_BYTES - 2 : _HEADER_BYTES], "")) == "":
        raise ValueError("it is not a MATLAB file of version 5")
    for element in _elements(data[_HEADER_BYTES:], order):
        matrix = element
        if element.kind == _COMPRESSED:
            (matrix, *_) = [*_elements(_unpacked(element.data), order), None]
        if matrix is None or matrix.kind != _MATRIX:
            continue
        parts = _elements(matrix.data, order)
        kind, lengths, name = _head(parts, order)
        if name == variable and kind == _STRUCT:
            return list(_rows(parts, math.prod(lengths), fields, order))
    raise ValueError(f"it has no array of structs {variable!r}")


def _elements(data: bytes, order: str) -> Iterator[_Element]:
    """Yield the elements that bytes consist of."""
    at = 0
    while at + 8 <= len(data):
        kind, length = struct.unpack_from(f"{order}II", data, at)
        begin = at + 8
        if kind >> 16:  # up to four bytes, in place of their length
            kind, length, begin = kind & 0xFFFF, kind >> 16, at + 4
            at = begin + 4
        else:
            at = begin + length + (-length % 8 if kind != _COMPRESSED else 0)
        if begin + length > len(data):
            raise ValueError(f"an element of {length} bytes, where {len(data) - begin} are left")
        yield _Element(kind, data[begin : begin + length])


def _unpacked(data: bytes) -> bytes:
    stream = zlib.decompressobj()
    try:
        content = stream.decompress(data, MOST_BYTES)
    except zlib.error as error:
        raise ValueError(f"it cannot be unpacked: {error}") from None
    if stream.unconsumed_tail:
        raise ValueError(f"a variable of more than {MOST_BYTES} bytes")
    return content


def _head(parts: Iterator[_Element], order: str) -> tuple[int, list[int], str]:
    """Return class, lengths and name of an array; what follows depends on the class."""
    try:
        flags, lengths, name = (part.data for part in islice(parts, 3))
        (kind,) = struct.unpack_from(f"{order}I", flags)
        sides = np.frombuffer(lengths, f"{order}i4").tolist()
    except (ValueError, struct.error):
        raise ValueError("an array without a head") from None
    if any(side < 0 for side in sides):
        raise ValueError(f"an array of {sides}")
    return kind & 0xFF, sides, name.decode("latin-1")


def _rows(
    parts: Iterator[_Element], count: int, wanted: Sequence[str], order: str
) -> Iterator[tuple[str | float | None, ...]]:
    """Yield the wanted values of each struct; there are no more than there are elements."""
    longest, joined = next(parts, None), next(parts, None)
    if longest is None or joined is None or len(longest.data) < 4:
        raise ValueError("structs without fields")
    (width,) = struct.unpack_from(f"{order}I", longest.data)
    width = min(max(width, 1), len(joined.data) or 1)
    pieces = [joined.data[at : at + width] for at in range(0, len(joined.data), width)]
    names = [piece.partition(b"\0")[0].decode("latin-1") for piece in pieces]
    if missing := [name for name in wanted if name not in names]:
        raise ValueError(f"its structs have no field {missing[0]!r}")
    for _ in range(count):
        found = {}
        for name in names:
            if (element := next(parts, None)) is None:
                raise ValueError(f"fewer than {count} structs")
            if name in wanted:
                found[name] = _value(element, order)
        yield tuple(found[name] for name in wanted)


def _value(element: _Element, order: str) -> str | float | None:
    """Return a text, or the first of numbers; None of anything else, and where there is nothing."""
    if element.kind != _MATRIX or not element.data:
        return None
    parts = _elements(element.data, order)
    kind, _, _ = _head(parts, order)
    content = next(parts, None)
    if content is None or not content.data:
        return None
    if kind == _TEXT:
        encoding = _ENCODINGS.get(content.kind, "latin-1")
        suffix = {"<": "-le", ">": "-be"}[order] if encoding in ("utf-16", "utf-32") else ""
        return content.data.decode(encoding + suffix, "replace")
    if kind < 6 or content.kind not in _NUMBERS:
        return None
    numbers = np.dtype(f"{order}{_NUMBERS[content.kind]}")
    if len(content.data) < numbers.itemsize:
        return None
    return float(np.frombuffer(content.data, numbers, 1)[0])
