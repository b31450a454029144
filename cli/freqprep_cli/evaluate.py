"""``freqprep evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from freqprep.models.torchvision_ops import import_torchvision
from freqprep.store.targets import check_targets
from freqprep.text.quantities import percent
from freqprep.text.terminal import columns, on_one_line, shortened, table
from freqprep_cli.network_options import refuse_options_of_others
from freqprep_cli.options import RUN, CacheBytes, CacheFolder, Overwrite, StoreArgument
from freqprep_cli.output import print_json

if TYPE_CHECKING:
    from freqprep.training.evaluate_run import RunEvaluation

_FILES = "Files written"
_NAME_ROOM, _PAIR_ROOM = 38, 24
_CONFUSED_SHOWN = 5


def evaluate(
    run: Annotated[Path, typer.Argument(help="Folder of the run.", metavar="RUN")],
    store: StoreArgument,
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
            rich_help_panel=_FILES,
        ),
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option(
            help="Write a table, one row an image with its label and five answers (detectors: one "
            "row an object found).",
            metavar="FILE",
            rich_help_panel=_FILES,
        ),
    ] = None,
    confusion: Annotated[
        Path | None,
        typer.Option(
            help="Classifiers: write the confusion matrix, as .csv or as a picture, .png.",
            metavar="FILE",
            rich_help_panel=_FILES,
        ),
    ] = None,
    overwrite: Overwrite = False,
    device: Annotated[
        str | None,
        typer.Option(
            help="cpu or cuda; a GPU where there is one.", metavar="D", rich_help_panel=RUN
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            help="Threads that read and decode; by default they follow from channels and cores.",
            min=1,
            rich_help_panel=RUN,
        ),
    ] = None,
    cache: CacheFolder = None,
    cache_bytes: CacheBytes = None,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Evaluate a trained network on a split, over all images and for each class.

    Of a classifier top-1 and top-5, of a detector COCO's twelve figures of boxes and of masks.

    Several processes: torchrun --nproc-per-node N --no-python -- freqprep evaluate ...

    Example: freqprep evaluate runs/first photos.zarr --split val
    """
    import_torchvision()
    from freqprep.models.detection import MASK_DETECTORS
    from freqprep.training.coco_results import check_prefix, result_paths
    from freqprep.training.csv_file import check_csv
    from freqprep.training.distributed import init_distributed
    from freqprep.training.evaluate_confusion import check_confusion
    from freqprep.training.evaluate_run import evaluate_run
    from freqprep.training.model_config import read_model_config
    from freqprep.training.tasks import TASKS

    config = read_model_config(run)
    kind = TASKS[config.model].kind
    refuse_options_of_others(
        kind, {"detector": {"--results": results}, "classifier": {"--confusion": confusion}}
    )
    check_csv(csv)
    check_confusion(confusion)
    written: list[Path] = []
    if results is not None:
        check_prefix(results)
        written = result_paths(results, config.model in MASK_DETECTORS)
    check_targets([csv, confusion, *written], overwrite)
    with init_distributed(device) as world:
        found = evaluate_run(
            run,
            store,
            split,
            world,
            batch_size=batch_size,
            threads=threads,
            cache=cache,
            cache_bytes=cache_bytes,
        )
        if not world.is_leader:
            return
        _write(found, results, csv, confusion)
    document = {"run": str(run), "store": str(store), **found.to_dict()}
    if results is not None:
        document["results"] = [str(path) for path in written]
    if json:
        print_json(document)
        return
    name = shortened(found.split.attributes.split, _NAME_ROOM)
    counts = f"{document['images']} of {document['rows']} evaluated"
    where = on_one_line(f"{name} of {found.split.path.parent}")  # whole, to be copied
    typer.echo(f"{where}: {counts}, {document['rejected']} rejected")
    typer.echo(describe_detector(document) if kind == "detector" else describe(document))
    for path in (*written, csv, confusion):
        if path is not None:
            typer.echo(f"written: {path}")


def _write(
    found: RunEvaluation, results: Path | None, csv: Path | None, confusion: Path | None
) -> None:
    """Write the requested files."""
    from freqprep.training.coco_results import write_results
    from freqprep.training.evaluate_run import ClassifierRunEvaluation, DetectorRunEvaluation

    if results is not None and isinstance(found, DetectorRunEvaluation):
        write_results(results, found.evaluation.results, found.evaluation.mask is not None)
    if csv is not None:
        found.write_csv(csv)
    if confusion is not None and isinstance(found, ClassifierRunEvaluation):
        found.confusion.write(confusion)


def describe_detector(document: dict[str, Any]) -> str:
    """Return the result as text: COCO's metrics, then a table of the classes."""
    whats = [what for what in ("box", "mask") if document[what]]
    figures = [
        (name, *(percent(document[what][name], 2) for what in whats)) for name in document["box"]
    ]
    if document["rejected"]:
        strict = [percent(document[f"strict_{what}"]["AP"], 2) for what in whats]
        figures.append(("AP, rejected images' objects missed", *strict))
    rows = [
        (
            shortened(str(one["name"]), _NAME_ROOM) + ("" if one["known"] else " (unknown)"),
            str(one["objects"]),
            *(percent(one[f"{what}_AP"], 2) for what in whats),
        )
        for one in document["classes"]
        if one["objects"]
    ]
    over_all = columns((f"{document['objects']} objects", *whats), figures)
    by_class = columns(("class", "objects", *(f"{what} AP" for what in whats)), rows)
    return f"{over_all}\n\n{by_class}"


def describe(document: dict[str, Any]) -> str:
    """Return the result as text: metrics over all images, then a table of the classes."""
    loss, strict = document["loss"], percent(document["strict_top1"], 2)
    lines = [
        ("top-1", f"{percent(document['top1'], 2)} ({document['top1_correct']})"),
        ("top-5", f"{percent(document['top5'], 2)} ({document['top5_correct']})"),
        (
            "strict top-1",
            f"{strict}, rejected images counted as wrong",
        ),
        ("loss", "-" if loss is None else f"{loss:.4f}"),
    ]
    rows = [
        (
            shortened(str(one["name"]), _NAME_ROOM),
            str(one["images"]),
            str(one["correct"]),
            percent(one["top1"], 2) if one["known"] else "unknown",
        )
        for one in document["classes"]
    ]
    by_class = columns(("class", "images", "correct", "top-1"), rows)
    return f"{table(lines)}\n\n{by_class}{_most_confused(document['most_confused'])}"


def _most_confused(pairs: list[dict[str, Any]]) -> str:
    """Return the classes confused most often, one line each."""
    counts = [f"{pair['images']:,} of {pair['of']:,}" for pair in pairs[:_CONFUSED_SHOWN]]
    most = max(map(len, counts), default=0)
    lines = [
        f"  {count:>{most}}  {shortened(str(pair['name']), _PAIR_ROOM)} taken for"
        f" {shortened(str(pair['predicted_name']), _PAIR_ROOM)}"
        for count, pair in zip(counts, pairs, strict=False)
    ]
    return "\n".join(["\n\n  most confused", *lines]) if lines else ""
