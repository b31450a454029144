"""Table and charts of the finished trainings of a grid.

``python -m tests.benchmarks.equal_terms.summary DIR/equal_terms`` at any time;
``table.md``, ``chart.png``, ``curves.png`` and ``gates.png`` are written into that folder.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from freqprep.report.style import as_png
from freqprep.spectrum.channels import channels as resolve
from freqprep.store.reader import open_store
from freqprep.store.selection_file import read_selection
from tests.benchmarks.equal_terms.chart import draw_accuracy, draw_curves, draw_gates
from tests.benchmarks.equal_terms.grid import JPEGS, MODELS, STATS_CHOICE, WAYS, store_path
from tests.benchmarks.equal_terms.results import (
    Line,
    paired_difference,
    read_lines,
    shared_channels,
)
from tests.benchmarks.training_runs import ORIGIN, finished_run

_REFERENCES = {"rgb": "- RGB", "patches-24": "- learned 8x8", "dct-24": "- DCT-24"}
_HEADER = (
    "input", "read / used", "top-1 %", "sd", *_REFERENCES.values(), "loss", "seeds", "rate",
    "KB an image", "of the JPEGs", "MMAC", "M weights", "s",
)  # fmt: skip


def summarise(folder: Path) -> dict[str, Any]:
    """Print and write the table, draw the charts.

    Parameters
    ----------
    folder : Path
        Folder of a grid.
    """
    origin = json.loads((folder / ORIGIN).read_text())
    lines = read_lines(folder)
    parts = (
        _introduction(origin, folder, lines),
        _tables(lines),
        _agreement(folder, lines),
        _trials(folder),
    )
    text = "\n".join([*(line for part in parts for line in part), ""])
    print(text)
    (folder / "table.md").write_text(text)
    if lines:
        chart = partial(draw_accuracy, lines, origin["scale"])
        (folder / "chart.png").write_bytes(as_png(chart))
        (folder / "curves.png").write_bytes(as_png(partial(draw_curves, lines)))
    if gates := [line for line in lines if line.chosen]:
        split = open_store(store_path(folder, "int8"))["train"]
        stats = read_selection(folder / STATS_CHOICE)
        chart = partial(draw_gates, gates, split, stats)
        (folder / "gates.png").write_bytes(as_png(chart))
    return {"origin": origin, "table": text}


def _introduction(origin: dict[str, Any], folder: Path, lines: list[Line]) -> Iterable[str]:
    """Origin of the results."""
    yield (
        f"**{origin['scale']}**. `python -m tests.benchmarks equal_terms --folder DIR`, commit"
        f" {', '.join(one[:7] for one in origin['commits'])}; {origin['device']}; torch"
        f" {origin['torch']}."
    )
    for model in MODELS:
        cards = [
            finished_run(path.parent) for path in (folder / "runs" / model).rglob("model.json")
        ]
        done = [config for config in cards if config is not None]
        if done:
            recipe, seeds = done[0].recipe, sorted({config.recipe["seed"] for config in done})
            yield (
                f"\n{model}: {recipe['epochs']} epochs, batches of {recipe['batch_size']}, seeds"
                f" {', '.join(map(str, seeds))}, {done[0].results['validation']['images']}"
                " validation images."
            )


def _tables(lines: list[Line]) -> Iterable[str]:
    for model in MODELS:
        own = {line.way: line for line in lines if line.model == model}
        if own:
            yield f"\n{model}\n"
            yield from _table(_HEADER, (_cells(line, own) for line in own.values()))


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterable[str]:
    header = list(header)
    yield "| " + " | ".join(header) + " |"
    yield "|" + "---|" * len(header)
    yield from ("| " + " | ".join(row) + " |" for row in rows)


def _cells(line: Line, own: dict[str, Line]) -> list[str]:
    return [
        WAYS[line.way].label,
        "-" if line.way == JPEGS else f"{line.read} / {line.used or 'RGB'}",
        f"{line.mean:.1f}",
        f"{line.spread:.1f}" if len(line.top1) > 1 else "-",
        *(_difference(line, own.get(reference)) for reference in _REFERENCES),
        f"{line.loss:.3f}",
        str(len(line.top1)),
        f"{line.rate:g}",
        f"{line.bytes / 1e3:.1f}",
        f"{line.bytes / line.source_bytes:.2f}",
        f"{line.operations / 1e6:.1f}",
        f"{line.weights / 1e6:.2f}",
        f"{line.seconds:.0f}",
    ]


def _difference(line: Line, reference: Line | None) -> str:
    if reference is None or reference is line:
        return ""
    found = paired_difference(line, reference)
    return "-" if found is None else f"{found[0]:+.1f} +- {found[1]:.1f}"


def _agreement(folder: Path, lines: list[Line]) -> Iterable[str]:
    """How many channels the gates of different seeds share, and with fixed selections."""
    gates = [line for line in lines if line.chosen]
    if not gates:
        return
    others = {"square-24": frozenset(resolve("square-24").names)}
    stats = folder / STATS_CHOICE
    if stats.exists():
        others["stats' choice"] = frozenset(read_selection(stats).names)
    header = ("gate", "channels, by seed", "in both of each pair of seeds", *others)
    yield "\nChannels that the gates chose\n"
    yield from _table(header, (_shared(line, list(others.values())) for line in gates))


def _shared(line: Line, others: list[frozenset[str]]) -> list[str]:
    return [
        WAYS[line.way].label,
        ", ".join(str(len(one)) for one in line.chosen),
        ", ".join(map(str, shared_channels(line))) or "-",
        *(
            ", ".join(f"{len(one & other)}" for one in line.chosen) + f" of {len(other)}"
            for other in others
        ),
    ]


def _trials(folder: Path) -> Iterable[str]:
    """List the validation loss of each trial of a learning rate."""
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for run in sorted((folder / "trials").glob("*/*/rate-*")):
        config = finished_run(run)
        if config is not None:
            key = run.parts[-3], run.parts[-2]
            loss = config.results["validation"]["loss"]
            rows.setdefault(key, {})[run.name.removeprefix("rate-")] = f"{loss:.3f}"
    if not rows:
        return
    rates = sorted({rate for by in rows.values() for rate in by}, key=float)
    yield "\nTrials of the learning rate: validation loss\n"
    yield from _table(
        ("network", "input", *rates),
        ((m, WAYS[w].label, *(by.get(r, "-") for r in rates)) for (m, w), by in rows.items()),
    )


if __name__ == "__main__":
    summarise(Path(sys.argv[1]))
