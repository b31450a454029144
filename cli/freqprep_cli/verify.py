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
from freqprep.store.verify_unfinished import Unfinished, verify_unfinished
from freqprep.text.quantities import plural
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

    Of an unfinished split the plan, the journals, and the shards that these name are checked.

    Example: freqprep verify photos.zarr --source photos
    """
    found = check(store, Workers(jobs, engine, address), split)
    problems = list(found.problems)
    listed = open_damaged(store).unfinished  # not that of a web server
    partial = verify_unfinished(store, split) if listed else []
    problems += (problem for one in partial for problem in one.problems)
    unfinished = [one.split for one in partial]
    if not found.splits and not problems:
        why = f": {'; '.join(map(_described, partial))}" if partial else ""
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
                "unfinished_shards": {
                    one.split: {"checked": one.finished, "of": one.shards}
                    for one in partial
                    if one.checked
                },
                "problems": [{"where": p.where, "what": p.what} for p in problems],
            }
        )
    else:
        for problem in problems:
            typer.echo(on_one_line(f"{problem.where}: {problem.what}"))
        counted = {"file": found.files, "chunk": found.chunks, "image": found.images}
        checked = ", ".join(plural(count, what) for what, count in counted.items())
        if source is not None:
            checked += f", {plural(compared, 'image')} compared with the source"
        typer.echo(paragraph(f"{'NOT WHOLE' if problems else 'ok'}: checked {checked}"))
        for one in partial:
            typer.echo(paragraph(_described(one)))
    if problems:
        sys.exit(EXIT_NOT_WHOLE)


def _described(one: Unfinished) -> str:
    """Say what is there of an unfinished split, and what of it was checked."""
    if not one.checked:
        return f"{one.split} is unfinished, and not checked: it is in a bucket"
    if one.shards is None:
        return f"{one.split} is unfinished: nothing can be checked without its plan"
    return (
        f"{one.split} is unfinished: checked {one.finished} of {plural(one.shards, 'shard')}, those"
        " in its journals; go on with --resume"
    )
