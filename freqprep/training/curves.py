"""Picture of a run: loss, and accuracy or precision, by epoch."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from freqprep.report.style import Palette, as_png, new_figure
from freqprep.storage.disk import full_disk_named, write_parts
from freqprep.training.metrics import read_metrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CURVES = "curves.png"
"""Name of the picture in a run's folder."""

_PANEL_WIDTH, _HEIGHT = 380.0, 300.0


class Panel(NamedTuple):
    """One of the picture's panels.

    Attributes
    ----------
    title : str
    factor : float
        Values are multiplied by it: 100 for percent.
    curves : tuple of tuple of str
        For each curve, at most two, the ``kind`` of its lines of metrics, the name of the value,
        and a label.
    """

    title: str
    factor: float
    curves: tuple[tuple[str, str, str], ...]


GATE_PANELS = (
    Panel(
        "open channels",
        1,
        (("train", "channels_open", "open"), ("train", "channels_target", "target")),
    ),
    Panel(
        "KB an image of open channels",
        1e-3,
        (("train", "bytes_open", "open"), ("train", "bytes_target", "target")),
    ),
    Panel("price of a channel (multiplier)", 1, (("train", "multiplier", "price"),)),
)
"""Panels of a gate that ends with a number of channels or of bytes."""


def write_curves(folder: Path, panels: Sequence[Panel]) -> bool:
    """Draw a run's measurements into its folder.

    Parameters
    ----------
    folder : Path
        The run's folder.
    panels : sequence of Panel

    Returns
    -------
    bool
        False where matplotlib is not installed or nothing has been measured.
    """
    if importlib.util.find_spec("matplotlib") is None:
        return False
    lines = read_metrics(folder)
    if not lines:
        return False
    with full_disk_named(folder):
        write_parts(
            folder / CURVES, [as_png(lambda palette: _draw(lines, panels, palette))], folder
        )
    return True


def _draw(lines: list[dict[str, Any]], panels: Sequence[Panel], palette: Palette) -> Figure:
    figure = new_figure(_PANEL_WIDTH * len(panels), _HEIGHT)
    colours = (palette.curve, palette.chosen)
    for axes, (title, factor, curves) in zip(figure.subplots(1, len(panels)), panels, strict=True):
        for (kind, name, label), colour in zip(curves, colours, strict=False):
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
    axes: Axes, lines: list[dict[str, Any]], name: str, factor: float, label: str, colour: str
) -> None:
    points = [
        (line["epochs"], factor * line[name])
        for line in lines
        if isinstance(line.get(name), (int, float))
    ]
    if points:
        axes.plot(*zip(*points, strict=True), color=colour, marker=".", label=label)
        axes.legend(frameon=False, labelcolor="linecolor")
