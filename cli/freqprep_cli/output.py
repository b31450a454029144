"""Output of the commands: JSON documents, and paths for people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer


def print_json(document: dict[str, Any]) -> None:
    """Print a JSON object on stdout; names that are not valid text appear escaped."""
    typer.echo(json.dumps(document, indent=2, allow_nan=False))


def shown_path(path: Path) -> str:
    """Return a path relative to the current folder if it is inside."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
