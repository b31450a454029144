"""``freqprep info``."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import typer

from freqprep.store.reader import Store, open_store
from freqprep.store.rejects import noted_images, rejected_images
from freqprep.store.selections import problems, saved_documents
from freqprep.store.summary import summarize
from freqprep.streaming.batch_mixing import mixing_of_batches
from freqprep.text.quantities import plural
from freqprep.text.terminal import on_one_line, paragraph, quoted, shortened
from freqprep_cli.options import SplitOption, StoreArgument
from freqprep_cli.output import print_json
from freqprep_cli.summary_text import describe

_REJECTS_SHOWN = 20
_KEY_ROOM = 40


def info(
    store: StoreArgument,
    split: SplitOption = None,
    json: Annotated[
        bool,
        typer.Option("--json", help="Print as JSON, with all classes and all rejected images."),
    ] = False,
) -> None:
    """Summarize a store: counts, classes and how mixed they are, objects, bytes, rejected images.

    Example: freqprep info photos.zarr
    """
    opened = open_store(store)
    documents: dict[str, Any] = {}
    for name, chosen in opened.chosen(split).items():
        summary, rejects = summarize(chosen), rejected_images(chosen)
        noted = noted_images(chosen)
        batches = mixing_of_batches(chosen)
        documents[name] = {
            **summary.to_dict(),
            "batch_classes": None if batches is None else dataclasses.asdict(batches),
            "seed": chosen.attributes.seed,
            "versions": chosen.attributes.versions,
            "rejected_images": rejects,
            "noted_images": noted,
        }
        if not json:
            typer.echo(describe(summary, {"shard": summary.shard_classes, "batch": batches}))
            _print_images(rejects, noted)
    saved, damaged = saved_documents(store), problems(store)
    if json:
        print_json(
            {
                "store": str(store),
                "unfinished": opened.unfinished,
                "incomplete": opened.incomplete,
                "splits": documents,
                "selections": saved,
                "problems": [{"where": where, "what": what} for where, what in damaged],
            }
        )
        return
    for name, selection in saved.items():
        typer.echo(f"selection {name}: {_origin(selection)}")
    for where, what in damaged:
        typer.echo(on_one_line(f"problem: {where} {what}"))
    _print_unfinished(opened)


def _print_images(rejects: list[dict[str, Any]], noted: list[dict[str, Any]]) -> None:
    """Print the first rejected images, and the first converted ones with a note."""
    for reject in rejects[:_REJECTS_SHOWN]:
        size, why = f"{reject['bytes']:,} bytes", f"{reject['reason']}: {reject['detail']}"
        typer.echo(paragraph(f"  rejected: {_image(reject)}, {size}, {why}"))
    if len(rejects) > _REJECTS_SHOWN:
        typer.echo(f"  ... and {len(rejects) - _REJECTS_SHOWN:,} more; --json lists all")
    for note in noted[:_REJECTS_SHOWN]:
        typer.echo(paragraph(f"  note: {_image(note)}, {note['note']}"))
    if len(noted) > _REJECTS_SHOWN:
        typer.echo(f"  ... and {len(noted) - _REJECTS_SHOWN:,} more notes; --json lists all")


def _image(entry: dict[str, Any]) -> str:
    """Return row and key; `show` takes both, but no key that was shortened."""
    return f"row {entry['row']}, {shortened(quoted(entry['key']), _KEY_ROOM)}"


def _print_unfinished(store: Store) -> None:
    if store.unfinished:
        typer.echo(
            paragraph(f"unfinished (run it again with --resume): {', '.join(store.unfinished)}")
        )
    if store.incomplete:
        names = ", ".join(store.incomplete)
        typer.echo(paragraph(f"incomplete, without a manifest: {names}; copy the store again"))
    if store.listed and not store and not store.unfinished:
        typer.echo("the store has no finished split")


def _origin(selection: dict[str, Any]) -> str:
    count = plural(len(selection["channels"]), "channel")
    score = selection["made_from"].get("by")
    return f"{count} by {shortened(quoted(score), _KEY_ROOM)}" if isinstance(score, str) else count
