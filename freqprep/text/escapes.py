"""Text from outside made harmless: in HTML, and in figures."""

from __future__ import annotations

import html

from freqprep.text.terminal import on_one_line


def escape_html(text: str) -> str:
    """Return HTML text, or the value of an attribute; what cannot be printed is escaped."""
    return html.escape(on_one_line(text), quote=True)


def escape_ascii(text: str) -> str:
    """Return text for a figure, whose font does not have every character."""
    return text.encode("unicode_escape").decode("ascii")
