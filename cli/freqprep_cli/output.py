"""How the commands print: JSON alone on stdout, sizes and tables for people."""

from __future__ import annotations

import json
from collections.abc import Iterable
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


def counts(numbers: dict[str, int]) -> str:
    """``3 empty, 1 corrupt``, or ``none``."""
    return ", ".join(f"{count} {name}" for name, count in numbers.items()) or "none"
