"""The course of a run as a picture: loss, and accuracy or precision, by epoch."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freqprep.report.style import Palette, as_png, new_figure
from freqprep.storage.disk import full_disk_named, write_parts
from freqprep.training.metrics import read_metrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CURVES = "curves.png"
"""Name of the picture in a run's folder."""

_WIDTH, _HEIGHT = 760.0, 300.0

_CLASSIFIER = tuple(
    (title, factor, [("train", name, "train"), ("validation", name, "validation")])
    for title, factor, name in (("cross-entropy", 1, "loss"), ("top-1, %", 100, "top1"))
)
_DETECTOR = (
    ("loss", 1, [("train", "loss", "all"), ("train", "loss_rpn_box_reg", "proposals' boxes")]),
    ("AP, %", 100, [("validation", "box_AP", "boxes"), ("validation", "mask_AP", "masks")]),
)
"""Panels: title, factor, and of each curve the kind of line, the number's name and a label."""


def write_curves(folder: Path) -> bool:
    """Draw a run's measurements into its folder; False where matplotlib is not installed."""
    if importlib.util.find_spec("matplotlib") is None:
        return False
    lines = read_metrics(folder)
    if not lines:
        return False
    with full_disk_named(folder):
        write_parts(folder / CURVES, [as_png(lambda palette: _draw(lines, palette))], folder)
    return True


def _draw(lines: list[dict[str, Any]], palette: Palette) -> Figure:
    figure = new_figure(_WIDTH, _HEIGHT)
    detects = any("loss_objectness" in line for line in lines)
    panels = _DETECTOR if detects else _CLASSIFIER
    colours = (palette.curve, palette.chosen)
    for axes, (title, factor, curves) in zip(figure.subplots(1, 2), panels, strict=True):
        for (kind, name, label), colour in zip(curves, colours, strict=True):
            _line(axes, [x for x in lines if x.get("kind") == kind], name, factor, label, colour)
        axes.set_title(title, color=palette.ink, loc="left")
        axes.set_xlabel("epoch", color=palette.muted)
        axes.tick_params(colors=palette.muted)
        axes.grid(color=palette.line, linewidth=0.6)
        for spine in axes.spines.values():
            spine.set_visible(False)
    figure.tight_layout()
    return figure


def _line(
    axes: Axes, lines: list[dict[str, Any]], name: str, factor: int, label: str, colour: str
) -> None:
    points = [
        (line["epochs"], factor * line[name])
        for line in lines
        if isinstance(line.get(name), (int, float))
    ]
    if points:
        axes.plot(*zip(*points, strict=True), color=colour, marker=".", label=label)
        axes.legend(frameon=False, labelcolor="linecolor")
