"""Output of the commands: JSON documents, and paths for people."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import typer

from freqprep.storage.disk import free_bytes
from freqprep.storage.paths import AnyPath
from freqprep.text.quantities import size


class SizeEstimate(Protocol):
    """Estimate of the size of one split."""

    @property
    def stored_bytes(self) -> int:
        """Size of the finished split."""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON data."""


EstimateT = TypeVar("EstimateT", bound=SizeEstimate)


def print_json(document: dict[str, Any]) -> None:
    """Print a JSON object on stdout; names that are not valid text appear escaped."""
    typer.echo(json.dumps(document, indent=2, allow_nan=False))


def shown_path(path: AnyPath) -> str:
    """Return a path relative to the current folder if it is inside."""
    here = Path.cwd()
    if isinstance(path, Path) and path.is_relative_to(here):
        return str(path.relative_to(here))
    return str(path)


def print_estimates(
    store: AnyPath,
    estimates: Mapping[str, EstimateT],
    describe: Callable[[EstimateT], str],
    as_json: bool,
) -> None:
    """Print what each split of a store will take; warn if the disk has less room."""
    free = free_bytes(store) if isinstance(store, Path) else None
    needed = sum(one.stored_bytes for one in estimates.values())
    if as_json:
        splits = {name: one.to_dict() for name, one in estimates.items()}
        print_json({"dry_run": True, "free_bytes": free, "splits": splits})
    else:
        for name, one in estimates.items():
            typer.echo(f"{name}\n{describe(one)}")
    if free is not None and needed > free:
        typer.echo(f"warning: {size(needed)} needed, {size(free)} free", err=True)


@contextlib.contextmanager
def resumable(again: str = "run the same command with --resume") -> Iterator[None]:
    """Say on Ctrl-C how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"\ninterrupted; {again} to continue", err=True)
        raise
