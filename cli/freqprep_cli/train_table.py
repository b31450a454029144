"""Text that ``freqprep train`` prints at the end of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from freqprep.text.quantities import percent, plural, size
from freqprep.text.terminal import columns, on_one_line, table

if TYPE_CHECKING:
    from freqprep.training.model_config import ModelConfig


def describe(config: ModelConfig, run: Path) -> str:
    """Return the results of a run as text."""
    results = config.results
    inputs, validation = config.inputs, results["validation"]
    lines = [
        ("input", f"{_size(inputs)}, {plural(len(inputs.read), 'channel')} read"),
        ("parameters", f"{results['parameters']:,}"),
        ("multiply-accumulates", f"{results['multiply_accumulates'] / 1e6:,.1f} million an image"),
        ("read", f"{size(results['read_bytes_per_image'])} an image"),
        ("source files", f"{size(results['source_bytes_per_image'])} an image"),
    ]
    if "box" in validation:
        lines += [
            (f"{what} AP, AP50", f"{percent(found['AP'], 2)}, {percent(found['AP50'], 2)}")
            for what in ("box", "mask")
            if (found := validation[what])
        ]
    elif validation:
        lines += [
            ("top-1", f"{validation['top1']:.2%}"),
            ("top-5", f"{validation['top5']:.2%}"),
        ]
    if validation:
        images, rejected = validation["images"], validation["rejected"]
        lines += [("validated", f"{plural(images, 'image')}, {rejected} rejected")]
    if "gate" in results:
        gate = results["gate"]
        mean = "" if config.selects else " in the mean"
        proposed = f"{len(gate['channels'])} channels, {size(gate['bytes'])} an image"
        lines += [
            (
                "gates open",
                f"{gate['open']:.{0 if config.selects else 1}f} of {inputs.planes}{mean}",
            ),
            ("proposed", f"{proposed}: {run / gate['selection_file']}"),
            ("scores", f"{run / gate['scores_file']}, for `freqprep stats --scores`"),
        ]
    return f"{config.model} in {run}\n{table(lines)}"


def _size(inputs: Any) -> str:
    """Describe the size of one input; of a detector's, its short side."""
    if hasattr(inputs, "shape"):
        return " x ".join(map(str, inputs.shape))
    return f"{inputs.planes} planes, short side {inputs.short // inputs.stride}"


def describe_sweep(rows: list[dict[str, Any]]) -> str:
    """Tabulate each weight of the gate: open gates, accuracy and the whole path of its run."""
    figures = [
        (
            f"lambda {row['lambda']:g}",
            f"{row['open']:.1f} open",
            "no validation" if row["top1"] is None else f"top-1 {row['top1']:.2%}",
        )
        for row in rows
    ]
    lines = columns((), figures).splitlines()
    return "\n".join(
        f"{line}  {on_one_line(row['run'])}" for line, row in zip(lines, rows, strict=True)
    )
