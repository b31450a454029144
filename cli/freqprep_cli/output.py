"""How the commands print: JSON alone on stdout, shares and paths for people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer


def print_json(document: dict[str, Any]) -> None:
    """One JSON object on stdout; names that are not text appear escaped."""
    typer.echo(json.dumps(document, indent=2, allow_nan=False))


def place(path: Path) -> str:
    """A path as one would type it here."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
