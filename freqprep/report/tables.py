"""Tables of the page, as HTML. Names go through `escape_html`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from freqprep.importance.choice import NetworkResult
from freqprep.importance.result import jaccard
from freqprep.report.report_data import ReportData
from freqprep.spectrum.channels import NAMES
from freqprep.text.escapes import escape_html
from freqprep.text.quantities import decibels, percent, short_number


@dataclass(frozen=True)
class Cell:
    """Cell of a sortable table.

    Attributes
    ----------
    text : str
        Content, as HTML.
    value : float
        Sort key.
    """

    text: str
    value: float


def ranking_table(report: ReportData) -> str:
    """Write the sortable table of all channels with their scores."""
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
    return Cell(short_number(value), value)


def _cells(cells: Iterable[Cell]) -> str:
    parts = []
    for column, cell in enumerate(cells):
        kind = ("th", ' scope="row"') if column == 1 else ("td", "")
        parts.append(f'<{kind[0]}{kind[1]} data-value="{cell.value!r}">{cell.text}</{kind[0]}>')
    return "".join(parts)


def _heads(heads: Sequence[tuple[str, str, str]]) -> str:
    parts = []
    for column, (name, unit, meaning) in enumerate(heads):
        sorted_by = ' aria-sort="ascending"' if column == 0 else ""
        tip = f' title="{escape_html(meaning)}"' if meaning else ""
        below = f"<small>{escape_html(unit)}</small>" if unit else ""
        button = f'<button type="button"{tip}>{escape_html(name)}</button>'
        parts.append(f'<th scope="col"{sorted_by}>{button}{below}</th>')
    return "".join(parts)


def overlap_table(report: ReportData) -> str:
    """Write the table of the chosen and the published selections."""
    heads = ["selection", "channels", "in both", "overlap", "KB an image", "PSNR, RGB"]
    has_network = bool(report.network_results)
    heads += ["top-1", "cross-entropy"] if has_network else []
    lines = []
    for name, selection in [("chosen", report.selection), *report.published()]:
        ours, theirs = report.chosen, frozenset(selection.indices)
        cells = [
            str(len(theirs)),
            str(len(ours & theirs)),
            percent(jaccard(ours, theirs), space=True),
            f"{report.kilobytes(theirs):.1f}",
            decibels(report.analysis.psnr(theirs)),
        ]
        if has_network:
            cells += _network_cells(report.network_result(theirs))
        mark = ' class="chosen"' if name == "chosen" else ""
        lines.append(f'<tr{mark}><th scope="row">{name}</th>{_plain(cells)}</tr>')
    return _table(heads, lines)


def _network_cells(result: NetworkResult | None) -> list[str]:
    """Top-1 and cross-entropy, empty where the network was not evaluated."""
    if result is None:
        return ["", ""]
    return [percent(result.accuracy, space=True), f"{result.loss:.3f}"]


def stability_table(report: ReportData) -> str:
    """Write the table of agreement between halves of the images."""
    found = report.analysis.stability
    if not found:
        return "<p>There are too few images to compare halves of them.</p>"
    top = next(iter(found.values())).top
    lines = []
    for name, each in found.items():
        overlap, sd = (percent(share, space=True) for share in (each.overlap, each.overlap_sd))
        cells = [
            f"{each.spearman:.3f} <small>± {each.spearman_sd:.3f}</small>",
            f"{overlap} <small>± {sd}</small>",
        ]
        lines.append(f'<tr><th scope="row">{escape_html(name)}</th>{_plain(cells)}</tr>')
    return f"""{_table(["score", "Spearman", f"same top {top}"], lines)}
<p class="caption">The images are halved at random, and each half ranks the channels by itself.
Spearman is the correlation of the two orders of all channels: 1 is the same order, 0 is chance. The
last column is how many of the top {top} both halves choose. ± is the standard deviation over the
ways to halve.</p>"""


def unavailable_table(report: ReportData) -> str:
    """Write the scores that could not be computed, and why."""
    if not report.analysis.unavailable:
        return ""
    items = "".join(
        f"<dt>{escape_html(name)}</dt><dd>{escape_html(why)}</dd>"
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
