"""Numbers in JSON as the standard has them: no NaN, no infinity."""

from __future__ import annotations

import math
from typing import NoReturn


def refuse_constant(text: str) -> NoReturn:
    """Refuse ``NaN`` and ``Infinity``, for ``parse_constant`` of `json.loads`.

    Raises
    ------
    ValueError
    """
    raise ValueError(f"{text} is not a number in JSON")


def finite(text: str) -> float:
    """Return a finite number, for ``parse_float`` of `json.loads`.

    Raises
    ------
    ValueError
        The number is too large for a float.
    """
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is too large for a float")
    return value
