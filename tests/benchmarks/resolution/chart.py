"""Chart of accuracy by the size of the stored images, one curve for each limit of bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from freqprep.report.style import Palette, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Point:
    """Trainings of one size and input.

    Attributes
    ----------
    size : int
        Long side of the stored images, pixels.
    input : str
        Limit of bytes, or RGB.
    channels : int
        0 for RGB.
    bytes : float
        Read of an image.
    mmac : float
        Million multiply-accumulates of an image.
    scores : tuple of float
        Of each seed, percent.
    """

    size: int
    input: str
    channels: int
    bytes: float
    mmac: float
    scores: tuple[float, ...]


def draw_sizes(points: Sequence[Point], score: str, palette: Palette) -> Figure:
    """Plot mean, standard deviation and each seed's score by size."""
    figure = new_figure(640, 380)
    axes = figure.subplots()
    inputs = list(dict.fromkeys(point.input for point in points))
    colors = dict(zip(inputs, (palette.curve, palette.chosen, palette.published), strict=False))
    for place, given in enumerate(inputs):
        mine = [point for point in points if point.input == given]
        sizes = [point.size * 1.03 ** (place - (len(inputs) - 1) / 2) for point in mine]
        means = [np.mean(point.scores) for point in mine]
        spreads = [np.std(point.scores, ddof=1) if len(point.scores) > 1 else 0 for point in mine]
        channels = ", ".join(str(point.channels) for point in mine)
        axes.errorbar(
            sizes, means, yerr=spreads, fmt="D-", color=colors[given], markersize=6, capsize=4,
            label=f"{given}: {channels} channels" if mine[0].channels else given,
        )  # fmt: skip
        for x, point in zip(sizes, mine, strict=True):
            axes.scatter([x] * len(point.scores), point.scores, 12, color=palette.muted, zorder=3)
    axes.set_xscale("log")
    axes.set_xticks(ticks := sorted({point.size for point in points}), map(str, ticks))
    axes.minorticks_off()
    axes.margins(x=0.12, y=0.12)
    axes.set_xlabel("long side of the stored images, pixels", color=palette.muted)
    axes.set_ylabel(f"{score}, %: each seed, mean and deviation", color=palette.muted)
    axes.legend(frameon=False, labelcolor=palette.ink, loc="lower right")
    axes.grid(axis="y", color=palette.line, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, colors=palette.muted)
    for spine in axes.spines.values():
        spine.set_visible(False)
    figure.tight_layout()
    return figure
