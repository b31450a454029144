"""Plot cross-entropy against bytes, by precision.

``python -m tests.benchmarks precisions --json FIGURES.json``, then
``python -m tests.benchmarks.precisions.curve FIGURES.json docs/images/precisions.png``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freqprep.report.style import Palette, as_png, new_figure
from tests.benchmarks.precisions.tables import OFFERED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BYTES, _CHANGE, _ERROR = 0, 1, 2
_PLACES = {"coarse": (0.02, -0.004), "compact": (0.02, -0.008), "int8": (-0.03, 0.012)}


def main() -> None:
    source, target = map(Path, sys.argv[1:])
    verdicts = json.loads(source.read_text())["precisions"]["verdicts"]

    def draw(palette: Palette) -> Figure:
        figure = new_figure(760, 300)
        _all_channels(figure.add_axes((0.08, 0.17, 0.4, 0.72)), verdicts["all channels"], palette)
        _fewer(figure.add_axes((0.58, 0.17, 0.4, 0.72)), verdicts["fewer channels"], palette)
        return figure

    target.write_bytes(as_png(draw))


def _all_channels(axes: Axes, rows: Sequence[Sequence[Any]], palette: Palette) -> None:
    tried = [row[1:] for row in rows[1:] if row[0] not in OFFERED]
    _points(axes, tried, palette.muted, "tried")
    offered = {row[0]: row[1:] for row in rows if row[0] in OFFERED}
    _points(axes, offered.values(), palette.chosen, "offered")
    for name, figures in offered.items():
        x, y = _PLACES[name]
        axes.text(figures[_BYTES] + x, figures[_CHANGE] + y, name, color=palette.ink)
    axes.axhline(0, color=palette.line)
    axes.set_title("all 192 channels, against the pixels", fontsize="medium")
    axes.set_ylabel("change of cross-entropy, nats")
    axes.legend(frameon=False)


def _fewer(axes: Axes, rows: Sequence[Sequence[Any]], palette: Palette) -> None:
    _points(axes, [row[2:] for row in rows], palette.curve, None)
    for read, steps, *figures in rows:
        label = f" {read.rpartition('-')[2]}, {steps.partition(',')[0]}"
        axes.text(figures[_BYTES], figures[_CHANGE] + 0.008, label, color=palette.ink, fontsize=7)
    axes.set_xlim(right=max(row[2] for row in rows) * 1.15)
    axes.set_ylim(top=0.04)
    axes.set_title("fewer channels, against square-24 at int8", fontsize="medium")


def _points(axes: Axes, figures: Iterable[Sequence[float]], color: str, label: str | None) -> None:
    share, change, error, _ = zip(*figures, strict=True)
    axes.errorbar(
        share, change, error, fmt="o", color=color, label=label, markersize=4, elinewidth=0.7
    )
    axes.set_xlabel("bytes over those of the JPEGs")
    axes.grid(color="#d8dde3", linewidth=0.5)


if __name__ == "__main__":
    main()
