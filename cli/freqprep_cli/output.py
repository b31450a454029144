"""How the commands print: JSON alone on stdout, sizes and tables for people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import typer


def print_json(document: dict[str, Any]) -> None:
    """One JSON object on stdout; names that are not text appear escaped."""
    typer.echo(json.dumps(document, indent=2, allow_nan=False))


def size(count: float) -> str:
    """Bytes with a decimal unit."""
    for unit in ("B", "KB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} TB"


def table(rows: Iterable[tuple[str, str]]) -> str:
    """Two aligned columns."""
    rows = list(rows)
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name:<{width}}  {value}" for name, value in rows)


def columns(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table: the first column to the left, the others to the right; perhaps without heads."""
    lines = [heads, *rows] if heads else rows
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  "
        + "  ".join(
            cell.ljust(width) if number == 0 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def percent(share: float | None) -> str:
    """A share of 1 in percent; a dash where there is none."""
    return "-" if share is None else f"{share:.2%}"


def on_one_line(text: str) -> str:
    """Text in which what cannot be printed is escaped."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def counts(numbers: dict[str, int]) -> str:
    """``3 empty, 1 corrupt``, or ``none``."""
    return ", ".join(f"{count} {name}" for name, count in numbers.items()) or "none"


def plural(count: int, noun: str) -> str:
    """``1 shard``, ``2 shards``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def duration(minutes: float) -> str:
    """Seconds below two minutes, hours from two hours on, minutes between."""
    if minutes < 2:
        return plural(max(round(minutes * 60), 1), "second")
    return f"{minutes:.0f} minutes" if minutes < 120 else f"{minutes / 60:.1f} hours"


def place(path: Path) -> str:
    """A path as one would type it here."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
