"""Options that several commands have, and types for options that take one of some words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

import typer

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")]


def one_of(words: Iterable[str]) -> Any:
    """Return the type of an option that takes one of some words, such as the keys of a registry.

    The words are completed by the shell, listed in ``--help``, and checked.
    """
    return Literal[tuple(words)]
