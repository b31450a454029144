"""Plot the error against the number of channels read.

``python -m tests.benchmarks crop_errors --json FIGURES.json``, then
``python -m tests.benchmarks.read_curve FIGURES.json docs/images/channels-read.png``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from freqprep.report.style import Palette, as_png, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def main() -> None:
    source, target = map(Path, sys.argv[1:])
    results = json.loads(source.read_text())["crop_errors"]["channels read"]

    def sketch(palette: Palette) -> Figure:
        figure = new_figure(460, 280)
        axes = figure.add_axes((0.12, 0.17, 0.84, 0.76))
        lines = ((palette.curve, "imagenet", "ImageNet, at most 512"),
                 (palette.chosen, "flowers17", "flowers17, at most 1024"))  # fmt: skip
        for color, name, label in lines:
            counts, errors = zip(*((row[1], row[2]) for row in results[name]), strict=True)
            axes.plot(counts, errors, "o-", color=color, label=label, markersize=4)
        axes.set_xlabel("channels read")
        axes.set_ylabel("error of the luma used, %")
        axes.set_xticks([24, 48, 64, 96, 128, 192])
        axes.set_ylim(0)
        axes.grid(color=palette.line)
        axes.legend(frameon=False)
        return figure

    target.write_bytes(as_png(sketch))


if __name__ == "__main__":
    main()
