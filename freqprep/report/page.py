"""The report as one HTML file, without requests to any server."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from string import Template

from freqprep.importance.result import StatsResult
from freqprep.progress import Progress
from freqprep.report import sections
from freqprep.report.report_data import ReportData
from freqprep.report.sample_pictures import sample_images
from freqprep.report.style import DARK, LIGHT, check_matplotlib, variables
from freqprep.storage.disk import full_disk_named, write_parts
from freqprep.store.split import Split
from freqprep.text.escapes import escape_html

_LINKS = (
    ("scores", "Scores"),
    ("curves", "Curves"),
    ("allocation", "Bytes"),
    ("pictures", "Pictures"),
    ("channels", "Channels"),
    ("ranking", "Ranking"),
    ("overlap", "Published"),
    ("redundancy", "Redundancy"),
    ("drift", "Other split"),
)


def write_report(result: StatsResult, split: Split, path: Path) -> None:
    """Write the report of a result as one HTML file.

    Style, script and pictures are inside; the file makes no requests.

    Parameters
    ----------
    result : StatsResult
    split : Split
        Split that was analysed.
    path : Path
        File to write, replaced if it exists.

    Raises
    ------
    MissingPackageError
        matplotlib is not installed.
    """
    check_matplotlib()
    report = ReportData.of(result)
    shown = sample_images(report, split)
    steps: tuple[Callable[[], str], ...] = (
        lambda: sections.head(report),
        lambda: sections.scores(report),
        lambda: sections.curves(report),
        lambda: sections.allocation(report),
        lambda: sections.pictures(report, shown),
        lambda: sections.channel_gallery(report, split, shown),
        lambda: sections.ranking(report),
        lambda: sections.overlap(report),
        lambda: sections.redundancy(report),
        lambda: sections.drift(report),
    )
    parts = []
    with Progress("report", len(steps), unit="section") as progress:
        for step in steps:
            parts.append(step())
            progress.update(1)
    page = _page(report, parts).encode()
    with full_disk_named(path.absolute().parent):
        write_parts(path, [page], aside=path.absolute().parent)


def _page(report: ReportData, parts: list[str]) -> str:
    here = files("freqprep.report")
    script = (here / "report.js").read_text(encoding="utf-8")
    style = Template((here / "report.css").read_text(encoding="utf-8")).substitute(
        light=variables(LIGHT), dark=variables(DARK)
    )
    body = "\n".join(parts[1:])
    links = "".join(
        f'<a href="#{name}">{title}</a>'
        for name, title in _LINKS
        if f'<section id="{name}"' in body
    )
    analysis = report.analysis
    store = analysis.store.rstrip("/").rsplit("/", 1)[-1]
    return Template((here / "page.html").read_text(encoding="utf-8")).substitute(
        title=escape_html(f"Frequency channels of {store}, {analysis.split}"),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        script=script,
        style=style,
        head=parts[0],
        links=links,
        body=body,
    )
