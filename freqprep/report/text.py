"""Text for the page and the figures: numbers in few digits, names made harmless."""

from __future__ import annotations

import html
import math

from freqprep.text.terminal import on_one_line

_DIGITS = 4
_LARGEST_PLAIN = 1e6
_SMALLEST_PLAIN = 1e-5


def esc(text: str) -> str:
    """A name as HTML text or as the value of an attribute."""
    return html.escape(on_one_line(text), quote=True)


def plain_ascii(text: str) -> str:
    """A name for a figure, whose font does not have every character."""
    return text.encode("unicode_escape").decode("ascii")


def number(value: float) -> str:
    """A number in four digits, in powers of ten only where it is very large or small."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "-∞" if value < 0 else "?"
    size = abs(value)
    if value == 0:
        return "0"
    if not _SMALLEST_PLAIN <= size < _LARGEST_PLAIN:
        return f"{value:.2e}"
    decimals = max(0, _DIGITS - 1 - math.floor(math.log10(size)))
    return f"{value:,.{decimals}f}"


def whole(value: int) -> str:
    """A count with separators."""
    return f"{value:,}"


def kilobytes(value: float) -> str:
    """KB in one decimal, in two where it is small."""
    return f"{value:.1f} KB" if value >= 1 else f"{value:.3f} KB"


def percent(share: float) -> str:
    """A share 0..1 as a percentage."""
    return f"{100 * share:.1f} %"


def decibel(value: float) -> str:
    """A PSNR; infinite where nothing differs."""
    return f"{value:.1f} dB" if math.isfinite(value) else "no difference"
