"""Arguments and options that several commands have, and types of options that are some words."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import typer

from freqprep.engines import ENGINES
from freqprep.storage.paths import AnyPath, as_path
from freqprep.text.quantities import parse_size

RUN = "Run"
"""Section of ``--help`` for options that do not change what is computed."""

if TYPE_CHECKING:
    Place: TypeAlias = AnyPath
else:
    Place = Path  # typer has no unions; `as_path` makes the value

StoreArgument = Annotated[
    Place,
    typer.Argument(
        parser=as_path, help="The store: a folder or a URL (s3://...).", metavar="STORE"
    ),
]
SplitOption = Annotated[
    str | None,
    typer.Option(
        "--split",
        help="Only this split; needed on a web server, which cannot list them.",
        metavar="S",
    ),
]
CacheFolder = Annotated[
    Path | None,
    typer.Option(
        "--cache",
        help="Keep what is read of a store far away in this folder of a local disk; processes "
        "share it.",
        metavar="DIR",
        rich_help_panel=RUN,
    ),
]
CacheBytes = Annotated[
    int | None,
    typer.Option(
        "--cache-bytes",
        parser=parse_size,
        help="Most bytes that the cache takes, such as 50GB.",
        metavar="N",
        rich_help_panel=RUN,
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")]


def one_of(words: Iterable[str]) -> Any:
    """Return the type of an option that takes one of some words, such as the keys of a registry.

    The words are completed by the shell, listed in ``--help``, and checked.
    """
    return Literal[tuple(words)]


Jobs = Annotated[
    int | None,
    typer.Option(
        help="Worker processes; one per core by default.", metavar="N", rich_help_panel=RUN
    ),
]
if TYPE_CHECKING:
    Engine: TypeAlias = str
else:
    Engine = Annotated[
        one_of(ENGINES),
        typer.Option(
            help="What works: processes of this machine, or a cluster of Dask or Ray; without "
            "--address one of --jobs processes is started here.",
            rich_help_panel=RUN,
        ),
    ]
Address = Annotated[
    str | None,
    typer.Option(
        help="A running cluster: its scheduler (dask, tcp://host:8786) or head (ray, host:6379).",
        metavar="URL",
        rich_help_panel=RUN,
    ),
]
