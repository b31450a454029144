"""Table and chart of the finished trainings of a grid.

``python -m tests.benchmarks.equal_terms.summary DIR/equal_terms`` at any time;
``table.md`` and ``chart.png`` are written into that folder.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from freqprep.report.style import Palette, as_png, new_figure
from freqprep.training.metrics import read_metrics
from tests.benchmarks.equal_terms.grid import GATE, JPEGS, MODELS, WAYS
from tests.benchmarks.training_runs import ORIGIN, finished_run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_HEADER = (
    "input", "read / used", "top-1 %", "sd", "loss", "seeds", "KB an image", "of the JPEGs",
    "MMAC", "M weights", "s",
)  # fmt: skip


@dataclass(frozen=True)
class Line:
    """Results of one kind of input.

    Attributes
    ----------
    model, way : str
    seeds : tuple of int
    top1 : ndarray of float64
        Accuracy of each seed, in percent.
    loss : float
        Mean cross-entropy on the validation images, nats.
    read, used : int
        Channels; used is 0 for RGB.
    bytes, source_bytes : float
        Bytes read per image, and bytes of its JPEG.
    operations, weights : int
        Multiply-accumulates per image, and number of parameters.
    seconds : float
        Mean training time of one network, without validation.
    """

    model: str
    way: str
    seeds: tuple[int, ...]
    top1: np.ndarray
    loss: float
    read: int
    used: int
    bytes: float
    source_bytes: float
    operations: int
    weights: int
    seconds: float

    @property
    def spread(self) -> float:
        """Standard deviation over the seeds; NaN for a single seed."""
        return float(self.top1.std(ddof=1)) if len(self.top1) > 1 else float("nan")


def summarise(folder: Path) -> dict[str, Any]:
    """Print and write the table, draw the chart.

    Parameters
    ----------
    folder : Path
        Folder of a grid.
    """
    origin = json.loads((folder / ORIGIN).read_text())
    lines = [
        line for model in MODELS for way in WAYS if (line := _line(folder, model, way)) is not None
    ]
    text = "\n".join([*_introduction(origin, folder, lines), *_tables(lines), ""])
    print(text)
    (folder / "table.md").write_text(text)
    if lines:
        (folder / "chart.png").write_bytes(
            as_png(lambda palette: _draw(lines, origin["scale"], palette))
        )
    return {"origin": origin, "table": text}


def _line(folder: Path, model: str, way: str) -> Line | None:
    """Results of one kind of input; None if no training is finished."""
    found = {
        int(run.name.removeprefix("seed-")): (config, run)
        for run in sorted((folder / "runs" / model / way).glob("seed-*"))
        if (config := finished_run(run)) is not None
    }
    if not found:
        return None
    results = [config.results for config, _ in found.values()]
    config, any_result = next(iter(found.values()))[0], results[0]
    source_bytes = any_result["source_bytes_per_image"]
    return Line(
        model,
        way,
        tuple(found),
        np.array([100 * result["validation"]["top1"] for result in results]),
        float(np.mean([result["validation"]["loss"] for result in results])),
        0 if way == JPEGS else len(config.inputs.read),
        len(config.inputs.channels),
        # The gate of each seed chose other channels, so the bytes differ.
        source_bytes if way == JPEGS else _mean(r["read_bytes_per_image"] for r in results),
        source_bytes,
        any_result["multiply_accumulates"],
        any_result["parameters"],
        _mean(_seconds(run, int(config.recipe["batch_size"])) for config, run in found.values()),
    )


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _seconds(run: Path, batch_size: int) -> float:
    """Seconds of the steps, over all interruptions of the training."""
    seconds, before = 0.0, 0
    for line in read_metrics(run):
        if line["kind"] == "train":
            seconds += (line["steps"] - before) * batch_size / line["images_per_second"]
            before = line["steps"]
    return seconds


def _introduction(origin: dict[str, Any], folder: Path, lines: list[Line]) -> list[str]:
    """Origin of the results."""
    text = [
        f"**{origin['scale']}**. `python -m tests.benchmarks equal_terms --folder DIR`, commit"
        f" {', '.join(origin['commits'])}; {origin['device']}; torch {origin['torch']}."
    ]
    for model in MODELS:
        cards = [
            finished_run(path.parent) for path in (folder / "runs" / model).rglob("model.json")
        ]
        done = [config for config in cards if config is not None]
        if done:
            recipe, seeds = done[0].recipe, sorted({config.recipe["seed"] for config in done})
            text.append(
                f"\n{model}: {recipe['epochs']} epochs, batches of {recipe['batch_size']}, learning"
                f" rate {recipe['lr']:g}, seeds {', '.join(map(str, seeds))},"
                f" {done[0].results['validation']['images']} validation images."
            )
        trials = _trials(folder / "trials" / model)
        if trials:
            text.append(f"Trials of the rate, loss of RGB and of DCT-24: {'; '.join(trials)}.")
    return text


def _trials(folder: Path) -> list[str]:
    found = []
    for rate in sorted(folder.glob("rate-*"), key=lambda path: float(path.name[5:])):
        cards = [finished_run(rate / way) for way in ("rgb", "dct-24")]
        losses = [
            f"{config.results['validation']['loss']:.3f}" for config in cards if config is not None
        ]
        found.append(f"{rate.name[5:]}: {', '.join(losses) or 'not done'}")
    return found


def _tables(lines: list[Line]) -> Iterable[str]:
    for model in MODELS:
        rows = [_cells(line) for line in lines if line.model == model]
        if rows:
            yield f"\n{model}\n"
            yield "| " + " | ".join(_HEADER) + " |"
            yield "|" + "---|" * len(_HEADER)
            yield from ("| " + " | ".join(row) + " |" for row in rows)


def _cells(line: Line) -> list[str]:
    return [
        WAYS[line.way].label,
        "-" if line.way == JPEGS else f"{line.read} / {line.used or 'RGB'}",
        f"{line.top1.mean():.1f}",
        f"{line.spread:.1f}" if len(line.top1) > 1 else "-",
        f"{line.loss:.3f}",
        str(len(line.seeds)),
        f"{line.bytes / 1e3:.1f}",
        f"{line.bytes / line.source_bytes:.2f}",
        f"{line.operations / 1e6:.1f}",
        f"{line.weights / 1e6:.2f}",
        f"{line.seconds:.0f}",
    ]


def _draw(lines: list[Line], scale: str, palette: Palette) -> Figure:
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


def _panel(axes: Axes, lines: list[Line], palette: Palette) -> None:
    for place, line in enumerate(lines):
        dct = line.way.startswith("dct") or line.way == GATE
        color = palette.curve if dct else palette.published
        if line.way.startswith("patches"):
            color = palette.chosen
        axes.scatter(line.top1, np.full(len(line.top1), place), 16, color=palette.muted, zorder=3)
        spread = line.spread if len(line.top1) > 1 else 0.0
        axes.errorbar(
            line.top1.mean(), place, xerr=spread, fmt="D", color=color, markersize=7, capsize=4,
            zorder=2,
        )  # fmt: skip
    labels = [f"{WAYS[line.way].label}, {line.bytes / 1e3:.0f} KB" for line in lines]
    axes.set_yticks(range(len(lines)), labels)
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.grid(axis="x", color=palette.line, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, colors=palette.muted)
    axes.tick_params(axis="y", labelcolor=palette.ink)
    for spine in axes.spines.values():
        spine.set_visible(False)


if __name__ == "__main__":
    summarise(Path(sys.argv[1]))
