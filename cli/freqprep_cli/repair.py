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
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Make damaged and missing files again, to the same bytes; exit with 4 if something stays.

    All is checked as by `freqprep verify`, before and after. Nothing is replaced but by bytes with
    the hash that was published; run it again after a kill.

    Example: freqprep repair photos.zarr --source photos
    """
    with resumable("run it again"):
        result = run_repair(RepairRequest(store, source, split, Workers(jobs, engine, address)))
    verified, left = result.verified, [one for one in result.repairs if one.error]
    if not verified.splits and not result.repairs:
        raise StoreError(f"{store} has no finished split", "run `freqprep convert` again")
    if json:
        print_json(
            {
                "store": str(store),
                "ok": not verified.problems,
                "repaired": len(result.repairs) - len(left),
                "files": verified.files,
                "repairs": [_as_json(one) for one in result.repairs],
                "problems": [{"where": p.where, "what": p.what} for p in verified.problems],
            }
        )
    else:
        for one in result.repairs:
            typer.echo(on_one_line(_described(one)))
        state = "NOT WHOLE" if verified.problems else "ok"
        counts = f"{plural(len(result.repairs) - len(left), 'file')} repaired, {len(left)} not"
        checked = f"checked {verified.files} files, {verified.images} images"
        typer.echo(paragraph(f"{state}: {counts}; {checked}"))
    if verified.problems:
        sys.exit(EXIT_NOT_WHOLE)


def _described(one: Repair) -> str:
    outcome = "repaired" if one.error is None else f"NOT repaired: {one.error}"
    return f"{one.problem.where}: {one.problem.what}: {outcome}"


def _as_json(one: Repair) -> dict[str, object]:
    error = None if one.error is None else str(one.error)
    return {"where": one.problem.where, "what": one.problem.what, "error": error}
