"""``freqprep show``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from freqprep.drawing.channel_tiles import contact_sheet
from freqprep.drawing.object_overlay import draw_objects
from freqprep.drawing.picture_files import FORMATS, check_ending, write_picture
from freqprep.images.rle import decode_mask
from freqprep.spectrum.dct import grid_of
from freqprep.store.reader import find_row, open_store
from freqprep.store.selections import select
from freqprep.store.split import Split
from freqprep.store.targets import check_targets
from freqprep.text.terminal import paragraph, quoted, shortened
from freqprep_cli.options import Overwrite, StoreArgument

_KEY_ROOM, _NAME_ROOM = 60, 30


def show(
    store: StoreArgument,
    row: Annotated[str, typer.Argument(help="Row number, or an image's key.", metavar="ROW")],
    split: Annotated[
        str | None, typer.Option(help="Split; needed where there are several.", metavar="S")
    ] = None,
    channels: Annotated[
        str | None,
        typer.Option(
            help="Selection to reconstruct from: a published one (square-24), channels "
            "(y_0_0,cb_0_0), a count, a saved name or a .json file; by default all that are "
            "stored."
        ),
    ] = None,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help=f"Picture to write, in the format of its suffix: {', '.join(FORMATS)}.",
            metavar="FILE",
        ),
    ] = Path("row.png"),
    sheet: Annotated[
        Path | None,
        typer.Option(help="Contact sheet of the chosen channels to write as well.", metavar="FILE"),
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Do not draw annotated objects.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Reconstruct one image from a selection of channels, as a picture file.

    Boxes, class names and masks of annotated objects are drawn on it, crowds hatched.

    Example: freqprep show photos.zarr 0 --channels square-24 -o row.png --sheet channels.png
    """
    chosen = open_store(store).only(split)
    selection = select(channels, chosen)
    number = find_row(chosen, row)
    for path in filter(None, (output, sheet)):
        check_ending(path)
    check_targets((output, sheet), overwrite)
    picture = chosen.image(number, selection)
    drawn = ""
    if chosen.has_boxes and not plain:
        objects = chosen.objects.of(number)
        picture = _with_objects(picture, chosen, objects)
        drawn = f", objects drawn: {objects.stop - objects.start}"
    write_picture(output, picture, overwrite=overwrite)
    if sheet is not None:
        rows, columns = grid_of(*chosen.sizes[number].tolist())
        coefficients = chosen.read([number], selection)[0, :, :rows, :columns]
        write_picture(sheet, contact_sheet(coefficients, selection), overwrite=overwrite)
    label = int(chosen.labels[number])
    name = chosen.attributes.class_names[label] if label >= 0 else ""
    key = shortened(quoted(chosen.keys[number]), _KEY_ROOM)
    height, width = picture.shape[:2]
    typer.echo(
        paragraph(
            f"row {number}, {key}{name and f', class {shortened(name, _NAME_ROOM)}'}: "
            f"{width}x{height} pixels from {len(selection)} of 192 channels{drawn}"
        )
    )
    for path in filter(None, (output, sheet)):
        typer.echo(f"written: {path}")


def _with_objects(picture: np.ndarray, split: Split, mine: slice) -> np.ndarray:
    """Draw the annotated objects of a row on its picture."""
    objects, names = split.objects, split.attributes.class_names
    size = (picture.shape[0], picture.shape[1])
    crowd, labels = objects.iscrowd[mine], objects.label[mine]
    counts = [objects.masks.bytes_at(number) for number in range(mine.start, mine.stop)]
    return draw_objects(
        picture,
        objects.box[mine],
        [names[k] + " (crowd)" * bool(c) for k, c in zip(labels, crowd, strict=True)],
        [decode_mask(each, size) if each else None for each in counts],
        labels,
        crowd,
    )
