"""The page's tables, as HTML. Names go through `esc`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from freqprep.importance.result import jaccard
from freqprep.report.report_data import ReportData
from freqprep.report.text import decibel, esc, number, percent
from freqprep.spectrum.channels import NAMES


@dataclass(frozen=True)
class Cell:
    """A cell of a sortable table.

    Attributes
    ----------
    text : str
        HTML.
    value : float
        What it is sorted by.
    """

    text: str
    value: float


def ranking_table(report: ReportData) -> str:
    """Each channel with its scores, sortable."""
    error = report.analysis.error(report.ranking.name)
    heads = [("rank", "", ""), ("channel", "", ""), ("chosen", "", "")]
    heads.append(("KB", "an image", "bytes on disk an image, as measured in the store"))
    rankings = [each for each in report.rankings if each.name != "bytes"]
    for each in rankings:
        heads.append((each.name, each.unit, each.meaning))
        if each.name == report.ranking.name and error is not None:
            heads.append(("error", each.unit, "standard error of the column before"))
    lines = []
    for index in report.ranking.order:
        cells = [
            Cell(str(report.ranks[index]), float(report.ranks[index])),
            Cell(NAMES[index], float(index)),
            Cell("✓" if index in report.chosen else "", float(index in report.chosen)),
            _number(report.kilobytes([index])),
        ]
        for each in rankings:
            cells.append(_number(float(each.values[index])))
            if each.name == report.ranking.name and error is not None:
                cells.append(_number(float(error[index])))
        mark = ' class="chosen"' if index in report.chosen else ""
        lines.append(f"<tr{mark}>{_cells(cells)}</tr>")
    return f"""<div class="scroll tall" tabindex="0" role="region" aria-label="The ranking">
<table class="sortable"><thead><tr>{_heads(heads)}</tr></thead>
<tbody>{"".join(lines)}</tbody></table></div>"""


def _number(value: float) -> Cell:
    return Cell(number(value), value)


def _cells(cells: Iterable[Cell]) -> str:
    parts = []
    for place, cell in enumerate(cells):
        kind = ("th", ' scope="row"') if place == 1 else ("td", "")
        parts.append(f'<{kind[0]}{kind[1]} data-value="{cell.value!r}">{cell.text}</{kind[0]}>')
    return "".join(parts)


def _heads(heads: Sequence[tuple[str, str, str]]) -> str:
    parts = []
    for place, (name, unit, meaning) in enumerate(heads):
        sorted_by = ' aria-sort="ascending"' if place == 0 else ""
        tip = f' title="{esc(meaning)}"' if meaning else ""
        below = f"<small>{esc(unit)}</small>" if unit else ""
        button = f'<button type="button"{tip}>{esc(name)}</button>'
        parts.append(f'<th scope="col"{sorted_by}>{button}{below}</th>')
    return "".join(parts)


def overlap_table(report: ReportData) -> str:
    """The chosen and the published selections side by side."""
    heads = ["selection", "channels", "in both", "overlap", "KB an image", "PSNR, RGB"]
    asked = bool(report.network_results)
    heads += ["top-1", "cross-entropy"] if asked else []
    lines = []
    for name, selection in [("chosen", report.selection), *report.published()]:
        ours, theirs = report.chosen, frozenset(selection.indices)
        cells = [
            str(len(theirs)),
            str(len(ours & theirs)),
            percent(jaccard(ours, theirs)),
            f"{report.kilobytes(theirs):.1f}",
            decibel(report.analysis.psnr(theirs)),
        ]
        if asked:
            outcome = report.network_result(theirs)
            cells += [percent(outcome.accuracy), f"{outcome.loss:.3f}"] if outcome else ["", ""]
        mark = ' class="chosen"' if name == "chosen" else ""
        lines.append(f'<tr{mark}><th scope="row">{name}</th>{_plain(cells)}</tr>')
    return _table(heads, lines)


def stability_table(report: ReportData) -> str:
    """How well two halves of the images agree on each score."""
    found = report.analysis.stability
    if not found:
        return "<p>There are too few images to compare halves of them.</p>"
    top = next(iter(found.values())).top
    lines = []
    for name, each in found.items():
        cells = [
            f"{each.spearman:.3f} <small>± {each.spearman_sd:.3f}</small>",
            f"{percent(each.overlap)} <small>± {percent(each.overlap_sd)}</small>",
        ]
        lines.append(f'<tr><th scope="row">{esc(name)}</th>{_plain(cells)}</tr>')
    return f"""{_table(["score", "Spearman", f"same top {top}"], lines)}
<p class="caption">The images are halved at random, and each half ranks the channels by itself.
Spearman is the correlation of the two orders of all 192: 1 is the same order, 0 is chance. The last
column is how many of the top {top} both halves choose. ± is the standard deviation over the ways to
halve.</p>"""


def unavailable_table(report: ReportData) -> str:
    """Scores that could not be computed, and why."""
    if not report.analysis.unavailable:
        return ""
    items = "".join(
        f"<dt>{esc(name)}</dt><dd>{esc(why)}</dd>"
        for name, why in report.analysis.unavailable.items()
    )
    return f"""<div class="card facts"><h3>Scores that could not be computed here</h3>
<dl>{items}</dl></div>"""


def _table(heads: Iterable[str], lines: Iterable[str]) -> str:
    cells = "".join(f'<th scope="col">{head}</th>' for head in heads)
    return f"""<div class="scroll"><table><thead><tr>{cells}</tr></thead>
<tbody>{"".join(lines)}</tbody></table></div>"""


def _plain(cells: Iterable[str]) -> str:
    return "".join(f"<td>{cell}</td>" for cell in cells)
