"""Charts of a grid: the accuracy of each kind of input, how it was learned, what gates chose."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from freqprep.report.grids import draw_rows
from freqprep.report.style import Palette, new_figure
from freqprep.spectrum.channels import CHANNELS, Selection
from freqprep.spectrum.channels import channels as resolve
from freqprep.store.split import Split
from freqprep.training.gate_map import logarithm, nearest_published
from tests.benchmarks.equal_terms.grid import MODELS, WAYS
from tests.benchmarks.equal_terms.results import Line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CURVES = ("rgb", "patches-24", "pixels-192", "dct-24", "dct-192")


def draw_accuracy(lines: list[Line], scale: str, palette: Palette) -> Figure:
    """Plot each training as a dot and the mean as a bar, by model."""
    models = [model for model in MODELS if any(line.model == model for line in lines)]
    counts = [sum(line.model == model for line in lines) for model in models]
    figure = new_figure(640, 70 + 60 * len(models) + 26 * sum(counts))
    panels = figure.subplots(len(models), 1, squeeze=False, height_ratios=counts)[:, 0]
    for axes, model in zip(panels, models, strict=True):
        _panel(axes, [line for line in lines if line.model == model], palette)
        axes.set_title(f"{model} ({scale})", color=palette.ink, loc="left", fontsize=11)
    panels[-1].set_xlabel("top-1, %: each seed, mean and standard deviation", color=palette.muted)
    figure.tight_layout()
    return figure


def draw_curves(lines: list[Line], palette: Palette) -> Figure:
    """Plot accuracy by epoch of the decisive kinds of input: mean and range of the seeds."""
    models = [model for model in MODELS if any(line.model == model for line in lines)]
    figure = new_figure(640, 300 * len(models))
    panels = figure.subplots(len(models), 1, squeeze=False)[:, 0]
    for axes, model in zip(panels, models, strict=True):
        for line in lines:
            if line.model == model and line.way in _CURVES:
                _curve(axes, line)
        axes.set_title(model, color=palette.ink, loc="left", fontsize=11)
        axes.set_ylabel("top-1, %", color=palette.muted)
        axes.legend(frameon=False, labelcolor=palette.ink)
        _plain(axes, palette)
    panels[-1].set_xlabel("epoch", color=palette.muted)
    figure.tight_layout()
    return figure


def draw_gates(lines: list[Line], split: Split, stats: Selection, palette: Palette) -> Figure:
    """Draw how many seeds' gates chose each channel, and the energy with ``stats``' choice.

    Parameters
    ----------
    lines : list of Line
        Of gates.
    split : Split
        Trained on.
    stats : Selection
    palette : Palette
    """
    rows = []
    for line in lines:
        seeds, sizes = len(line.chosen), [len(one) for one in line.chosen]
        times = np.zeros(CHANNELS)
        for one in line.chosen:
            times[list(resolve(sorted(one)).indices)] += 1
        near = nearest_published(round(float(np.mean(sizes))))
        gate = WAYS[line.way].label.removeprefix("DCT-192, a ")
        heading = f"{gate}: 0 to {seeds} seeds; {near.name} outlined"
        rows.append((heading, times, near.indices))
    heading = f"energy, logarithmic; stats' choice of {len(stats)} outlined"
    energy = split.moments.energy(split.steps)
    return draw_rows([*rows, (heading, logarithm(energy), stats.indices)], palette)


def _curve(axes: Axes, line: Line) -> None:
    epochs = np.arange(1, line.curves.shape[1] + 1)
    drawn = axes.plot(epochs, line.curves.mean(axis=0), label=WAYS[line.way].label)
    least, most = line.curves.min(axis=0), line.curves.max(axis=0)
    axes.fill_between(epochs, least, most, color=drawn[0].get_color(), alpha=0.15, linewidth=0)


def _panel(axes: Axes, lines: list[Line], palette: Palette) -> None:
    for place, line in enumerate(lines):
        values = list(line.top1.values())
        axes.scatter(values, np.full(len(values), place), 16, color=palette.muted, zorder=3)
        spread = line.spread if len(values) > 1 else 0.0
        axes.errorbar(
            line.mean, place, xerr=spread, fmt="D", color=_color(line, palette), markersize=7,
            capsize=4, zorder=2,
        )  # fmt: skip
    labels = [f"{WAYS[line.way].label}, {line.bytes / 1e3:.0f} KB" for line in lines]
    axes.set_yticks(range(len(lines)), labels)
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.grid(axis="x", color=palette.line, linewidth=0.8)
    _plain(axes, palette)
    axes.tick_params(axis="y", labelcolor=palette.ink)


def _color(line: Line, palette: Palette) -> str:
    if line.way.startswith(("patches", "pixels")):
        return palette.chosen
    return palette.published if line.way.startswith("rgb") else palette.curve


def _plain(axes: Axes, palette: Palette) -> None:
    axes.set_axisbelow(True)
    axes.tick_params(length=0, colors=palette.muted)
    for spine in axes.spines.values():
        spine.set_visible(False)
