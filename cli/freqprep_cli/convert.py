"""``freqprep convert``."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from freqprep.convert import parts
from freqprep.convert.estimate import estimate
from freqprep.convert.request import Request, read_classes
from freqprep.convert.run import convert as run_conversion
from freqprep.errors import UsageError
from freqprep.images.geometry import GEOMETRIES, ORIENTATIONS
from freqprep.sources import SOURCES
from freqprep.spectrum.quantization import PRECISIONS
from freqprep.spectrum.quantization import Precision as Steps
from freqprep.storage.paths import AnyPath, as_path, as_source
from freqprep.store.part import Part
from freqprep.store.rejects import rejects_path
from freqprep.store.schema import DEFAULT_LEVEL
from freqprep.store.steps_file import read_steps
from freqprep.store.summary import SplitSummary
from freqprep.text.quantities import plural
from freqprep_cli.options import RUN, Address, Engine, Jobs, Place, one_of
from freqprep_cli.output import print_estimates, print_json, resumable, shown_path
from freqprep_cli.summary_text import describe, describe_estimate

EXIT_TOO_MANY_REJECTS = 3

_ENCODING, _PARTS, _SOURCE = "Encoding", "Parts", "What the source does not say itself"


if TYPE_CHECKING:
    Kind: TypeAlias = str
    Geometry: TypeAlias = str
    Precision: TypeAlias = str
    Orientation: TypeAlias = str
else:
    Kind = one_of(SOURCES)
    Geometry = one_of(GEOMETRIES)
    Precision = one_of(PRECISIONS)
    Orientation = one_of(ORIENTATIONS)


def convert(
    kind: Annotated[Kind, typer.Argument(help="Kind of source.", metavar="KIND")],
    source: Annotated[
        Place,
        typer.Argument(
            parser=as_source,
            help="The data set's top folder, or a URL of it; files of parquet and webdataset also "
            "as a pattern: data/train-{000..146}.tar.",
            metavar="SOURCE",
        ),
    ],
    store: Annotated[
        Place,
        typer.Argument(
            parser=as_path,
            help="The store to make: a folder, or a URL (s3://..., gs://..., az://...).",
            metavar="STORE",
        ),
    ],
    split: Annotated[
        str | None,
        typer.Option(
            help="Convert only this split, or name the split of a source without splits.",
            metavar="NAME",
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            help="Largest long side (fit; 512, coco 640) or side of the crop (448).",
            metavar="N",
            rich_help_panel=_ENCODING,
        ),
    ] = None,
    geometry: Annotated[
        Geometry,
        typer.Option(
            help="fit: whole image. crop: short side to --resize, centre.",
            rich_help_panel=_ENCODING,
        ),
    ] = "fit",
    resize: Annotated[
        int | None,
        typer.Option(
            help="Short side before the crop; 8/7 of --size by default.",
            metavar="N",
            rich_help_panel=_ENCODING,
        ),
    ] = None,
    precision: Annotated[
        Precision | None,
        typer.Option(
            help="int8 (default): steps 8 and 4. int16: step 1, twice the bytes. compact: coarser "
            "in high frequencies and colour, on ImageNet half the bytes; coarse: 0.4 of them.",
            rich_help_panel=_ENCODING,
        ),
    ] = None,
    steps: Annotated[
        Path | None,
        typer.Option(
            help="JSON file of a step for each channel, in place of --precision.",
            metavar="FILE",
            rich_help_panel=_ENCODING,
        ),
    ] = None,
    level: Annotated[
        int,
        typer.Option(
            help="Level of zstd, 1 to 22: more is smaller, and slower to write.",
            metavar="N",
            rich_help_panel=_ENCODING,
        ),
    ] = DEFAULT_LEVEL,
    orientation: Annotated[
        Orientation,
        typer.Option(
            help="EXIF orientation: apply it, or keep the stored pixels.",
            rich_help_panel=_ENCODING,
        ),
    ] = "apply",
    jobs: Jobs = None,
    engine: Engine = "local",
    address: Address = None,
    seed: Annotated[int, typer.Option(help="Seed of the row permutation.")] = 0,
    classes: Annotated[
        Path | None,
        typer.Option(help="Text file with one class id per line, in label order.", metavar="FILE"),
    ] = None,
    annotations: Annotated[
        Place | None,
        typer.Option(
            parser=as_path,
            help="coco: the annotation file, if it is not found automatically.",
            metavar="FILE",
            rich_help_panel=_SOURCE,
        ),
    ] = None,
    images: Annotated[
        Place | None,
        typer.Option(
            parser=as_path,
            help="coco: the folder that listed file names are relative to.",
            metavar="DIR",
            rich_help_panel=_SOURCE,
        ),
    ] = None,
    image_column: Annotated[
        str | None,
        typer.Option(
            help="parquet: the column of the images, if it is not found automatically.",
            metavar="NAME",
            rich_help_panel=_SOURCE,
        ),
    ] = None,
    label_column: Annotated[
        str | None,
        typer.Option(
            help="parquet: the column of the labels; webdataset: the field of each .json.",
            metavar="NAME",
            rich_help_panel=_SOURCE,
        ),
    ] = None,
    class_names: Annotated[
        Place | None,
        typer.Option(
            parser=as_path,
            help="parquet, webdataset: text file with the name of each class, in label order.",
            metavar="FILE",
            rich_help_panel=_SOURCE,
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Resume an interrupted conversion.", rich_help_panel=RUN),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Replace existing splits. In a bucket they are removed first: commands that "
            "read them stop with an error.",
            rich_help_panel=RUN,
        ),
    ] = False,
    retry_rejected: Annotated[
        bool,
        typer.Option(
            "--retry-rejected",
            help="Convert rejected images of finished splits again.",
            rich_help_panel=RUN,
        ),
    ] = False,
    plan: Annotated[
        bool,
        typer.Option(
            "--plan",
            help="For batch queues: only list the source and plan the splits.",
            rich_help_panel=_PARTS,
        ),
    ] = False,
    part: Annotated[
        str | None,
        typer.Option(
            help="Make one of N parts of the planned splits; all may run at the same time.",
            metavar="I/N",
            rich_help_panel=_PARTS,
        ),
    ] = None,
    finalize: Annotated[
        bool,
        typer.Option(
            "--finalize",
            help="Finish the planned splits, once all parts are done.",
            rich_help_panel=_PARTS,
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Estimate bytes, files, memory and time; write nothing.",
            rich_help_panel=RUN,
        ),
    ] = False,
    max_failures: Annotated[
        int,
        typer.Option(
            help="Exit with 3 if more images than this are rejected.",
            metavar="N",
            min=0,
            rich_help_panel=RUN,
        ),
    ] = 0,
    json: Annotated[
        bool, typer.Option("--json", help="Print a summary as JSON.", rich_help_panel=RUN)
    ] = False,
) -> None:
    """Convert images to a store of frequency channels.

    KIND is imagefolder (one folder per class), imagenet (folders, Kaggle or the original archives),
    coco (images with annotation files in COCO's format), parquet (tables with images in them, as on
    the Hugging Face hub) or webdataset (tar shards of samples).

    Example: freqprep convert imagefolder photos photos.zarr
    """
    request = Request(
        kind=kind,
        source=source,
        store=store,
        split=split,
        size=size,
        resize=resize,
        geometry=geometry,
        precision=_precision(precision, steps),
        level=level,
        orientation=orientation,
        jobs=jobs,
        engine=engine,
        address=address,
        seed=seed,
        classes=None if classes is None else read_classes(classes, kind),
        resume=resume,
        overwrite=overwrite,
        retry_rejected=retry_rejected,
        annotations=annotations,
        images=images,
        image_column=image_column,
        label_column=label_column,
        class_names=class_names,
    )
    _refuse_two(plan=plan, part=part is not None, finalize=finalize, dry_run=dry_run)
    if dry_run:
        described = partial(describe_estimate, workers=request.workers.count)
        print_estimates(request.store, estimate(request), described, json)
        return
    if plan:
        _print_shards(request, "planned", parts.plan(request), json)
        return
    if part is not None:
        with resumable("run the same part again"):
            made = parts.convert_part(request, Part.parse(part))
        _print_shards(request, "made", made, json)
        return
    began = time.monotonic()
    with resumable():
        summaries = parts.finalize(request) if finalize else run_conversion(request)
    rejected = _print_summaries(store, summaries, time.monotonic() - began, json)
    if rejected > max_failures:
        sys.exit(EXIT_TOO_MANY_REJECTS)


def _refuse_two(**given: bool) -> None:
    options = [f"--{name.replace('_', '-')}" for name, value in given.items() if value]
    if len(options) > 1:
        raise UsageError(f"{' and '.join(options)} are mutually exclusive", "choose one")


def _print_shards(request: Request, done: str, shards: Mapping[str, int], json: bool) -> None:
    """Print how many shards of each split were planned or made."""
    if json:
        print_json({"store": str(request.store), done: dict(shards)})
        return
    for name, count in shards.items():
        typer.echo(f"{name}: {plural(count, 'shard')} {done}")


def _precision(name: str | None, steps: Path | None) -> Steps:
    """Return the precision of --precision or --steps."""
    if steps is None:
        return PRECISIONS[name or "int8"]
    if name is not None:
        raise UsageError(
            f"--precision {name} and --steps {steps} are mutually exclusive", "choose one"
        )
    return read_steps(steps)


def _print_summaries(
    store: AnyPath, summaries: Mapping[str, SplitSummary], seconds: float, json: bool
) -> int:
    """Print the finished splits; return the number of rejected images."""
    rejected = sum(summary.rejected for summary in summaries.values())
    if json:
        print_json(
            {
                "store": str(store),
                "seconds": round(seconds, 3),
                "rejected": rejected,
                "splits": {name: summary.to_dict() for name, summary in summaries.items()},
            }
        )
    else:
        for summary in summaries.values():
            typer.echo(describe(summary))
    for name, summary in summaries.items():
        if summary.rejected:
            where = shown_path(rejects_path(store, name))
            rejects = plural(summary.rejected, "rejected image")
            typer.echo(f"{rejects} of {name}: see {where}", err=True)
    return rejected
