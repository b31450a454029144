"""``freqprep predict``."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from freqprep.models.torchvision_ops import import_torchvision
from freqprep.progress import Progress, say
from freqprep.sources.files import shown
from freqprep.store.targets import check_targets
from freqprep.text.quantities import percent, plural
from freqprep.text.terminal import columns, shortened
from freqprep_cli.network_options import refuse_options_of_others
from freqprep_cli.options import Overwrite
from freqprep_cli.output import print_json

if TYPE_CHECKING:
    from freqprep.training.model_config import ModelConfig
    from freqprep.training.predict_files import Failure

EXIT_SOME_FAILED = 1
_TOP = 5
_THRESHOLD = 0.5
_NAME_ROOM, _OBJECT_ROOM = 60, 30


def predict(
    run: Annotated[Path, typer.Argument(help="Folder of the run.", metavar="RUN")],
    images: Annotated[
        list[Path], typer.Argument(help="Image files, or folders of them.", metavar="IMAGE...")
    ],
    top: Annotated[
        int | None,
        typer.Option(
            help=f"Classifiers: classes to give for each image, {_TOP} by default.", min=1
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            help=f"Detectors: least score of what is printed (--json too) and drawn, {_THRESHOLD} "
            "by default. Files of --results have everything.",
            min=0,
            max=1,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Detectors: folder for a picture of each image with what is found drawn on it, "
            "NAME.png.",
            metavar="DIR",
        ),
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(
            help="Detectors: write what is found as COCO's result files, PREFIX.bbox.json and, "
            "with masks, PREFIX.segm.json.",
            metavar="PREFIX",
        ),
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option(
            help="Write a table: one row a file with its answers (detectors: one row an object "
            "found).",
            metavar="FILE",
        ),
    ] = None,
    overwrite: Overwrite = False,
    batch_size: Annotated[
        int, typer.Option(help="Images shown at once; a detector is shown one.", min=1)
    ] = 32,
    device: Annotated[
        str | None, typer.Option(help="cpu or cuda; a GPU where there is one.", metavar="D")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Predict the classes or the objects of image files, prepared as the training images were.

    Of a classifier the most probable classes, of a detector classes, scores and boxes (left, top,
    width, height in the file's pixels). A folder stands for all images in and below it. A file that
    cannot be used is named, the others go on, and the exit code is 1.

    Example: freqprep predict runs/first cat.jpg --top 3
    """
    import_torchvision()
    from freqprep.models.detection import MASK_DETECTORS
    from freqprep.training.checkpoint import load_model, unfinished_note
    from freqprep.training.coco_results import check_prefix, result_paths, write_results
    from freqprep.training.csv_file import check_csv, write_csv
    from freqprep.training.distributed import choose_device
    from freqprep.training.model_config import read_model_config
    from freqprep.training.predict_classes import predict_classes
    from freqprep.training.predict_files import Failure, find_images
    from freqprep.training.predict_pictures import picture_paths
    from freqprep.training.predict_table import prediction_rows, table_heads
    from freqprep.training.tasks import TASKS

    chosen = choose_device(device)
    config = read_model_config(run)
    kind = TASKS[config.model].kind
    refuse_options_of_others(
        kind,
        {
            "classifier": {"--top": top},
            "detector": {"--threshold": threshold, "--output": output, "--results": results},
        },
    )
    check_csv(csv)
    targets = [csv]
    if results is not None:
        check_prefix(results)
        targets += result_paths(results, config.model in MASK_DETECTORS)
    check_targets(targets, overwrite)
    paths = find_images(images)
    pictures = None if output is None else picture_paths(output, paths, overwrite)
    config, network = load_model(run, chosen)
    for note in unfinished_note(run, config):
        say(f"note: {note}")
    entries: list[dict[str, Any]] | None = None if results is None else []
    predictions: Iterator[Failure | dict[str, Any]]
    if kind == "detector":
        least = _THRESHOLD if threshold is None else threshold
        predictions = _objects(config, network, chosen, paths, least, pictures, entries, overwrite)
    else:
        top = min(_TOP if top is None else top, len(config.class_ids))
        found = predict_classes(config, network, chosen, paths, top=top, batch_size=batch_size)
        predictions = (one if isinstance(one, Failure) else one.to_dict(config) for one in found)
    heads = table_heads(kind, top or 0)
    good, failed, rows = [], [], []
    with Progress("predicting", len(paths)) if json else contextlib.nullcontext() as progress:
        for one in predictions:
            if csv is not None:
                rows += prediction_rows(one.to_dict() if isinstance(one, Failure) else one, heads)
            if isinstance(one, Failure):
                failed.append(one.to_dict())
                say(f"{shown(one.path)}: {one.defect}")
            elif json:
                good.append(one)
            else:
                typer.echo(_described(one))
            if progress is not None:
                progress.update(1)
    document: dict[str, Any] = {"run": str(run), "images": good, "failed": failed}
    if results is not None:
        written = write_results(results, entries or [], config.model in MASK_DETECTORS)
        document["results"] = [str(path) for path in written]
    if csv is not None:
        write_csv(csv, heads, rows)
    if json:
        print_json(document)
    else:
        for path in (*document.get("results", ()), csv):
            if path is not None:
                typer.echo(f"written: {path}")
    if failed:
        typer.echo(f"no answer for {plural(len(failed), 'file')} of {len(paths)}", err=True)
        sys.exit(EXIT_SOME_FAILED)


def _objects(
    config: ModelConfig,
    network: Any,
    device: Any,
    paths: list[bytes],
    threshold: float,
    pictures: list[Path] | None,
    results: list[dict[str, Any]] | None,
    overwrite: bool,
) -> Iterator[Failure | dict[str, Any]]:
    """Yield what a detector finds as JSON data; write its picture, add its results."""
    from freqprep.training import predict_objects as prediction
    from freqprep.training.predict_files import Failure
    from freqprep.training.predict_pictures import write_picture

    least = threshold if results is None else 0.0
    found = prediction.predict_objects(config, network, device, paths, threshold=least)
    for number, (image_id, one) in enumerate(zip(prediction.image_ids(paths), found, strict=True)):
        if isinstance(one, Failure):
            yield one
            continue
        if results is not None:
            results += one.results(config, image_id)
            one = one.at_least(threshold)
        document = one.to_dict(config, image_id)
        if pictures is not None:
            write_picture(pictures[number], prediction.drawn(one, config), overwrite)
            document["picture"] = str(pictures[number])
        yield document


def _described(document: dict[str, Any]) -> str:
    """Return the prediction for one file as text."""
    head = shown(os.fsencode(document["path"]))  # whole, to be copied
    if "predictions" in document:
        return f"{head}\n{_table_of_classes(document['predictions'])}"
    found = document["detections"]
    lines = [head, _table_of_objects(found) if found else "  nothing found"]
    if "picture" in document:
        lines.append(f"  -> {shown(os.fsencode(document['picture']))}")
    return "\n".join(lines)


def _table_of_classes(guesses: list[dict[str, Any]]) -> str:
    return columns(
        (),
        [
            (shortened(one["class_name"], _NAME_ROOM), percent(one["probability"], 2))
            for one in guesses
        ],
    )


def _table_of_objects(found: list[dict[str, Any]]) -> str:
    rows = [
        (
            shortened(one["class_name"], _OBJECT_ROOM),
            percent(one["score"], 2),
            *(f"{number:.1f}" for number in one["bbox"]),
        )
        for one in found
    ]
    return columns(("class", "score", "left", "top", "width", "height"), rows)
