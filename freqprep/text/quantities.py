"""Quantities in words: bytes, counts, durations, shares, decibels."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from fractions import Fraction

from freqprep.errors import UsageError

_DIGITS = 4
_AFTER_NOUN = ("without", "whose", "that", "of", "beside", "outside", "not")
_OF_SEVERAL = {"is": "are", "its": "their"}
_LARGEST_PLAIN = 1e6
_SMALLEST_PLAIN = 1e-5


def size(count: float) -> str:
    """Return bytes with a decimal unit."""
    for unit in ("B", "KB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} TB"


def parse_size(text: str) -> int:
    """Read bytes with or without a unit: ``500GB``, ``1.5 TB``, ``64000000``; ``GiB`` is 2**30.

    Raises
    ------
    UsageError
        It is no such text.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(?:([KMGT]?)(I?)B)?", text.strip().upper())
    if found is None:
        raise UsageError(f"{text!r} is no number of bytes", "write for example 500GB or 64MB")
    number, unit, binary = found.groups()
    return int(Fraction(number) * (1024 if binary else 1000) ** " KMGT".index(unit or " "))


def kilobytes(count: float) -> str:
    """Return KB with one decimal, below 1 KB with three."""
    return f"{count:.1f} KB" if count >= 1 else f"{count:.3f} KB"


def counts(numbers: dict[str, int]) -> str:
    """Return ``3 empty, 1 corrupt``, or ``none``."""
    return ", ".join(f"{count} {name}" for name, count in numbers.items()) or "none"


def plural(count: int, noun: str) -> str:
    """Return ``1 shard``, ``1,200 shards``, ``2 classes``, ``2 boxes``."""
    ending = "" if count == 1 else "es" if noun.endswith(("s", "x")) else "s"
    return f"{count:,} {noun}{ending}"


def tally(counted: Mapping[str, int]) -> str:
    """Return ``2 tars without an image, 1 symlink loop``, or ``none``.

    Parameters
    ----------
    counted : mapping of str to int
        By a description of one of them. One that begins with no noun (``of no sample``) stays.

    Returns
    -------
    str
    """
    return ", ".join(_several(count, one) for one, count in counted.items()) or "none"


def _several(count: int, one: str) -> str:
    words = one.split(" ")
    nouns = list(itertools.takewhile(_is_of_noun, words))
    if count == 1 or not nouns:
        return f"{count:,} {one}"
    rest = words[len(nouns) :]
    if rest[:2] in (["that", "is"], ["beside", "its"]):
        rest[1] = _OF_SEVERAL[rest[1]]
    return " ".join([plural(count, " ".join(nouns)), *rest])


def _is_of_noun(word: str) -> bool:
    return word not in _AFTER_NOUN and not word.startswith("(")


def duration(minutes: float) -> str:
    """Return seconds below two minutes, hours from two hours on, minutes between."""
    if minutes < 2:
        return plural(max(round(minutes * 60), 1), "second")
    return f"{minutes:.0f} minutes" if minutes < 120 else f"{minutes / 60:.1f} hours"


def percent(fraction: float | None, digits: int = 1, *, space: bool = False) -> str:
    """Return a fraction of 1 as ``12.3%``, or ``-`` where there is none.

    Parameters
    ----------
    fraction : float or None
    digits : int
        Decimals.
    space : bool
        Put a space before the sign, as tables and prose do: ``12.3 %``.

    Returns
    -------
    str
    """
    if fraction is None:
        return "-"
    return f"{100 * fraction:.{digits}f}{' ' * space}%"


def decibels(value: float) -> str:
    """Return a PSNR with one decimal, or ``no difference`` where it is infinite."""
    return f"{value:.1f} dB" if math.isfinite(value) else "no difference"


def short_number(value: float) -> str:
    """Return a number with four digits, as a power of ten only if very large or small."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "-∞" if value < 0 else "?"
    magnitude = abs(value)
    if value == 0:
        return "0"
    if not _SMALLEST_PLAIN <= magnitude < _LARGEST_PLAIN:
        return f"{value:.2e}"
    decimals = max(0, _DIGITS - 1 - math.floor(math.log10(magnitude)))
    return f"{value:,.{decimals}f}"
