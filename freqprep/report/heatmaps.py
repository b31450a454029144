"""Heat maps: a score by frequency, two selections on one grid, the correlation matrix."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from freqprep.importance.ranking import Ranking
from freqprep.report.grids import BELOW, CHOSEN, SIDE, WIDTH, frequency_of, outline, three_grids
from freqprep.report.style import Palette, new_figure
from freqprep.spectrum import BLOCK, COMPONENTS, FREQUENCIES
from freqprep.spectrum.channels import ZIGZAG
from freqprep.text.escapes import escape_ascii
from freqprep.text.quantities import short_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize
    from matplotlib.figure import Figure

LARGEST_RANGE = 1e6
"""Largest span of a logarithmic scale; values below have its lowest colour."""

_DECADES = 100.0
_SIGNED_RANGE = 1e3
_LEGEND_HEIGHT = 46.0
_BAR = 8.0

BOTH, ONLY_CHOSEN, ONLY_PUBLISHED = "in both", "only chosen", "only published"


def score_map(ranking: Ranking, chosen: Iterable[int], palette: Palette) -> Figure:
    """Draw a score of each channel as a colour, chosen channels outlined.

    Colours are logarithmic where the values span more than two decades, and the brightest is the
    highest rank. Values of both signs have a diverging scale around zero. Channels that the
    ranking leaves out are blank.
    """
    ranked = list(ranking.order)
    values = np.full(len(ranking.values), np.nan)
    values[ranked] = ranking.values[ranked]
    figure = new_figure(WIDTH, BELOW + _LEGEND_HEIGHT)
    norm, colors = scale_of(ranking)
    grids = three_grids(figure, palette)
    for component, axes in enumerate(grids):
        part = values[component * FREQUENCIES :][:FREQUENCIES].reshape(BLOCK, BLOCK)
        axes.imshow(part, norm=norm, cmap=colors, interpolation="none", aspect="auto")
    outline(grids, chosen)
    _color_bar(figure, norm, colors, ranking.unit, palette)
    return figure


def scale_of(ranking: Ranking) -> tuple[Normalize, Colormap]:
    """Return the normalization and the colours of a ranking's values."""
    from matplotlib import colormaps
    from matplotlib.colors import LogNorm, Normalize, SymLogNorm

    values = ranking.values[list(ranking.order)]
    low, high = float(values.min()), float(values.max())
    if low < 0:
        largest = max(-low, high)
        small = float(np.median(np.abs(values)))
        if small * _DECADES < largest:
            return (
                SymLogNorm(largest / _SIGNED_RANGE, vmin=-largest, vmax=largest),
                colormaps["PuOr"],
            )
        return Normalize(-largest, largest), colormaps["PuOr"]
    half = -(-len(values) // 2)
    rising = values[:half].mean() < values[-half:].mean()
    colors = colormaps["viridis_r" if rising else "viridis"]
    positive = values[values > 0]
    if positive.size and high > _DECADES * positive.min():
        low = max(float(positive.min()), high / LARGEST_RANGE)
        return LogNorm(low, high, clip=True), colors
    return Normalize(low, high if high > low else low + 1), colors


def _color_bar(
    figure: Figure, norm: Normalize, colors: Colormap, unit: str, palette: Palette
) -> None:
    from matplotlib.colors import LogNorm, SymLogNorm
    from matplotlib.ticker import LogLocator, MaxNLocator

    width, height = (72 * inches for inches in figure.get_size_inches())
    left = 26 / width
    axes = figure.add_axes((left, 30 / height, 1 - left - 8 / width, _BAR / height))
    steps = np.linspace(0, 1, 256)[None]
    axes.imshow(
        steps, cmap=colors, vmin=0, vmax=1, extent=(0, 1, 0, 1), aspect="auto", interpolation="none"
    )
    low, high = float(norm.vmin or 0), float(norm.vmax or 0)
    if isinstance(norm, LogNorm):
        ticks = list(LogLocator(numticks=5).tick_values(low, high))
    elif isinstance(norm, SymLogNorm):
        decade = 10.0 ** np.floor(np.log10(high))
        ticks = [-decade, -decade / 10, 0, decade / 10, decade]
    else:
        ticks = list(MaxNLocator(4).tick_values(low, high))
    ticks = [t for t in ticks if low <= t <= high]
    axes.set_xticks([float(norm(t)) for t in ticks], [_tick(t) for t in ticks], fontsize=9)
    axes.set_yticks([])
    axes.tick_params(length=3, pad=2, colors=palette.muted)
    scale = ", logarithmic" if isinstance(norm, (LogNorm, SymLogNorm)) else ""
    axes.set_xlabel(
        f"{escape_ascii(unit)}{scale}", fontsize=10, color=palette.muted, labelpad=1, loc="right"
    )
    axes.set_xlim(0, 1)
    axes.set_facecolor("none")
    for spine in axes.spines.values():
        spine.set_visible(False)


def _tick(value: float) -> str:
    if value and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")
    return f"{value:.3g}" if abs(value) < 1e3 else short_number(round(value)).replace(",", " ")


def overlap_map(chosen: Iterable[int], published: Iterable[int], palette: Palette) -> Figure:
    """Draw which channels two selections share, by colour and by mark."""
    from matplotlib.patches import Rectangle

    figure = new_figure(WIDTH, BELOW)
    grids = three_grids(figure, palette)
    for axes in grids:
        _lattice(axes, palette)
    for index, kind in kinds(chosen, published).items():
        component, v, h = frequency_of(index)
        color, mark = {
            BOTH: (palette.curve, "s"),
            ONLY_CHOSEN: (palette.chosen, "+"),
            ONLY_PUBLISHED: (palette.published, "o"),
        }[kind]
        tile = Rectangle((h - 0.45, v - 0.45), 0.9, 0.9, facecolor=color, linewidth=0)
        tile.set_gid(f"{kind.replace(' ', '-')}-{index}")
        grids[component].add_patch(tile)
        hollow = "none" if mark == "o" else palette.card
        (line,) = grids[component].plot([h], [v], mark, color=palette.card, markersize=4)
        line.set(markerfacecolor=hollow, markeredgewidth=1.2)
    return figure


def kinds(chosen: Iterable[int], published: Iterable[int]) -> dict[int, str]:
    """Return for each channel of two selections which of them has it, by raster index."""
    ours, theirs = set(chosen), set(published)
    return {
        index: BOTH if index in ours & theirs else ONLY_CHOSEN if index in ours else ONLY_PUBLISHED
        for index in sorted(ours | theirs)
    }


def _lattice(axes: Axes, palette: Palette) -> None:
    for k in range(BLOCK + 1):
        for draw in (axes.axhline, axes.axvline):
            draw(k - 0.5, color=palette.line, linewidth=0.8, zorder=0.5)


CORRELATION_ORDER = tuple(
    component * FREQUENCIES + k for component in range(len(COMPONENTS)) for k in ZIGZAG
)
"""Raster indices along the correlation matrix: by component, low frequencies first."""


def correlation_map(correlation: np.ndarray, chosen: Iterable[int], palette: Palette) -> Figure:
    """Draw the correlation of each pair of channels; marks at the edges are chosen ones."""
    from matplotlib import colormaps
    from matplotlib.colors import Normalize
    from matplotlib.lines import Line2D

    side, left, top = 3 * SIDE + 120, 44.0, 10.0
    width, height = side + left + 10, side + top + 84
    figure = new_figure(width, height)
    axes = figure.add_axes((left / width, 1 - (top + side) / height, side / width, side / height))
    axes.set_facecolor("none")
    order = list(CORRELATION_ORDER)
    norm, colors = Normalize(-1, 1), colormaps["RdBu_r"]
    axes.imshow(correlation[np.ix_(order, order)], norm=norm, cmap=colors, interpolation="none")
    marked = [position for position, index in enumerate(order) if index in set(chosen)]
    for position in marked:
        for x, y, edge, along in (
            (position, -0.012, "below", axes.get_xaxis_transform()),
            (-0.012, position, "left", axes.get_yaxis_transform()),
        ):
            mark = Line2D([x], [y], marker="s", color=palette.chosen, markersize=2.2)
            mark.set(transform=along, clip_on=False, gid=f"{CHOSEN}-{order[position]}-{edge}")
            axes.add_artist(mark)
    middles = [FREQUENCIES * (c + 0.5) - 0.5 for c in range(len(COMPONENTS))]
    axes.set_xticks(middles, ["Y", "Cb", "Cr"])
    axes.set_yticks(middles, ["Y", "Cb", "Cr"])
    axes.tick_params(length=0, pad=9, colors=palette.ink)
    for c in range(1, len(COMPONENTS)):
        for draw in (axes.axhline, axes.axvline):
            draw(c * FREQUENCIES - 0.5, color="#000000", linewidth=0.8)
    for spine in axes.spines.values():
        spine.set_visible(False)
    _color_bar(figure, norm, colors, "correlation over images", palette)
    return figure
