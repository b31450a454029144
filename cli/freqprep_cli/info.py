"""``freqprep info``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from freqprep.reports import noted_images, rejected_images
from freqprep.store.layout import PARTIAL_PREFIX
from freqprep.store.reader import open_store
from freqprep.store.selections import problems, saved_documents
from freqprep.store.summary import summarize
from freqprep_cli.convert import describe
from freqprep_cli.output import plural, print_json

_REJECTS_SHOWN = 20


def info(
    store: Annotated[Path, typer.Argument(help="The store.", metavar="STORE")],
    json: Annotated[
        bool, typer.Option("--json", help="Print as JSON, all rejects included.")
    ] = False,
) -> None:
    """Say what is in a store: counts, classes, bytes, fidelity, rejected images.

    Example: freqprep info photos.zarr
    """
    opened = open_store(store)
    unfinished = [folder.name[len(PARTIAL_PREFIX) :] for folder in store.glob(f"{PARTIAL_PREFIX}*")]
    documents: dict[str, Any] = {}
    for name, split in opened.items():
        summary, rejects = summarize(split), rejected_images(split)
        noted = noted_images(split)
        attributes = split.attributes
        documents[name] = {
            **summary.to_dict(),
            "class_ids": list(attributes.class_ids),
            "class_names": list(attributes.class_names),
            "seed": attributes.seed,
            "versions": attributes.versions,
            "rejected_images": rejects,
            "noted_images": noted,
        }
        if not json:
            typer.echo(describe(summary))
            for reject in rejects[:_REJECTS_SHOWN]:
                size = f"{reject['bytes']} bytes"
                typer.echo(f"  rejected: {ascii(reject['key'])}, {size}, {_why(reject)}")
            for note in noted[:_REJECTS_SHOWN]:
                typer.echo(f"  note: '{note['key']}', {note['note']}")
            if len(rejects) > _REJECTS_SHOWN:
                typer.echo(f"  ... and {len(rejects) - _REJECTS_SHOWN} more; --json lists all")
    saved, damaged = saved_documents(store), problems(store)
    if json:
        print_json(
            {
                "store": str(store),
                "unfinished": sorted(unfinished),
                "splits": documents,
                "selections": saved,
                "problems": [{"where": where, "what": what} for where, what in damaged],
            }
        )
        return
    for name, selection in saved.items():
        typer.echo(f"selection {name}: {_made(selection)}")
    for where, what in damaged:
        typer.echo(f"problem: {where} {what}")
    if unfinished:
        typer.echo(f"unfinished (convert --resume): {', '.join(sorted(unfinished))}")
    elif not documents:
        typer.echo("the store has no finished split")


def _why(reject: dict[str, Any]) -> str:
    return f"{reject['reason']}: {reject['detail']}"


def _made(selection: dict[str, Any]) -> str:
    count = plural(len(selection["channels"]), "channel")
    score = selection["made_from"].get("by")
    return f"{count} by {ascii(score)}" if isinstance(score, str) else count
