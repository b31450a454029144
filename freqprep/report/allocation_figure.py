"""Figure of bytes against visible distortion, and top-1 where a network judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from freqprep.importance.allocation import (
    Allocation,
    allocation_of,
    best_channels,
    best_steps,
    known_precisions,
    measurable,
)
from freqprep.importance.choice import Choice
from freqprep.importance.rate_distortion import Rates
from freqprep.report.label_placement import Box, place_labels
from freqprep.report.style import Palette, logarithmic_x, new_figure, style_axes
from freqprep.spectrum.channels import CHANNELS, PUBLISHED, published

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _HEIGHT, _JUDGED_HEIGHT = 700.0, 380.0, 560.0
_POINTS = 24
_STYLES = ("-", "--", ":", "-.")
_FITTED = "steps fitted to the data"


@dataclass(frozen=True)
class AllocationFigure:
    """Data of the figure.

    Attributes
    ----------
    rates : Rates
    choice : Choice
    """

    rates: Rates
    choice: Choice

    @cached_property
    def curves(self) -> dict[str, list[Allocation]]:
        """Allocations of the least distortion at rising numbers of bytes, by legend entry."""
        every = float(self.rates.stored_bytes[np.isfinite(self.rates.stored_bytes)].sum())
        limits = np.geomspace(max(every, 1) / 100, max(every, 1), _POINTS)
        found = {
            precision.name: [
                best_channels(self.rates, precision, limit, CHANNELS) for limit in limits
            ]
            for precision in measurable(self.rates, known_precisions(self.rates))
        }
        found[_FITTED] = [best_steps(self.rates, limit, CHANNELS) for limit in limits]
        known = {name: [one for one in curve if one] for name, curve in found.items()}
        return {name: _drawable(curve) for name, curve in known.items() if _drawable(curve)}

    @cached_property
    def marks(self) -> list[Allocation]:
        """The published selections at the steps that are stored, the largest first."""
        found = (
            allocation_of(self.rates, published(name), self.rates.precision) for name in PUBLISHED
        )
        # Labels are placed in this order, each to the right of its mark if there is room.
        return sorted(
            _drawable([one for one in found if one]), key=lambda one: -one.bytes_per_image
        )

    def draw(self, palette: Palette) -> Figure:
        """Draw the figure."""
        judged = bool(self.choice.allocation_results)
        figure = new_figure(_WIDTH, _JUDGED_HEIGHT if judged else _HEIGHT)
        axes = figure.add_axes((0.1, 0.42 if judged else 0.13, 0.88, 0.55 if judged else 0.83))
        for number, (name, curve) in enumerate(self.curves.items()):
            axes.plot(
                [one.bytes_per_image / 1e3 for one in curve],
                [one.psnr for one in curve],
                _STYLES[number % len(_STYLES)],
                color=palette.chosen if name == _FITTED else palette.curve,
                linewidth=1.8,
                label=name,
            )
        points = [(one.bytes_per_image / 1e3, one.psnr, one.selection.name) for one in self.marks]
        _style(axes, palette, "visible PSNR, dB")
        axes.legend(frameon=False, labelcolor=palette.ink, loc="lower right")
        _plot(axes, palette, points, self._chosen(lambda one: one.psnr))
        if judged:
            self._draw_top_1(figure.add_axes((0.1, 0.09, 0.88, 0.25), sharex=axes), palette)
        else:
            axes.set_xlabel("KB an image", color=palette.ink)
        figure.draw_without_rendering()  # the limits are known only then
        _label(axes, palette, points)
        return figure

    def _draw_top_1(self, axes: Axes, palette: Palette) -> None:
        results = zip(self.choice.allocations, self.choice.allocation_results, strict=True)
        points = [
            (one.bytes_per_image / 1e3, 100 * result.accuracy, one.name) for one, result in results
        ]
        _style(axes, palette, "top-1, %")
        axes.set_xlabel("KB an image", color=palette.ink)
        result = self.choice.allocation_result
        _plot(axes, palette, points, self._chosen(lambda _: 100 * result.accuracy if result else 0))

    def _chosen(self, y: Callable[[Allocation], float]) -> tuple[float, float] | None:
        chosen = self.choice.allocation
        return None if chosen is None else (chosen.bytes_per_image / 1e3, y(chosen))


def _drawable(curve: list[Allocation]) -> list[Allocation]:
    return [one for one in curve if one.bytes_per_image > 0 and np.isfinite(one.psnr)]


def _plot(
    axes: Axes,
    palette: Palette,
    points: list[tuple[float, float, str]],
    chosen: tuple[float, float] | None,
) -> None:
    axes.plot(
        [x for x, _, _ in points],
        [y for _, y, _ in points],
        "o",
        markersize=6,
        markerfacecolor=palette.card,
        markeredgecolor=palette.published,
        markeredgewidth=1.6,
        zorder=3,
    )
    if chosen is not None:
        axes.plot(*chosen, "D", markersize=8, color=palette.chosen, zorder=4)


def _label(axes: Axes, palette: Palette, points: list[tuple[float, float, str]]) -> None:
    """Put each mark's name beside it."""
    pixels = (axes.transData.transform((x, y)) for x, y, _ in points)
    places = [(float(x), float(y)) for x, y in pixels]
    texts = [axes.text(0, 0, name, fontsize=10, color=palette.ink) for _, _, name in points]
    extents = [text.get_window_extent() for text in texts]
    sizes = [(float(extent.width), float(extent.height)) for extent in extents]
    edge = axes.get_window_extent()
    lines = [
        (float(x), float(y))
        for line in axes.get_lines()
        for x, y in axes.transData.transform(np.column_stack(line.get_data()))
    ]
    bounds = Box(edge.x0 + 2, edge.y0 + 2, edge.x1, edge.y1)
    back = axes.transAxes.inverted().transform
    for text, box in zip(texts, place_labels(places, sizes, lines, bounds), strict=True):
        text.set_transform(axes.transAxes)
        x, y = back((box.left, box.low))
        text.set_position((float(x), float(y)))


def _style(axes: Axes, palette: Palette, y_label: str) -> None:
    logarithmic_x(axes)
    axes.margins(y=0.1)
    axes.set_ylabel(y_label, color=palette.ink)
    style_axes(axes, palette)
