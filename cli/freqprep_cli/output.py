"""How the commands print: JSON alone on stdout, sizes and tables for people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer

from freqprep.wording import columns, counts, duration, plural, size, table

__all__ = [
    "columns",
    "counts",
    "duration",
    "on_one_line",
    "percent",
    "place",
    "plural",
    "print_json",
    "size",
    "table",
]


def print_json(document: dict[str, Any]) -> None:
    """One JSON object on stdout; names that are not text appear escaped."""
    typer.echo(json.dumps(document, indent=2, allow_nan=False))


def percent(share: float | None) -> str:
    """A share of 1 in percent; a dash where there is none."""
    return "-" if share is None else f"{share:.2%}"


def on_one_line(text: str) -> str:
    """Text in which what cannot be printed is escaped."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def place(path: Path) -> str:
    """A path as one would type it here."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
