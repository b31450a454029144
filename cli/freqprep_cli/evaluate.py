"""``freqprep evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from freqprep.errors import UsageError
from freqprep.models.torchvision_ops import import_torchvision
from freqprep_cli.output import columns, on_one_line, percent, print_json, table

if TYPE_CHECKING:
    from freqprep.training.detection_scoring import DetectionScore
    from freqprep.training.scoring import Score


def evaluate(
    run: Annotated[Path, typer.Argument(help="Folder of the run.", metavar="RUN")],
    store: Annotated[Path, typer.Argument(help="The store.", metavar="STORE")],
    split: Annotated[str, typer.Option(help="Split to show the network.", metavar="S")] = "val",
    batch_size: Annotated[
        int, typer.Option(help="Images shown at once; a detector is shown one.", min=1)
    ] = 256,
    results: Annotated[
        Path | None,
        typer.Option(
            help="Detectors: write what is found as COCO's result files, PREFIX.bbox.json and, "
            "with masks, PREFIX.segm.json.",
            metavar="PREFIX",
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu or cuda; a GPU where there is one.", metavar="D")
    ] = None,
    threads: Annotated[int, typer.Option(help="Threads that read and decode.", min=1)] = 2,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Say how well a trained network does on a split, over all and for each class.

    Of a classifier top-1 and top-5, of a detector COCO's twelve figures of boxes and of masks.

    Several processes: torchrun --nproc-per-node N --no-python -- freqprep evaluate ...

    Example: freqprep evaluate runs/first photos.zarr --split val
    """
    import_torchvision()
    from freqprep.training.card import read_card
    from freqprep.training.coco_results import check_prefix, write_results
    from freqprep.training.detection_scoring import score_detector
    from freqprep.training.scoring import score
    from freqprep.training.world import join_world

    detects = read_card(run).detects
    if results is not None and not detects:
        raise UsageError("--results of a classifier", "leave it out: it is for detectors")
    if results is not None:
        check_prefix(results)
    written: list[Path] = []
    with join_world(device) as world:
        found: Score | DetectionScore
        if detects:
            found = score_detector(run, store, split, world, threads=threads)
            if results is not None and world.leads:
                masks = found.evaluation.mask is not None
                written = write_results(results, found.evaluation.results, masks)
        else:
            found = score(run, store, split, world, batch_size=batch_size, threads=threads)
        if not world.leads:
            return
    document = {"run": str(run), "store": str(store), **found.to_dict()}
    if results is not None:
        document["results"] = [str(path) for path in written]
    if json:
        print_json(document)
        return
    head = (
        f"{found.split.attributes.split} of {found.split.path.parent}: {document['images']} of"
        f" {document['rows']} evaluated, {document['rejected']} rejected"
    )
    typer.echo(f"{head}\n{describe_detector(document) if detects else describe(document)}")
    for path in written:
        typer.echo(f"written: {path}")


def describe_detector(document: dict[str, Any]) -> str:
    """The result for people: COCO's figures, then a table of the classes."""
    whats = [what for what in ("box", "mask") if document[what]]
    figures = [
        (name, *(percent(document[what][name]) for what in whats)) for name in document["box"]
    ]
    if document["rejected"]:
        strict = [percent(document[f"strict_{what}"]["AP"]) for what in whats]
        figures.append(("AP, rejected images' objects missed", *strict))
    rows = [
        (
            on_one_line(str(one["name"])) + ("" if one["known"] else " (unknown)"),
            str(one["objects"]),
            *(percent(one[f"{what}_AP"]) for what in whats),
        )
        for one in document["classes"]
        if one["objects"]
    ]
    over_all = columns((f"{document['objects']} objects", *whats), figures)
    by_class = columns(("class", "objects", *(f"{what} AP" for what in whats)), rows)
    return f"{over_all}\n\n{by_class}"


def describe(document: dict[str, Any]) -> str:
    """The result for people: shares over all, then a table of the classes."""
    loss = document["loss"]
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
    return f"{table(lines)}\n\n{columns(('class', 'images', 'correct', 'top-1'), rows)}"
