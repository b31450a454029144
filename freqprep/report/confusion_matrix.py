"""A confusion matrix as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from freqprep.report.style import Palette, new_figure
from freqprep.text.escapes import escape_ascii

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_NUMBERS = 25
"""Classes up to which the number of images stands in each cell."""

_MOST_NAMES = 60
"""Classes up to which they are named along the sides."""

_LONGEST_NAME = 24
_CELL, _SMALLEST, _LARGEST, _SIDE, _LETTER = 26.0, 320.0, 900.0, 30.0, 6.2


def draw_confusion(
    matrix: np.ndarray, labels: Sequence[str], answers: Sequence[str], palette: Palette
) -> Figure:
    """Draw images by label and by answer; colours are shares of the label's images.

    Parameters
    ----------
    matrix : ndarray of int64, shape (labels, answers)
    labels, answers : sequence of str
        Names of the rows and of the columns.
    palette : Palette
    """
    rows, columns = matrix.shape
    named = max(rows, columns) <= _MOST_NAMES
    names = [[_shown(name) for name in side] for side in (labels, answers)]
    margin = _SIDE + (max(map(len, names[0] + names[1])) * _LETTER if named else 0)
    across, down = (min(max(_CELL * n, _SMALLEST), _LARGEST) for n in (columns, rows))
    width, height = margin + across + 20, margin + down + 20
    figure = new_figure(width, height)
    axes = figure.add_axes((margin / width, margin / height, across / width, down / height))
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto", interpolation="none")
    axes.set_xlabel("answered", color=palette.ink)
    axes.set_ylabel("label", color=palette.ink)
    axes.tick_params(length=0, colors=palette.ink, labelsize=9)
    if named:
        axes.set_xticks(range(columns), names[1], rotation=90)
        axes.set_yticks(range(rows), names[0])
    if max(rows, columns) <= _MOST_NUMBERS:
        for (row, column), count in np.ndenumerate(matrix):
            if count:
                color = palette.card if share[row, column] > 0.5 else palette.ink
                text = f"{count:,}" if count < 10_000 else f"{count / 1000:.0f}k"
                axes.text(column, row, text, color=color, fontsize=8, ha="center", va="center")
    for spine in axes.spines.values():
        spine.set_color(palette.line)
    return figure


def _shown(name: str) -> str:
    """A name that a figure can show, and not too long."""
    text = escape_ascii(name)
    return text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 3]}..."
