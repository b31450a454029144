"""``freqprep predict``."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from freqprep.models.torchvision_ops import import_torchvision
from freqprep.progress import Progress
from freqprep.sources.files import shown
from freqprep_cli.output import columns, on_one_line, percent, plural, print_json

EXIT_SOME_FAILED = 1


def predict(
    run: Annotated[Path, typer.Argument(help="Folder of the run.", metavar="RUN")],
    images: Annotated[
        list[Path], typer.Argument(help="Image files, or folders of them.", metavar="IMAGE...")
    ],
    top: Annotated[int, typer.Option(help="Classes to give for each image.", min=1)] = 5,
    batch_size: Annotated[int, typer.Option(help="Images shown at once.", min=1)] = 32,
    device: Annotated[
        str | None, typer.Option(help="cpu or cuda; a GPU where there is one.", metavar="D")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Say what a trained network sees in image files, prepared as its training images were.

    A folder stands for all images in and below it. A file that cannot be used is named, the others
    go on, and the exit code is 1.

    Example: freqprep predict runs/first cat.jpg --top 3
    """
    import_torchvision()
    from freqprep.training.checkpoint import load_model
    from freqprep.training.prediction import Failure, find_images
    from freqprep.training.prediction import predict as answers
    from freqprep.training.world import choose_device

    place = choose_device(device)
    card, network = load_model(run, place)
    found, failed = [], []
    paths = find_images(images)
    with Progress("predicting", len(paths)) if json else contextlib.nullcontext() as progress:
        for one in answers(card, network, place, paths, top=top, batch_size=batch_size):
            if isinstance(one, Failure):
                failed.append(one.to_dict())
                typer.echo(f"{shown(one.path)}: {one.defect}", err=True)
            elif json:
                found.append(one.to_dict(card))
            else:
                typer.echo(f"{shown(one.path)}\n{_table(one.to_dict(card))}")
            if progress is not None:
                progress.update(1)
    if json:
        print_json({"run": str(run), "images": found, "failed": failed})
    if failed:
        typer.echo(f"no answer for {plural(len(failed), 'file')} of {len(paths)}", err=True)
        sys.exit(EXIT_SOME_FAILED)


def _table(document: dict[str, Any]) -> str:
    return columns(
        (),
        [
            (on_one_line(guess["class_name"]), percent(guess["probability"]))
            for guess in document["predictions"]
        ],
    )
