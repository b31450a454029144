"""Chart of the peers: ``python -m tests.benchmarks.peers.chart FIGURES.json CHART.png``."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from freqprep.report.style import Palette, as_png, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_OURS = ("freqprep", "tensorstore: our store")
_LEFT = -0.42  # of the title, so that it begins above the labels; in widths of the axes


def draw(epochs: dict[str, dict[str, float]], palette: Palette) -> Figure:
    """Plot images per second of processor time as a bar for each way, the fastest first."""
    rates = sorted(((1000 / one["cpu ms"], title) for title, one in epochs.items()), reverse=True)
    figure = new_figure(760, 60 + 24 * len(rates))
    axes = figure.subplots()
    colors = [palette.chosen if title.startswith(_OURS) else palette.muted for _, title in rates]
    bars = axes.barh(range(len(rates)), [rate for rate, _ in rates], color=colors)
    axes.bar_label(bars, [f"{rate:,.0f}" for rate, _ in rates], padding=4, color=palette.ink)
    axes.set_yticks(range(len(rates)), [title for _, title in rates])
    axes.invert_yaxis()
    title = "images per second of processor time: crops of 224 pixels; codes are not cropped"
    axes.set_title(title, color=palette.ink, loc="left", x=_LEFT)
    axes.set_xticks([])
    axes.tick_params(length=0, labelcolor=palette.ink)
    axes.margins(x=0.12)
    for spine in axes.spines.values():
        spine.set_visible(False)
    figure.tight_layout()
    return figure


def main(figures: Path, chart: Path) -> None:
    epochs = json.loads(figures.read_text())["peers"]["epochs"]
    chart.write_bytes(as_png(partial(draw, epochs)))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
