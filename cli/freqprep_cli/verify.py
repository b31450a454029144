"""``freqprep verify``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from freqprep.errors import CorruptStoreError, StoreError
from freqprep.recheck import compare_with_source
from freqprep.store.verify import verify as check
from freqprep_cli.output import print_json

EXIT_NOT_WHOLE = CorruptStoreError.exit_code


def verify(
    store: Annotated[Path, typer.Argument(help="The store.", metavar="STORE")],
    source: Annotated[
        Path | None,
        typer.Option(help="Also encode a sample of this source again.", metavar="SOURCE"),
    ] = None,
    sample: Annotated[int, typer.Option(help="Images of each split to encode again.", min=1)] = 32,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Check every file, every chunk and the moments; exit with 4 where something is wrong.

    Example: freqprep verify photos.zarr --source photos
    """
    found = check(store)
    if not found.splits:
        raise StoreError(f"{store} has no finished split to verify", "see `freqprep info`")
    problems = list(found.problems)
    compared = 0
    if source is not None and not problems:
        compared, differing = compare_with_source(store, source, sample)
        problems += differing
    if json:
        print_json(
            {
                "store": str(store),
                "ok": not problems,
                "splits": found.splits,
                "files": found.files,
                "chunks": found.chunks,
                "images": found.images,
                "compared": compared,
                "problems": [{"where": p.where, "what": p.what} for p in problems],
            }
        )
    else:
        for problem in problems:
            typer.echo(f"{problem.where}: {problem.what}")
        checked = f"{found.files} files, {found.chunks} chunks, {found.images} images"
        again = f", {compared} images compared with the source" if source is not None else ""
        typer.echo(f"{'NOT WHOLE' if problems else 'ok'}: checked {checked}{again}")
    if problems:
        sys.exit(EXIT_NOT_WHOLE)
