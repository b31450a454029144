"""``freqprep repair``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from freqprep.convert.repair import Repair, RepairRequest
from freqprep.convert.repair import repair as run_repair
from freqprep.engines import Workers
from freqprep.errors import CorruptStoreError, StoreError
from freqprep.storage.paths import as_source
from freqprep.text.quantities import plural
from freqprep.text.terminal import on_one_line, paragraph
from freqprep_cli.options import Address, Engine, Jobs, Place, SplitOption, StoreArgument
from freqprep_cli.output import print_json, resumable

EXIT_NOT_WHOLE = CorruptStoreError.exit_code


def repair(
    store: StoreArgument,
    source: Annotated[
        Place | None,
        typer.Option(
            parser=as_source,
            help="What the store was converted from (a folder or a URL): for all that does not "
            "follow from the store itself.",
            metavar="SOURCE",
        ),
    ] = None,
    split: SplitOption = None,
    jobs: Jobs = None,
    engine: Engine = "local",
    address: Address = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what would be made again; write and convert nothing."),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Make damaged and missing files again, to the same bytes; exit with 4 if something stays.

    All is checked as by `freqprep verify`, before and after. Nothing is replaced but by bytes with
    the hash that was published; run it again after a kill.

    Example: freqprep repair photos.zarr --source photos
    """
    with resumable("run it again"):
        workers = Workers(jobs, engine, address)
        result = run_repair(RepairRequest(store, source, split, workers, dry_run))
    verified, left = result.verified, [one for one in result.repairs if one.error]
    if not verified.splits and not result.repairs:
        raise StoreError(f"{store} has no finished split", "run `freqprep convert` again")
    done = len(result.repairs) - len(left)
    if json:
        print_json(
            {
                "store": str(store),
                "ok": not verified.problems,
                "dry_run": dry_run,
                "repaired": 0 if dry_run else done,
                "files": verified.files,
                "repairs": [_as_json(one) for one in result.repairs],
                "problems": [{"where": p.where, "what": p.what} for p in verified.problems],
            }
        )
    else:
        for one in result.repairs:
            typer.echo(on_one_line(_described(one, dry_run)))
        state = "NOT WHOLE" if verified.problems else "ok"
        would = "would be " if dry_run else ""
        counts = f"{plural(done, 'file')} {would}repaired, {len(left)} not"
        checked = f"checked {plural(verified.files, 'file')}, {plural(verified.images, 'image')}"
        typer.echo(paragraph(f"{state}: {counts}; {checked}"))
    if verified.problems:
        sys.exit(EXIT_NOT_WHOLE)


def _described(one: Repair, dry_run: bool) -> str:
    outcome = "would be repaired" if dry_run else "repaired"
    if one.error is not None:
        outcome = f"{'would NOT be' if dry_run else 'NOT'} repaired: {one.error}"
    return f"{one.problem.where}: {one.problem.what}: {outcome}"


def _as_json(one: Repair) -> dict[str, object]:
    error = None if one.error is None else str(one.error)
    return {"where": one.problem.where, "what": one.problem.what, "error": error}
