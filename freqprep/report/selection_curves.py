"""Curves along a ranking, by number of channels or bytes, with known selections as points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from freqprep.report.label_placement import Box, gap, nearest, place_labels
from freqprep.report.report_data import ReportData
from freqprep.report.style import Palette, logarithmic_x, new_figure, style_axes
from freqprep.spectrum.channels import Selection

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _HEIGHT = 460.0, 320.0
_LEADER = 9.0
_COUNTS = (1, 2, 3, 6, 12, 24, 48, 96, 192)
COUNT_LABEL = "channels (logarithmic)"
PSNR_TOP = 70.0
"""End of a PSNR axis, dB: differences beyond cannot be seen."""


@dataclass(frozen=True)
class Mark:
    """Mark of a selection beside a curve.

    Attributes
    ----------
    name : str
    x, y : float
    chosen : bool
        Whether it is the chosen selection, not a published one.
    """

    name: str
    x: float
    y: float
    chosen: bool


@dataclass(frozen=True)
class Curve:
    """Curve along a ranking, and selections beside it.

    Attributes
    ----------
    name : str
        Name of the figure's file.
    title, x_label, y_label : str
        Title, and labels of the axes with units.
    x, y : ndarray of float64
    marks : tuple of Mark
        Selections, the chosen one first.
    reading : str
        How to read the figure, in sentences.
    dots : bool
        Whether points are drawn, because the curve is known only there.
    top : float
        Largest end of the y axis.
    """

    name: str
    title: str
    x_label: str
    y_label: str
    x: np.ndarray
    y: np.ndarray
    marks: tuple[Mark, ...]
    reading: str
    dots: bool = False
    top: float = np.inf


def all_curves(report: ReportData) -> list[Curve]:
    """Compute all curves of a report that are available."""
    curves = [_energy(report), _bytes(report), _psnr(report), _psnr_of_bytes(report)]
    if report.network_results:
        curves += [_accuracy(report), _loss(report)]
    drawn = [_drawable(curve) for curve in curves if curve is not None]
    return [curve for curve in drawn if curve.x.size]


def _drawable(curve: Curve) -> Curve:
    """The part of a curve that is finite and within the logarithmic axis."""
    keep = np.isfinite(curve.y) & (curve.x > 0)
    marks = tuple(mark for mark in curve.marks if np.isfinite(mark.y) and mark.x > 0)
    return replace(curve, x=curve.x[keep], y=curve.y[keep], marks=marks)


def _energy(report: ReportData) -> Curve | None:
    energy = report.energy
    if energy is None:
        return None
    return Curve(
        "energy",
        "Energy",
        COUNT_LABEL,
        "share of the energy, %",
        np.arange(1, report.stored + 1),
        100 * np.cumsum(energy[list(report.ranking.order)]),
        _marks(report, lambda s: 100 * float(energy[list(s.indices)].sum())),
        "Energy is the squared coefficients, added up over all blocks of all images; 100 % is"
        f" what all {report.stored} channels have together. Most of it is the mean brightness of"
        " the blocks (y_0_0), so a high share alone does not make a good image.",
    )


def _bytes(report: ReportData) -> Curve:
    cost = report.analysis.channel_bytes
    return Curve(
        "bytes",
        "Bytes",
        COUNT_LABEL,
        "KB an image",
        np.arange(1, report.stored + 1),
        np.cumsum(cost[list(report.ranking.order)]) / 1e3,
        _marks(report, lambda s: report.kilobytes(s.indices)),
        "What reading the channels takes from disk, as measured in this store: compressed bytes"
        " divided by the images, 1 KB = 1000 bytes. A point above the line costs more than as"
        " many channels by the ranking.",
    )


def _psnr(report: ReportData) -> Curve:
    counts = np.arange(1, report.stored)
    return Curve(
        "psnr",
        "PSNR",
        COUNT_LABEL,
        "PSNR in RGB, dB",
        counts,
        _psnr_along(report),
        _marks(report, lambda s: report.analysis.psnr(s.indices)),
        f"How near an image from these channels is to one from all {report.stored}, in red, green"
        " and blue, before clipping, over all images. 6 dB more is half the error. The axis ends"
        f" at {PSNR_TOP:.0f} dB at most: beyond, hardly anything differs.",
        top=PSNR_TOP,
    )


def _psnr_of_bytes(report: ReportData) -> Curve:
    cost = report.analysis.channel_bytes
    return Curve(
        "psnr-of-bytes",
        "PSNR for the bytes",
        "KB an image (logarithmic)",
        "PSNR in RGB, dB",
        np.cumsum(cost[list(report.ranking.order)])[:-1] / 1e3,
        _psnr_along(report),
        _marks(
            report,
            lambda s: report.analysis.psnr(s.indices),
            lambda s: report.kilobytes(s.indices),
        ),
        "The two figures before in one: what an image costs, and how near it is to the one from"
        f" all {report.stored} channels. A point above the line is a better picture for its bytes"
        " than the ranking gives; a network may judge otherwise.",
        top=PSNR_TOP,
    )


def _psnr_along(report: ReportData) -> np.ndarray:
    order = report.ranking.order
    return np.array([report.analysis.psnr(order[:count]) for count in range(1, report.stored)])


def _accuracy(report: ReportData) -> Curve:
    return _network_curve(
        report,
        "top-1",
        "Top-1 of the network",
        "top-1 accuracy, %",
        lambda loss, accuracy: 100 * accuracy,
        "How often the network's first class is right on images from these channels"
        " only; it was trained on whole images and is not trained again.",
    )


def _loss(report: ReportData) -> Curve:
    return _network_curve(
        report,
        "cross-entropy",
        "Cross-entropy of the network",
        "cross-entropy, nats",
        lambda loss, accuracy: loss,
        "The network's mean cross-entropy on the same images; lower is better. It separates"
        " selections more finely than accuracy does.",
    )


def _network_curve(
    report: ReportData,
    name: str,
    title: str,
    y_label: str,
    value: Callable[[float, float], float],
    reading: str,
) -> Curve:
    def of(selection: Selection) -> float:
        outcome = report.network_result(selection.indices)
        return value(outcome.loss, outcome.accuracy) if outcome else np.nan

    counts = range(1, report.stored + 1)
    known = [count for count in counts if report.network_result(report.top(count).indices)]
    return Curve(
        name,
        title,
        COUNT_LABEL,
        y_label,
        np.array(known),
        np.array([of(report.top(count)) for count in known]),
        _marks(report, of),
        f"{reading} The dots are the first channels of the ranking.",
        dots=True,
    )


def _marks(
    report: ReportData,
    y: Callable[[Selection], float],
    x: Callable[[Selection], float] = len,
) -> tuple[Mark, ...]:
    """Marks of the named selections."""
    return tuple(
        Mark(name, float(x(selection)), float(y(selection)), number == 0)
        for number, (name, selection) in enumerate(report.named())
    )


def draw_curve(curve: Curve, palette: Palette) -> Figure:
    """Draw a curve with its marks and their labels."""
    figure = new_figure(_WIDTH, _HEIGHT)
    axes = figure.add_axes((58 / _WIDTH, 46 / _HEIGHT, 1 - 72 / _WIDTH, 1 - 58 / _HEIGHT))
    (line,) = axes.plot(curve.x, curve.y, color=palette.curve, linewidth=1.8, markersize=4)
    line.set_marker("o" if curve.dots else "none")
    line.set_gid("curve")
    for mark in curve.marks:
        color = palette.chosen if mark.chosen else palette.published
        axes.plot(
            [mark.x],
            [mark.y],
            "D" if mark.chosen else "o",
            markersize=8 if mark.chosen else 6,
            markerfacecolor=color if mark.chosen else palette.card,
            markeredgecolor=color,
            markeredgewidth=1.6,
            zorder=4 if mark.chosen else 3,
        )
    _scales(axes, curve, palette)
    figure.draw_without_rendering()  # the limits are known only then
    _write_labels(axes, curve, palette)
    return figure


def _scales(axes: Axes, curve: Curve, palette: Palette) -> None:
    from matplotlib.ticker import FixedFormatter, FixedLocator

    logarithmic_x(axes)
    if curve.x_label == COUNT_LABEL:
        axes.xaxis.set_major_locator(FixedLocator(_COUNTS))
        axes.xaxis.set_major_formatter(FixedFormatter([str(count) for count in _COUNTS]))
        axes.set_xlim(0.9, 230)
    axes.margins(y=0.1)
    if curve.y.max() > curve.top:
        highest = max([mark.y for mark in curve.marks], default=0.0)
        axes.set_ylim(top=max(curve.top, highest + 5))
    axes.set_xlabel(curve.x_label, color=palette.ink)
    axes.set_ylabel(curve.y_label, color=palette.ink)
    style_axes(axes, palette)


def _write_labels(axes: Axes, curve: Curve, palette: Palette) -> None:
    """Put each mark's name beside it; a thin line leads to those further away."""
    to_pixels = axes.transData.transform
    points = [(float(x), float(y)) for x, y in (to_pixels((m.x, m.y)) for m in curve.marks)]
    texts = [
        axes.text(
            0,
            0,
            mark.name,
            fontsize=10,
            transform=None,
            color=palette.chosen if mark.chosen else palette.ink,
            fontweight="bold" if mark.chosen else "normal",
            va="bottom",
            ha="left",
        )
        for mark in curve.marks
    ]
    sizes = []
    for text in texts:
        extent = text.get_window_extent()
        sizes.append((float(extent.width), float(extent.height)))
    edge = axes.get_window_extent()
    bounds = Box(edge.x0 + 2, edge.y0 + 2, edge.x1, edge.y1)
    boxes = place_labels(points, sizes, _along(axes, curve), bounds)
    for text, box, point in zip(texts, boxes, points, strict=True):
        _put(axes, text, box, point, palette)


def _put(axes: Axes, text: object, box: Box, point: tuple[float, float], palette: Palette) -> None:
    back = axes.transAxes.inverted().transform
    text.set_transform(axes.transAxes)  # type: ignore[attr-defined]
    text.set_position(back((box.left, box.low)))  # type: ignore[attr-defined]
    if gap(box, point) > _LEADER:
        ends = back([nearest(box, point), point])
        axes.plot(
            ends[:, 0],
            ends[:, 1],
            color=palette.muted,
            linewidth=0.7,
            transform=axes.transAxes,
            zorder=2.5,
        )


def _along(axes: Axes, curve: Curve) -> list[tuple[float, float]]:
    """Points every few pixels along the line."""
    ends = axes.transData.transform(np.column_stack([curve.x, curve.y]))
    length = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(ends, axis=0).T))])
    steps = np.arange(0, length[-1] + 1, 4.0)
    xs, ys = (np.interp(steps, length, ends[:, axis]) for axis in range(2))
    return [(float(x), float(y)) for x, y in zip(xs, ys, strict=True)]
