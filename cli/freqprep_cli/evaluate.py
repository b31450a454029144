"""``freqprep evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from freqprep.models.torchvision_ops import import_torchvision
from freqprep_cli.output import columns, on_one_line, percent, print_json, table

if TYPE_CHECKING:
    from freqprep.training.scoring import Score


def evaluate(
    run: Annotated[Path, typer.Argument(help="Folder of the run.", metavar="RUN")],
    store: Annotated[Path, typer.Argument(help="The store.", metavar="STORE")],
    split: Annotated[str, typer.Option(help="Split to show the network.", metavar="S")] = "val",
    batch_size: Annotated[int, typer.Option(help="Images shown at once.", min=1)] = 256,
    device: Annotated[
        str | None, typer.Option(help="cpu or cuda; a GPU where there is one.", metavar="D")
    ] = None,
    threads: Annotated[int, typer.Option(help="Threads that read and decode.", min=1)] = 2,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Say how well a trained network does on a split, over all and for each class.

    Several processes: torchrun --nproc-per-node N --no-python -- freqprep evaluate ...

    Example: freqprep evaluate runs/first photos.zarr --split val
    """
    import_torchvision()
    from freqprep.training.scoring import score
    from freqprep.training.world import join_world

    with join_world(device) as world:
        found = score(run, store, split, world, batch_size=batch_size, threads=threads)
        if not world.leads:
            return
    document = {"run": str(run), "store": str(store), **found.to_dict()}
    if json:
        print_json(document)
    else:
        typer.echo(describe(found, document))


def describe(score: Score, document: dict[str, Any]) -> str:
    """The result for people: shares over all, then a table of the classes."""
    loss = document["loss"]
    head = (
        f"{score.split.attributes.split} of {score.split.path.parent}: {document['images']} of"
        f" {document['rows']} evaluated, {document['rejected']} rejected"
    )
    lines = [
        ("top-1", f"{percent(document['top1'])} ({document['top1_correct']})"),
        ("top-5", f"{percent(document['top5'])} ({document['top5_correct']})"),
        ("strict top-1", f"{percent(document['strict_top1'])}, rejected images counted as wrong"),
        ("loss", "-" if loss is None else f"{loss:.4f}"),
    ]
    rows = [
        (
            on_one_line(str(one["name"])),
            str(one["images"]),
            str(one["correct"]),
            percent(one["top1"]) if one["known"] else "unknown",
        )
        for one in document["classes"]
    ]
    return f"{head}\n{table(lines)}\n\n{columns(('class', 'images', 'correct', 'top-1'), rows)}"
