"""All figures of a report by name, for the page and for files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np

from freqprep.importance.ranking import Ranking, by_size
from freqprep.report.heatmaps import correlation_map, overlap_map, score_map
from freqprep.report.report_data import ReportData
from freqprep.report.selection_curves import all_curves, draw_curve
from freqprep.report.style import DrawFigure


@dataclass(frozen=True)
class ReportFigure:
    """A figure that can be drawn.

    Attributes
    ----------
    name : str
        Of its file and its element: lower case, digits, hyphens; unique in a report.
    title : str
        Not escaped.
    reading : str
        How to read it; not escaped.
    draw : callable
    """

    name: str
    title: str
    reading: str
    draw: DrawFigure


def score_figures(report: ReportData) -> list[ReportFigure]:
    """A map of each score, the one that was used first."""
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
    """What more channels bring."""
    return [
        ReportFigure(f"curve-{curve.name}", curve.title, curve.reading, partial(draw_curve, curve))
        for curve in all_curves(report)
    ]


def overlap_figures(report: ReportData) -> list[ReportFigure]:
    """The chosen channels on the grid of each published selection."""
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
    """Which channels say the same."""
    draw = partial(correlation_map, report.analysis.correlation, report.chosen)
    return ReportFigure("correlation", "Correlation of the channels", "", draw)


def drift_figure(report: ReportData) -> ReportFigure | None:
    """Level of each channel in the split compared with, if there is one."""
    if report.drift is None:
        return None
    level = np.asarray(report.drift.level, np.float64)
    meaning = f"energy in {report.drift.other} over the energy here"
    order = by_size(np.abs(level))
    ranking = Ranking("level", "dB", meaning, level, order)
    draw = partial(score_map, ranking, report.chosen)
    return ReportFigure("drift-level", "Level there against here", meaning, draw)


def every_figure(report: ReportData) -> Iterable[ReportFigure]:
    """All of them, in the order of the page."""
    yield from score_figures(report)
    yield from curve_figures(report)
    yield from overlap_figures(report)
    yield correlation_figure(report)
    if drifted := drift_figure(report):
        yield drifted


def _slug(name: str) -> str:
    """A name of letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower())[:40].strip("-") or "unnamed"
