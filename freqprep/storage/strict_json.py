"""The one reader of JSON: the standard's, no deeper and no larger than documents need.

A file may come from anyone. Python's decoder accepts NaN and infinity, keeps the last of two equal
keys, and recurses with the depth of the text: what it just read may then be too deep to be compared
or written. Here each of these is a `ValueError` that says what is wrong.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any, NoReturn

MOST_LEVELS = 32
"""Lists and objects inside each other, at most."""

_MOST_DIGITS = 300
_MOST_SHOWN = 60
_DEEP = f"nested too deeply: more than {MOST_LEVELS} levels"


def parse(data: bytes | str, finite: bool = True) -> Any:
    """Parse a JSON document.

    Parameters
    ----------
    data : bytes or str
        The whole document; bytes in UTF-8, -16 or -32.
    finite : bool
        Whether to refuse NaN and infinity, which other tools write for what they do not know.

    Returns
    -------
    Any
        Keys of an object are distinct.

    Raises
    ------
    ValueError
        It is not JSON, not text, or nested too deeply. The message is one short line.
    """
    try:
        document = json.loads(
            data,
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant if finite else float,
            parse_float=_finite if finite else float,
            parse_int=_short,
        )
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 (byte {error.start})") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ValueError(f"{error.msg} ({where})") from None
    except RecursionError:
        raise ValueError(_DEEP) from None
    marks = (b"[", b"{") if isinstance(data, bytes) else ("[", "{")
    if sum(map(data.count, marks)) > MOST_LEVELS:  # type: ignore[arg-type]  # of one type
        check_levels(document)
    return document


def parse_at(text: str, at: int) -> tuple[Any, int]:
    """Parse one value inside a long text.

    Numbers beyond a double and repeated keys are left to the caller: this reads the gigabyte of
    a large annotation file, and functions for each number would take longer than all the rest.

    Parameters
    ----------
    text : str
    at : int
        Where the value begins.

    Returns
    -------
    value : Any
    end : int
        Where it ends.

    Raises
    ------
    json.JSONDecodeError
        The value is not JSON, or nested too deeply.
    """
    try:
        value, end = _FAST.raw_decode(text, at)
        if text.count("[", at, end) + text.count("{", at, end) > MOST_LEVELS:
            check_levels(value)
    except json.JSONDecodeError:
        raise
    except RecursionError:
        raise json.JSONDecodeError(f"in the value that starts here: {_DEEP}", text, at) from None
    except ValueError as error:
        raise json.JSONDecodeError(f"in the value that starts here: {error}", text, at) from error
    return value, end


def check_levels(document: Any) -> None:
    """Raise `ValueError` if lists and objects are nested deeper than documents may be."""
    layer = [document]
    for _ in range(MOST_LEVELS):
        children: list[Any] = []
        for node in layer:
            if isinstance(node, (list, dict)):
                values = node.values() if isinstance(node, dict) else node
                children += [value for value in values if isinstance(value, (list, dict))]
        layer = children
    if layer:
        raise ValueError(_DEEP)


def _refuse_constant(text: str) -> NoReturn:
    """Refuse ``NaN`` and ``Infinity``."""
    raise ValueError(f"{text} is not a number in JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text:.{_MOST_SHOWN}} is too large for a float")
    return value


def _short(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = next(name for name, count in counts.items() if count > 1)
        raise ValueError(f"the key {twice!r:.{_MOST_SHOWN}} is there twice")
    return found


_FAST = json.JSONDecoder(parse_constant=_refuse_constant)
