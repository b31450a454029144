"""Strict reading of a split's attributes, which may come from anyone.

Each function raises `KeyError`, `TypeError` or `ValueError`, and `SplitAttributes.from_dict` makes
one named error of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from freqprep.spectrum.channels import CHANNELS, NAMES
from freqprep.store.row_order import WINDOW_ROWS

_CONTENT_ID = re.compile("[0-9a-f]{64}")


def refuse_other_keys(data: Mapping[str, Any]) -> None:
    """Refuse keys of a newer format than is stated, and attributes that lack those of theirs."""
    older, stated = str(data["format_version"]) == "1.0", data["quantization"]
    for where, name in ((stated, "codes"), (stated, "steps"), (data, "compression")):
        if (name in where) == older:
            raise ValueError(f"{name} in format 1.0" if older else f"no {name}")
    if older and ("packed" in data or len(data["channels"]) != CHANNELS):
        raise ValueError("a packed split, or some of the channels, in format 1.0")
    if "window" in data["order"] and data["format_version"] in ("1.0", "1.1"):
        raise ValueError(f"windows of rows in format {data['format_version']}")


def typed(data: Mapping[str, Any], name: str, kind: type) -> Any:
    """Return a value that is of exactly one type: true is no number, and "17" is none."""
    value = data[name]
    if type(value) is not kind:
        raise TypeError(f"{name} is {value!r:.60}, not of type {kind.__name__}")
    return value


def number(data: Mapping[str, Any], name: str) -> int:
    """Return a whole number from 0 on."""
    value: int = typed(data, name, int)
    if value < 0:
        raise ValueError(f"{name} is {value}")
    return value


def texts(data: Mapping[str, Any], name: str) -> dict[str, str]:
    """Return an object whose values are texts."""
    found: dict[str, str] = typed(data, name, dict)
    for key in found:
        typed(found, key, str)
    return dict(found)


def hexadecimal(data: Mapping[str, Any], name: str) -> str:
    """Return a content id."""
    value: str = typed(data, name, str)
    if not _CONTENT_ID.fullmatch(value):
        raise ValueError(f"{name} is {value!r:.60}, not 64 hexadecimal digits")
    return value


def channels_of(data: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the raster indices of the channels named in ``channels``."""
    names = typed(data, "channels", list)
    if unknown := [name for name in names if name not in NAMES]:
        raise ValueError(f"there is no channel {unknown[0]!r:.60}")
    return tuple(NAMES.index(name) for name in names)


def level_of(data: Mapping[str, Any], default: int) -> int:
    """Return the level of zstd in ``compression``; a default without it."""
    if "compression" not in data:
        return default
    compression = typed(data, "compression", dict)
    if compression["codec"] != "zstd":
        raise ValueError(f"the codec is {compression['codec']!r:.60}, not zstd")
    return number(compression, "level")


def window_of(data: Mapping[str, Any]) -> int | None:
    """Return the rows of a window of the order of rows; None without windows."""
    if "window" not in data["order"]:
        return None
    if (window := number(data["order"], "window")) != WINDOW_ROWS:
        raise ValueError(f"windows of {window} rows, not of {WINDOW_ROWS}")
    return window


def check_classes(classes: Mapping[str, Any]) -> None:
    """Refuse classes that are not ids, texts or whole numbers, with a name each."""
    ids, names = (typed(classes, name, list) for name in ("ids", "names"))
    if not all(type(one) in (str, int) for one in ids):
        raise TypeError("a class id is neither a text nor a whole number")
    if len(ids) != len(names) or not all(isinstance(name, str) for name in names):
        raise ValueError("the classes do not have a name each")
