"""``freqprep convert``."""

from __future__ import annotations

import enum
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from freqprep.convert.estimate import Estimate, estimate
from freqprep.convert.rejects import rejects_path
from freqprep.convert.run import Request
from freqprep.convert.run import convert as run_conversion
from freqprep.errors import UsageError
from freqprep.storage.disk import free_bytes
from freqprep.text.quantities import plural
from freqprep.text.quantities import size as size_text
from freqprep_cli.output import print_json, shown_path
from freqprep_cli.summary_text import describe, describe_estimate

EXIT_TOO_MANY_REJECTS = 3

_ENCODING, _RUN = "Encoding", "Run"


class Kind(enum.StrEnum):
    """Kinds of source."""

    imagefolder = "imagefolder"
    imagenet = "imagenet"
    coco = "coco"


class GeometryKind(enum.StrEnum):
    """Geometries."""

    fit = "fit"
    crop = "crop"


class Precision(enum.StrEnum):
    """Precisions."""

    int8 = "int8"
    int16 = "int16"


class Orientation(enum.StrEnum):
    """What to do with an EXIF orientation."""

    apply = "apply"
    keep = "keep"


def convert(
    kind: Annotated[Kind, typer.Argument(help="Kind of source.", metavar="KIND")],
    source: Annotated[Path, typer.Argument(help="The data set's top folder.", metavar="SOURCE")],
    store: Annotated[Path, typer.Argument(help="The store to make.", metavar="STORE")],
    split: Annotated[
        str | None,
        typer.Option(
            help="Only this split, or a name for a source without splits.", metavar="NAME"
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            help="Cap of the long side (fit; 512, coco 640) or side of the crop (448).",
            metavar="N",
            rich_help_panel=_ENCODING,
        ),
    ] = None,
    geometry: Annotated[
        GeometryKind,
        typer.Option(
            help="fit: whole image. crop: short side to --resize, centre.",
            rich_help_panel=_ENCODING,
        ),
    ] = GeometryKind.fit,
    resize: Annotated[
        int | None,
        typer.Option(
            help="Short side before the crop; 8/7 of --size by default.",
            metavar="N",
            rich_help_panel=_ENCODING,
        ),
    ] = None,
    precision: Annotated[
        Precision,
        typer.Option(
            help="int8: steps 8 and 4. int16: step 1, twice the bytes.", rich_help_panel=_ENCODING
        ),
    ] = Precision.int8,
    orientation: Annotated[
        Orientation,
        typer.Option(
            help="EXIF orientation: apply it, or keep the stored pixels.",
            rich_help_panel=_ENCODING,
        ),
    ] = Orientation.apply,
    jobs: Annotated[
        int | None,
        typer.Option(
            help="Worker processes; one a core by default.", metavar="N", rich_help_panel=_RUN
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the row permutation.")] = 0,
    classes: Annotated[
        Path | None,
        typer.Option(help="Text file with one class id a line, in label order.", metavar="FILE"),
    ] = None,
    annotations: Annotated[
        Path | None,
        typer.Option(
            help="coco: the annotation file, where it is not found by itself.",
            metavar="FILE",
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            help="coco: the folder that the listed file names start from.",
            metavar="DIR",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on where a run stopped.", rich_help_panel=_RUN),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Replace the splits that are there.", rich_help_panel=_RUN
        ),
    ] = False,
    retry_rejected: Annotated[
        bool,
        typer.Option(
            "--retry-rejected",
            help="Try rejected images of finished splits again.",
            rich_help_panel=_RUN,
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Estimate bytes, files, memory and time; write nothing.",
            rich_help_panel=_RUN,
        ),
    ] = False,
    max_failures: Annotated[
        int,
        typer.Option(
            help="Exit with 3 where more images than this were rejected.",
            metavar="N",
            min=0,
            rich_help_panel=_RUN,
        ),
    ] = 0,
    json: Annotated[
        bool, typer.Option("--json", help="Print a summary as JSON.", rich_help_panel=_RUN)
    ] = False,
) -> None:
    """Convert images to a store of frequency channels.

    KIND is imagefolder (one folder a class), imagenet (folders, Kaggle or the original archives)
    or coco (images with annotation files in COCO's format).

    Example: freqprep convert imagefolder photos photos.zarr
    """
    request = Request(
        kind=kind.value,
        source=source,
        store=store,
        split=split,
        size=size,
        resize=resize,
        geometry=geometry.value,
        precision=precision.value,
        orientation=orientation.value,
        jobs=jobs,
        seed=seed,
        classes=None if classes is None else read_classes(classes, kind),
        resume=resume,
        overwrite=overwrite,
        retry_rejected=retry_rejected,
        annotations=annotations,
        images=images,
    )
    if dry_run:
        _report_estimate(request, estimate(request), json)
        return
    began = time.monotonic()
    try:
        summaries = run_conversion(request)
    except KeyboardInterrupt:
        typer.echo("\ninterrupted; run the same command with --resume to go on", err=True)
        raise
    seconds = time.monotonic() - began
    rejected = sum(summary.rejected for summary in summaries.values())
    if json:
        document: dict[str, Any] = {
            "store": str(store),
            "seconds": round(seconds, 3),
            "rejected": rejected,
            "splits": {name: summary.to_dict() for name, summary in summaries.items()},
        }
        print_json(document)
    else:
        for summary in summaries.values():
            typer.echo(describe(summary))
    for name, summary in summaries.items():
        if summary.rejected:
            where = shown_path(rejects_path(store, name))
            rejects = plural(summary.rejected, "rejected image")
            typer.echo(f"{rejects} of {name}: see {where}", err=True)
    if rejected > max_failures:
        sys.exit(EXIT_TOO_MANY_REJECTS)


def read_classes(path: Path, kind: Kind) -> tuple[str | int, ...]:
    """Class ids from a text file, one a line; COCO's are whole numbers."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
        ids = [line for line in lines if line]
        return tuple(int(line) for line in ids) if kind is Kind.coco else tuple(ids)
    except OSError as error:
        raise UsageError(f"--classes {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"--classes {path} is not text in UTF-8") from None
    except ValueError:
        raise UsageError(f"--classes {path} has a line that is no whole number") from None


def _report_estimate(request: Request, estimates: dict[str, Estimate], json: bool) -> None:
    free = free_bytes(request.store)
    needed = sum(one.stored_bytes for one in estimates.values())
    if json:
        splits = {name: one.to_dict() for name, one in estimates.items()}
        print_json({"dry_run": True, "free_bytes": free, "splits": splits})
    for name, one in estimates.items():
        if not json:
            typer.echo(f"{name}\n{describe_estimate(one, request.workers)}")
    if needed > free:
        typer.echo(f"warning: {size_text(needed)} needed, {size_text(free)} free", err=True)
