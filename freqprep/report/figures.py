"""Figures of a report by name, for the page and for files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np

from freqprep.importance.ranking import Ranking, by_size
from freqprep.report.allocation_figure import AllocationFigure
from freqprep.report.heatmaps import correlation_map, overlap_map, score_map
from freqprep.report.report_data import ReportData
from freqprep.report.selection_curves import all_curves, draw_curve
from freqprep.report.style import DrawFigure


@dataclass(frozen=True)
class ReportFigure:
    """Figure of a report, drawn when needed.

    Attributes
    ----------
    name : str
        Name of its file and id of its element, unique in a report: lower case, digits, hyphens.
    title : str
        Title, not escaped.
    reading : str
        How to read it; not escaped.
    draw : callable
        Function from a palette to a matplotlib figure.
    """

    name: str
    title: str
    reading: str
    draw: DrawFigure


def score_figures(report: ReportData) -> list[ReportFigure]:
    """Return a heat map of each score, beginning with the score of the ranking."""
    return [
        ReportFigure(
            f"score-{number:02}-{_slug(ranking.name)}",
            ranking.name,
            ranking.meaning,
            partial(score_map, ranking, report.chosen),
        )
        for number, ranking in enumerate(report.rankings, 1)
    ]


def curve_figures(report: ReportData) -> list[ReportFigure]:
    """Return the curves along the ranking."""
    return [
        ReportFigure(f"curve-{curve.name}", curve.title, curve.reading, partial(draw_curve, curve))
        for curve in all_curves(report)
    ]


def allocation_figure(report: ReportData) -> ReportFigure:
    """Return the figure of bytes against visible distortion."""
    draw = AllocationFigure(report.rates, report.choice).draw
    return ReportFigure("allocation", "Bytes against distortion", "", draw)


def overlap_figures(report: ReportData) -> list[ReportFigure]:
    """Return a map of the chosen channels and each published selection."""
    return [
        ReportFigure(
            f"overlap-{_slug(name)}",
            name,
            f"the chosen channels and {name}",
            partial(overlap_map, report.chosen, selection.indices),
        )
        for name, selection in report.published()
    ]


def correlation_figure(report: ReportData) -> ReportFigure:
    """Return the correlation matrix of the channels."""
    draw = partial(correlation_map, report.analysis.correlation, report.chosen)
    return ReportFigure("correlation", "Correlation of the channels", "", draw)


def drift_figure(report: ReportData) -> ReportFigure | None:
    """Return a map of each channel's level in the other split, if there is one."""
    if report.drift is None:
        return None
    level = np.asarray(report.drift.level, np.float64)
    meaning = f"energy in {report.drift.other} over the energy here"
    shared = set(report.drift.channels)
    order = tuple(index for index in by_size(np.abs(level)) if index in shared)
    ranking = Ranking("level", "dB", meaning, level, order)
    draw = partial(score_map, ranking, report.chosen)
    return ReportFigure("drift-level", "Level there against here", meaning, draw)


def every_figure(report: ReportData) -> Iterable[ReportFigure]:
    """Yield all figures in the order of the page."""
    yield from score_figures(report)
    yield from curve_figures(report)
    yield allocation_figure(report)
    yield from overlap_figures(report)
    yield correlation_figure(report)
    if drifted := drift_figure(report):
        yield drifted


def _slug(name: str) -> str:
    """A name of letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower())[:40].strip("-") or "unnamed"
