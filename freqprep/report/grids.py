"""Three grids of 8x8 frequencies side by side, one per component, with outlined channels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from freqprep.report.style import Palette, new_figure
from freqprep.spectrum import BLOCK, COMPONENTS, FREQUENCIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 330.0
"""Width of a figure of three grids, points."""

TITLES = ("Y", "Cb", "Cr")
CHOSEN = "chosen"
"""Prefix of the ids of chosen channels' outlines."""

_LEFT, _GAP, _RIGHT, _TOP = 26.0, 14.0, 6.0, 22.0
SIDE = (WIDTH - _LEFT - _RIGHT - 2 * _GAP) / len(COMPONENTS)
"""Side of a grid, points."""

BELOW = _TOP + SIDE + 18.0
"""Height of the grids and their ticks, points."""

_TICKS = range(0, BLOCK, 2)
_INSET = 0.1
_HEADING = 24.0
_ROW = BELOW + _HEADING


def three_grids(figure: Figure, palette: Palette, top: float = 0.0) -> list[Axes]:
    """Add axes for Y, Cb and Cr: vertical frequency down, horizontal across.

    Parameters
    ----------
    figure : Figure
    palette : Palette
    top : float
        Distance from the top of the figure, points.

    Returns
    -------
    list of Axes
    """
    width, height = (72 * inches for inches in figure.get_size_inches())
    grids = []
    for number, title in enumerate(TITLES):
        left = _LEFT + number * (SIDE + _GAP)
        bottom = 1 - (top + _TOP + SIDE) / height
        position = (left / width, bottom, SIDE / width, SIDE / height)
        axes = figure.add_axes(position)
        axes.set(xlim=(-0.5, BLOCK - 0.5), ylim=(BLOCK - 0.5, -0.5))
        axes.set_facecolor("none")
        axes.set_title(title, fontsize=11, color=palette.ink, pad=4)
        axes.set_xticks(_TICKS, [f"{k}" for k in _TICKS], fontsize=9)
        axes.set_yticks(_TICKS, [f"{k}" for k in _TICKS] if number == 0 else [], fontsize=9)
        axes.tick_params(length=0, pad=2, colors=palette.muted)
        for spine in axes.spines.values():
            spine.set_visible(False)
        grids.append(axes)
    grids[0].set_ylabel("v", rotation=0, color=palette.muted, fontsize=10, labelpad=7)
    grids[2].set_xlabel("h", color=palette.muted, fontsize=10, labelpad=-1)
    return grids


def draw_rows(rows: Sequence[tuple[str, np.ndarray, Iterable[int]]], palette: Palette) -> Figure:
    """Draw rows of three grids, one below the other, each in colours from least to most.

    Parameters
    ----------
    rows : sequence of tuple
        Heading; values, float64 (192,) in raster order, NaN for channels without a colour; raster
        indices of the channels to outline.
    palette : Palette

    Returns
    -------
    Figure
    """
    height = _ROW * len(rows)
    figure = new_figure(WIDTH, height)
    for number, (heading, values, outlined) in enumerate(rows):
        top = number * _ROW
        figure.text(0.02, 1 - (top + 14) / height, heading, fontsize=9, color=palette.ink)
        grids = three_grids(figure, palette, top + _HEADING)
        low, high = np.nanmin(values), np.nanmax(values)
        for component, axes in enumerate(grids):
            part = values[component * FREQUENCIES :][:FREQUENCIES].reshape(BLOCK, BLOCK)
            axes.imshow(part, vmin=low, vmax=high, cmap="viridis", aspect="auto")
        outline(grids, outlined)
    return figure


def frequency_of(index: int) -> tuple[int, int, int]:
    """Return component, vertical and horizontal frequency of a raster index."""
    component, frequency = divmod(index, FREQUENCIES)
    return component, *divmod(frequency, BLOCK)


def outline(grids: list[Axes], indices: Iterable[int]) -> None:
    """Outline channels in white on black, visible on every colour."""
    from matplotlib.patches import Rectangle

    size = 1 - 2 * _INSET
    for index in sorted(indices):
        component, v, h = frequency_of(index)
        corner = (h - 0.5 + _INSET, v - 0.5 + _INSET)
        for color, width in (("#000000", 2.4), ("#ffffff", 1.2)):
            patch = Rectangle(corner, size, size, fill=False, edgecolor=color, linewidth=width)
            patch.set_gid(f"{CHOSEN}-{index}-{'outer' if width > 2 else 'inner'}")
            grids[component].add_patch(patch)
