"""All figures of a report by name, for the page and for files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np

from freqprep.importance.ranking import Ranking, by_size
from freqprep.report.heatmaps import correlation_map, overlap_map, score_map
from freqprep.report.selection_curves import all_curves, draw_curve
from freqprep.report.style import Sketch
from freqprep.report.subject import Subject


@dataclass(frozen=True)
class Figure:
    """A figure that can be drawn.

    Attributes
    ----------
    name : str
        Of its file and its element: lower case, digits, hyphens; unique in a report.
    title : str
        Not escaped.
    reading : str
        How to read it; not escaped.
    sketch : callable
    """

    name: str
    title: str
    reading: str
    sketch: Sketch


def score_figures(subject: Subject) -> list[Figure]:
    """A map of each score, the one that was used first."""
    return [
        Figure(
            f"score-{number:02}-{_slug(ranking.name)}",
            ranking.name,
            ranking.meaning,
            partial(score_map, ranking, subject.chosen),
        )
        for number, ranking in enumerate(subject.rankings, 1)
    ]


def curve_figures(subject: Subject) -> list[Figure]:
    """What more channels bring."""
    return [
        Figure(f"curve-{curve.name}", curve.title, curve.reading, partial(draw_curve, curve))
        for curve in all_curves(subject)
    ]


def overlap_figures(subject: Subject) -> list[Figure]:
    """The chosen channels on the grid of each published selection."""
    return [
        Figure(
            f"overlap-{_slug(name)}",
            name,
            f"the chosen channels and {name}",
            partial(overlap_map, subject.chosen, selection.indices),
        )
        for name, selection in subject.published()
    ]


def correlation_figure(subject: Subject) -> Figure:
    """Which channels say the same."""
    sketch = partial(correlation_map, subject.analysis.correlation, subject.chosen)
    return Figure("correlation", "Correlation of the channels", "", sketch)


def drift_figure(subject: Subject) -> Figure | None:
    """Level of each channel in the split compared with, if there is one."""
    if subject.drift is None:
        return None
    level = np.asarray(subject.drift.level, np.float64)
    meaning = f"energy in {subject.drift.other} over the energy here"
    order = by_size(np.abs(level))
    ranking = Ranking("level", "dB", meaning, level, order)
    sketch = partial(score_map, ranking, subject.chosen)
    return Figure("drift-level", "Level there against here", meaning, sketch)


def every_figure(subject: Subject) -> Iterable[Figure]:
    """All of them, in the order of the page."""
    yield from score_figures(subject)
    yield from curve_figures(subject)
    yield from overlap_figures(subject)
    yield correlation_figure(subject)
    if drifted := drift_figure(subject):
        yield drifted


def _slug(name: str) -> str:
    """A name of letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower())[:40].strip("-") or "unnamed"
