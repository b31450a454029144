"""``freqprep verify``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from freqprep.convert.verify_source import compare_with_source
from freqprep.engines import Workers
from freqprep.errors import CorruptStoreError, StoreError
from freqprep.storage.paths import as_source
from freqprep.store.verify import verify as check
from freqprep.store.verify_documents import open_damaged
from freqprep.text.terminal import on_one_line, paragraph
from freqprep_cli.options import Address, Engine, Jobs, Place, SplitOption, StoreArgument
from freqprep_cli.output import print_json

EXIT_NOT_WHOLE = CorruptStoreError.exit_code


def verify(
    store: StoreArgument,
    source: Annotated[
        Place | None,
        typer.Option(
            parser=as_source,
            help="Also compare labels and a sample of images with this source (a folder or a URL).",
            metavar="SOURCE",
        ),
    ] = None,
    split: SplitOption = None,
    sample: Annotated[int, typer.Option(help="Images of each split to compare.", min=1)] = 32,
    jobs: Jobs = None,
    engine: Engine = "local",
    address: Address = None,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Check every file, every chunk and the moments; exit with 4 if something is wrong.

    Example: freqprep verify photos.zarr --source photos
    """
    found = check(store, Workers(jobs, engine, address), split)
    problems = list(found.problems)
    unfinished = open_damaged(store).unfinished
    if not found.splits and not problems:
        why = f": {', '.join(unfinished)} is unfinished" if unfinished else ""
        raise StoreError(
            f"{store} has no finished split to verify{why}",
            f"run `freqprep convert` again{', with --resume' if unfinished else ''}",
        )
    compared = 0
    if source is not None and not problems:
        compared, differing = compare_with_source(store, source, sample, split)
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
                "unfinished": unfinished,
                "problems": [{"where": p.where, "what": p.what} for p in problems],
            }
        )
    else:
        for problem in problems:
            typer.echo(on_one_line(f"{problem.where}: {problem.what}"))
        checked = f"{found.files} files, {found.chunks} chunks, {found.images} images"
        again = f", {compared} images compared with the source" if source is not None else ""
        typer.echo(paragraph(f"{'NOT WHOLE' if problems else 'ok'}: checked {checked}{again}"))
        if unfinished:
            typer.echo(paragraph(f"not checked, unfinished: {', '.join(unfinished)}"))
    if problems:
        sys.exit(EXIT_NOT_WHOLE)
