"""Figure of a confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from freqprep.report.style import Palette, new_figure
from freqprep.text.escapes import escape_ascii

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_NUMBERS = 25
"""Largest number of classes with the number of images in each cell."""

_MOST_NAMES = 60
"""Largest number of classes with their names along the sides."""

_LONGEST_NAME = 24
_CELL, _SMALLEST, _LARGEST, _SIDE, _LETTER = 26.0, 320.0, 900.0, 30.0, 6.2


def draw_confusion(
    matrix: np.ndarray, labels: Sequence[str], predictions: Sequence[str], palette: Palette
) -> Figure:
    """Draw a confusion matrix; colours are shares of a label's images.

    Parameters
    ----------
    matrix : ndarray of int64, shape (labels, predictions)
        Number of images.
    labels, predictions : sequence of str
        Names of the rows and of the columns.
    palette : Palette
        Colours of the figure.

    Returns
    -------
    Figure
    """
    rows, columns = matrix.shape
    named = max(rows, columns) <= _MOST_NAMES
    names = [[_shown(name) for name in side] for side in (labels, predictions)]
    margin = _SIDE + (max(map(len, names[0] + names[1])) * _LETTER if named else 0)
    across, down = (min(max(_CELL * n, _SMALLEST), _LARGEST) for n in (columns, rows))
    width, height = margin + across + 20, margin + down + 20
    figure = new_figure(width, height)
    axes = figure.add_axes((margin / width, margin / height, across / width, down / height))
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto", interpolation="none")
    axes.set_xlabel("predicted", color=palette.ink)
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
    """A name in ASCII, shortened."""
    text = escape_ascii(name)
    return text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 3]}..."
