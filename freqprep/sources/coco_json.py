"""Reader of the top-level arrays of a large JSON object, one element at a time.

The annotations of COCO's train2017 are 450 MB of text and several gigabytes as Python objects; one
element at a time, they take hardly more than the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from freqprep.storage.strict_json import parse_at

_SPACE = re.compile(r"[ \t\n\r]*")

Take = Callable[[Any], None]
"""Function of an element of an array."""


def read_arrays(text: str, take: Mapping[str, Take]) -> set[str]:
    """Call a function for each element of named top-level arrays, in the order of the text.

    Parameters
    ----------
    text : str
        JSON text.
    take : mapping of str to callable
        Key of the top-level object -> function of one element. Other keys are skipped.

    Returns
    -------
    set of str
        Keys of the top-level object.

    Raises
    ------
    json.JSONDecodeError
        The text is not JSON, its top level is not an object, or the value of a named key is not
        an array.
    """
    keys: set[str] = set()
    at = _expect(text, _skip(text, 0), "{", "an object at the top level")
    if text[at : at + 1] != "}":
        while True:
            key, start = _decode(text, at)
            if not isinstance(key, str) or key in keys:
                raise json.JSONDecodeError(f"{key!r} is not a new key", text, at)
            keys.add(key)
            at = _expect(text, start, ":", "':'")
            at = _read_array(text, at, key, take[key]) if key in take else _decode(text, at)[1]
            if text[at : at + 1] != ",":
                break
            at = _skip(text, at + 1)
    at = _expect(text, at, "}", "',' or '}'")
    if at != len(text):
        raise json.JSONDecodeError("Extra data", text, at)
    return keys


def _read_array(text: str, at: int, key: str, take: Take) -> int:
    at = _expect(text, at, "[", f"an array as {key!r}")
    if text[at : at + 1] == "]":
        return _skip(text, at + 1)
    while True:
        element, at = _decode(text, at)
        take(element)
        if text[at : at + 1] != ",":
            return _expect(text, at, "]", "',' or ']'")
        at = _skip(text, at + 1)


def _decode(text: str, at: int) -> tuple[Any, int]:
    value, end = parse_at(text, at)
    return value, _skip(text, end)


def _expect(text: str, at: int, letter: str, what: str) -> int:
    if text[at : at + 1] != letter:
        raise json.JSONDecodeError(f"expecting {what}", text, at)
    return _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    return _SPACE.match(text, at).end()  # type: ignore[union-attr]  # matches everywhere
