"""The figures of a report as PNG files."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from freqprep.importance.result import StatsResult
from freqprep.progress import Progress
from freqprep.report.figures import every_figure
from freqprep.report.report_data import ReportData
from freqprep.report.sample_pictures import SampleImage, gallery, sample_images
from freqprep.report.style import Palette, as_png, check_matplotlib, new_figure
from freqprep.spectrum import COMPONENTS
from freqprep.storage.disk import full_disk_named, write_parts
from freqprep.store.split import Split
from freqprep.text.quantities import decibels, kilobytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PLOT_FILES = tuple(
    f"{name}.png"
    for name in (
        "score-*",
        "curve-*",
        "allocation",
        "overlap-*",
        "correlation",
        "drift-*",
        "pictures-*",
        "channels-*",
    )
)
"""Patterns that match the names of all files of `write_plots`."""

_COLUMNS = 3
_CELL = 260.0
_CAPTION = 34.0


def write_plots(result: StatsResult, split: Split, folder: Path) -> list[Path]:
    """Write the figures of the report as PNG files, on white.

    Parameters
    ----------
    result : StatsResult
    split : Split
        Split that was analysed.
    folder : Path
        Folder to write to, created if missing; files of the same names are replaced.

    Returns
    -------
    list of Path
        ``score-01-visible.png`` and one for each other score, ``curve-psnr.png`` and others,
        ``overlap-square-24.png`` and others, ``correlation.png``, ``pictures-1.png`` and others,
        ``channels-y.png``, ``channels-cb.png`` and ``channels-cr.png``.

    Raises
    ------
    MissingPackageError
        matplotlib is not installed.
    """
    check_matplotlib()
    report = ReportData.of(result)
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, bytes] = {}
    figures = list(every_figure(report))
    with Progress("plots", len(figures), unit="plot") as progress:
        for figure in figures:
            files[figure.name] = as_png(figure.draw)
            progress.update(1)
    shown = sample_images(report, split)
    for number, sample in enumerate(shown, 1):
        files[f"pictures-{number}"] = as_png(partial(_draw_reconstructions, report, sample))
    if shown:
        sheets = gallery(split, shown[0].row, report.chosen)
        for name, sheet in zip(COMPONENTS, sheets, strict=True):
            buffer = io.BytesIO()
            Image.fromarray(sheet).save(buffer, "PNG")
            files[f"channels-{name}"] = buffer.getvalue()
    paths = []
    for name, data in files.items():
        paths.append(folder / f"{name}.png")
        with full_disk_named(folder):
            write_parts(paths[-1], [data], aside=folder)
    return paths


def _draw_reconstructions(report: ReportData, sample: SampleImage, palette: Palette) -> Figure:
    """Draw an image from few channels to all."""
    height, width = sample.reconstructions[0].pixels.shape[:2]
    down = _CELL * height / width + _CAPTION
    rows = -(-len(sample.reconstructions) // _COLUMNS)
    figure = new_figure(_COLUMNS * _CELL, rows * down)
    for number, image in enumerate(sample.reconstructions):
        row, column = divmod(number, _COLUMNS)
        left, low = column / _COLUMNS, 1 - ((row + 1) * down - 4) / (rows * down)
        size = (1 / _COLUMNS - 0.01, (down - _CAPTION - 4) / (rows * down))
        axes = figure.add_axes((left + 0.005, low, *size))
        axes.imshow(image.pixels, aspect="auto")
        axes.set_axis_off()
        cost = kilobytes(report.kilobytes(image.selection.indices))
        words = f"{image.name} channels\n{decibels(image.psnr)}, {cost} an image"
        axes.set_title(words, fontsize=10, color=palette.ink, pad=4)
    return figure
