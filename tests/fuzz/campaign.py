"""Many mutants of each target in a process of their own: counts of what became of them.

``python -m tests.fuzz.campaign --seconds 60`` runs each target for a minute, ``--target`` one.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

WORKER = Path(__file__).with_name("worker.py")
TARGETS = (
    "images", "coco", "webdataset", "imagenet", "imagenet labels", "parquet", "stores",
    "selections", "steps", "scores", "model cards", "checkpoints", "weights", "plans", "journals",
    "record journals",
)  # fmt: skip
NASTY = Path(__file__).resolve().parents[2].parent / "shared/data/nasty/files"
"""Hostile images beside the project, which may be absent."""

SECONDS_A_SAMPLE = 30
SECONDS_TO_START = 240


@dataclass
class Outcome:
    """Counts of one target, and the first mutant of each finding."""

    became: Counter[str] = field(default_factory=Counter)
    findings: dict[str, tuple[int, str]] = field(default_factory=dict)

    @property
    def executions(self) -> int:
        """Number of mutants."""
        return self.became.total()


class Worker:
    """A process of mutants of a target, which may change; started again where it ended."""

    def __init__(self, target: str = "") -> None:
        self.target = target
        self._begun: set[str] = set()  # targets whose seeds are made
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def answer(self, number: int, seconds: float = SECONDS_A_SAMPLE) -> dict[str, str | None]:
        """Return what became of a mutant: a crash and a hang are findings, too."""
        fresh = self.target not in self._begun
        self._begun.add(self.target)
        if self._process is None:
            words = [sys.executable, "-X", "faulthandler", str(WORKER)]
            quiet = {**os.environ, "FREQPREP_PROGRESS": "0"}
            self._process = subprocess.Popen(
                words,
                env=quiet,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            os.set_blocking(self._process.stderr.fileno(), False)
        process = self._process
        process.stdin.write(f"{self.target} {number}\n".encode())
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], seconds + SECONDS_TO_START * fresh)
        line = process.stdout.readline() if ready else b""
        said = process.stderr.read() or b""
        if not line:
            self._end()
            what = "crash" if ready else "hang"
            return {"became": what, "finding": what, "detail": said.decode(errors="replace")[-300:]}
        found: dict[str, str | None] = json.loads(line)
        if said.strip() and not found["finding"]:
            text = said.decode(errors="replace")
            return {"became": "finding", "finding": "a line on stderr", "detail": text[-300:]}
        return found

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._process = None
        self._begun.clear()


def campaign(worker: Worker, numbers: Iterable[int], seconds: float | None = None) -> Outcome:
    """Run mutants of a worker's target, until the numbers or the seconds end."""
    outcome, until = Outcome(), None
    for number in numbers:
        found = worker.answer(number)
        until = until or time.monotonic() + (seconds or 1e9)  # when it has started
        outcome.became[str(found["became"])] += 1
        if finding := found["finding"]:
            outcome.findings.setdefault(finding, (number, str(found["detail"])))
        if time.monotonic() > until:
            break
    return outcome


def main() -> None:
    """Run all targets for a time, and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", choices=TARGETS, action="append")
    given = parser.parse_args()
    if not NASTY.is_dir():
        print(f"no hostile images in {NASTY}: made ones only", file=sys.stderr)
    print("| target | mutants | findings | what became of them |\n|---|---|---|---|")
    failed = False
    for target in given.target or TARGETS:
        numbers = range(given.seed * 10**9, (given.seed + 1) * 10**9)
        with Worker(target) as worker:
            found = campaign(worker, numbers, given.seconds)
        became = ", ".join(f"{count:,} {what}" for what, count in found.became.most_common())
        print(f"| {target} | {found.executions:,} | {len(found.findings)} | {became} |", flush=True)
        for finding, (number, detail) in found.findings.items():
            failed = True
            print(f"{target} {number}: {finding}: {detail}", file=sys.stderr, flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
