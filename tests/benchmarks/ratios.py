"""Ratios of one run beside recorded ones: which are worse, by more than they vary.

Absolute figures vary with the machine, ratios within one run do not. `recorded.json` names them;
a new one is an entry without a value, which the next recording fills in.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

BETTER, SAME, WORSE = "better", "as before", "WORSE"
MISSING, NEW = "NOT MEASURED", "new"
_STEP = " > "


@dataclass(frozen=True)
class Ratio:
    """A figure of a benchmark, over another one, and what was recorded of it.

    Attributes
    ----------
    figure : str
        Name of the benchmark, then the keys that lead to the figure in what its ``run`` returns,
        separated by " > ". Of several numbers the median counts.
    over : str
        The denominator, likewise; empty if the figure itself is a ratio.
    worse : str
        Which values are worse: ``"lower"`` or ``"higher"``.
    spread : float
        How much the ratio varies between runs of the same code, as a share of its value.
    value : float, optional
    commit : str
        Where the value was measured.
    """

    figure: str
    over: str
    worse: str
    spread: float
    value: float | None = None
    commit: str = ""

    @property
    def benchmark(self) -> str:
        return self.figure.split(_STEP)[0]

    def of(self, figures: dict[str, Any]) -> float | None:
        """Compute it from the figures of all benchmarks, by name; None if it was not measured."""
        above = _number(figures, self.figure)
        below = _number(figures, self.over) if self.over else 1.0
        return above / below if above is not None and below else None

    def verdict(self, now: float | None) -> str:
        if now is None:
            return MISSING
        if self.value is None:
            return NEW
        change = now / self.value - 1
        if abs(change) <= self.spread:
            return SAME
        return WORSE if (change < 0) == (self.worse == "lower") else BETTER


@dataclass(frozen=True)
class Line:
    """A ratio now, beside its record."""

    name: str
    ratio: Ratio
    now: float | None

    @property
    def verdict(self) -> str:
        return self.ratio.verdict(self.now)

    @property
    def fails(self) -> bool:
        return self.verdict in (WORSE, MISSING)


def as_in_json(figures: object) -> Any:
    """Return figures as a file has them: keys are text, tuples lists, NumPy's numbers Python's."""
    return json.loads(json.dumps(figures, default=np.generic.item))


def compare(recorded: dict[str, Ratio], figures: dict[str, Any]) -> list[Line]:
    """Compare the ratios of those benchmarks that ran."""
    return [
        Line(name, ratio, ratio.of(figures))
        for name, ratio in recorded.items()
        if ratio.benchmark in figures
    ]


def worse_benchmarks(lines: Iterable[Line]) -> list[str]:
    """Return the benchmarks with a ratio that is worse, in order."""
    return list(dict.fromkeys(one.ratio.benchmark for one in lines if one.verdict == WORSE))


def better_of(first: Iterable[Line], second: Iterable[Line]) -> list[Line]:
    """Return the ratios of a run; what was worse is of a second run if it was not worse there."""
    repeated = {line.name: line for line in second if not line.fails}
    return [repeated.get(line.name, line) if line.verdict == WORSE else line for line in first]


def record(recorded: dict[str, Ratio], lines: Iterable[Line], commit: str) -> dict[str, Ratio]:
    """Return the ratios with the values of a run; those that it did not measure stay."""
    return recorded | {
        line.name: replace(line.ratio, value=float(f"{line.now:.4g}"), commit=commit)
        for line in lines
        if line.now is not None
    }


def benchmarks(recorded: dict[str, Ratio]) -> list[str]:
    """Return the benchmarks that have a ratio, in order."""
    return list(dict.fromkeys(ratio.benchmark for ratio in recorded.values()))


def from_json(text: str) -> dict[str, Ratio]:
    entries = json.loads(text)
    for entry in entries.values():
        entry.pop("command", None)  # for readers: the benchmark's name says it
    return {name: Ratio(**entry) for name, entry in entries.items()}


def to_json(recorded: dict[str, Ratio]) -> str:
    entries = {
        name: {**asdict(ratio), "command": f"python -m tests.benchmarks {ratio.benchmark}"}
        for name, ratio in recorded.items()
    }
    return json.dumps(entries, indent=1) + "\n"


def _number(figures: Any, path: str) -> float | None:
    for key in path.split(_STEP):
        try:
            figures = figures[int(key) if isinstance(figures, list) else key]
        except (KeyError, IndexError, TypeError, ValueError):
            return None
    return statistics.median(figures) if isinstance(figures, list) else float(figures)
