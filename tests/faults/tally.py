"""Counts of a campaign: what was injected, what became of it, and what must not have happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

LOST, WRONG, PROCESSES, FILES, SEGMENTS, SAID = (
    "data lost",
    "wrong data",
    "processes left",
    "files left",
    "segments left",
    "no named error",
)
KINDS = (LOST, WRONG, PROCESSES, FILES, SEGMENTS, SAID)
HEAD = "| target | trials | faults | recovered | named errors | " + " | ".join(KINDS) + " |"


class Finding(Exception):
    """A law that did not hold.

    Parameters
    ----------
    kind : str
        One of ``KINDS``.
    detail : str
        What was seen.
    """

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind, self.detail = kind, detail


@dataclass
class Tally:
    """Counts of the trials of one target, and the first trial of each kind of finding."""

    trials: int = 0
    injected: Counter[str] = field(default_factory=Counter)
    recovered: int = 0
    named: int = 0
    found: Counter[str] = field(default_factory=Counter)
    first: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(self, number: int, finding: Finding) -> None:
        """Count a finding of the trial of that number."""
        self.found[finding.kind] += 1
        self.first.setdefault(finding.kind, (number, finding.detail))

    def row(self, target: str) -> str:
        """Return the target's row of the table."""
        counts = (self.trials, self.injected.total(), self.recovered, self.named)
        cells = [target, *map(str, counts), *(str(self.found[kind]) for kind in KINDS)]
        return "| " + " | ".join(cells) + " |"


def table(tallies: Iterable[tuple[str, Tally]]) -> str:
    """Return the table of a campaign, and below it how often each fault was injected."""
    rows, faults = [HEAD, "|" + "---|" * HEAD.count(" | ") + "---|"], []
    for target, tally in tallies:
        rows.append(tally.row(target))
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(tally.injected.items()))
        faults.append(f"- {target}: {kinds or 'none'}")
    return "\n".join([*rows, "", *faults, ""])
