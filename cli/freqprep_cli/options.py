"""Arguments and options that several commands have, and types of options that are some words."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import typer

from freqprep.storage.paths import StorePath, as_path

if TYPE_CHECKING:
    Place: TypeAlias = StorePath
else:
    Place = Path  # typer has no unions; `as_path` makes the value

StoreArgument = Annotated[
    Place,
    typer.Argument(
        parser=as_path, help="The store: a folder or a URL (s3://...).", metavar="STORE"
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")]


def one_of(words: Iterable[str]) -> Any:
    """Return the type of an option that takes one of some words, such as the keys of a registry.

    The words are completed by the shell, listed in ``--help``, and checked.
    """
    return Literal[tuple(words)]
