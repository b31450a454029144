"""Checks of what callers pass: types and ranges, refused by name instead of taken for another."""

from __future__ import annotations

import dataclasses
import functools
import operator
import types
import typing
from typing import Any

import numpy as np

from freqprep.errors import UsageError

_WORDS: dict[Any, str] = {
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    str: "a text",
    type(None): "None",
}


def check_integer(name: str, value: Any, least: int = 1, most: int | None = None) -> int:
    """Return a value as an int.

    Raises
    ------
    UsageError
        The value is no integer, or out of its range; it is named.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least or isinstance(value, bool) or (most is not None and number > most):
        bounds = f", at least {least}" if most is None else f" from {least} to {most}"
        given = f"{name} must be a whole number{bounds}, got {value!r:.80}"
        raise UsageError(given, f"give {least} or more" if most is None else "give one of these")
    return number


def check_flags(**flags: Any) -> None:
    """Check values that must be bools: a text such as ``"no"`` would count as true.

    Raises
    ------
    UsageError
        One is neither True nor False; it is named.
    """
    for name, value in flags.items():
        if not isinstance(value, bool | np.bool_):
            raise UsageError(f"{name} must be True or False, got {value!r:.80}")


def check_fields(request: Any) -> None:
    """Check the fields of a frozen dataclass, in its ``__post_init__``, by their annotations.

    Numbers of NumPy become Python's. Fields of generic types, such as tuples, are left alone.

    Raises
    ------
    UsageError
        A field has a value of another type.
    """
    cls: Any = type(request)
    for name, kinds in _fields(cls).items():
        value = getattr(request, name)
        if isinstance(value, np.generic):
            value = value.item()
            object.__setattr__(request, name, value)
        if not any(_fits(value, kind) for kind in kinds):
            wanted = " or ".join(_WORDS.get(kind, kind.__name__) for kind in kinds)
            raise UsageError(
                f"{name} of {type(request).__name__} must be {wanted}, got {value!r:.80}"
            )


def _fits(value: Any, kind: type) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


@functools.cache
def _fields(request: Any) -> dict[str, tuple[type, ...]]:
    """Return the types that each field may have, without the fields of generic types."""
    hints = typing.get_type_hints(request)
    fields = {}
    for field in dataclasses.fields(request):
        hint = hints[field.name]
        is_union = isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
        kinds = typing.get_args(hint) if is_union else (hint,)
        if all(isinstance(kind, type) and not typing.get_args(kind) for kind in kinds):
            fields[field.name] = kinds
    return fields
