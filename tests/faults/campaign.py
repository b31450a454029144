"""Faults of the machine and of its neighbours, drawn by seeds, and a table of what became of them.

``python -m tests.faults.campaign --minutes 20 --seed 1`` gives each target its share of the time;
``--target`` one, ``--markdown FILE`` writes the table as well.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "sources")]

from faults import changing, clocks, killing, ranks, rivals, servers, shortage  # noqa: E402
from faults.tally import Finding, Tally, table  # noqa: E402
from faults.works import Kit  # noqa: E402

Trial = Callable[[Kit, random.Random, Tally], None]

TARGETS: dict[str, Trial] = {
    **{
        f"kill: {name}": partial(killing.trial, name=name)
        for name in ("folder", "tables", "tars", "pack", "stats", "train")
    },
    **{f"short of: {kind}": partial(shortage.trial, kind=kind) for kind in shortage.KINDS},
    "changed sources": changing.trial,
    "busy server": partial(servers.trial, lying=False),
    "lying server": partial(servers.trial, lying=True),
    "two writers": rivals.two_writers,
    "lost rank": ranks.trial,
    "clocks": clocks.trial,
    "reader and writer": rivals.reader_and_writer,
}


def campaign(kit: Kit, target: str, numbers: Iterable[int], seconds: float | None = None) -> Tally:
    """Make trials of a target, until the numbers or the seconds end."""
    tally, until = Tally(), time.monotonic() + (seconds or 1e9)
    for number in numbers:
        tally.trials += 1
        try:
            TARGETS[target](kit, random.Random(number), tally)
        except Finding as finding:
            tally.add(number, finding)
            print(f"{target} {number}: {finding}", file=sys.stderr, flush=True)
        else:
            kit.clear()
        if time.monotonic() > until:
            break
    return tally


def main() -> None:
    """Run all targets for their share of the time, and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", choices=TARGETS, action="append")
    parser.add_argument("--markdown", type=Path)
    given = parser.parse_args()
    targets = given.target or list(TARGETS)
    done: dict[str, Tally] = {}
    with tempfile.TemporaryDirectory(prefix="faults-") as name, contextlib.ExitStack() as opened:
        Path(name).chmod(0o755)  # for commands of another user
        kit = opened.enter_context(Kit(Path(name)))
        for target in targets:
            numbers = range(given.seed * 10**6, (given.seed + 1) * 10**6)
            done[target] = campaign(kit, target, numbers, 60 * given.minutes / len(targets))
            print(done[target].row(target), flush=True)
    text = table(done.items())
    print(f"\n{text}")
    if given.markdown is not None:
        given.markdown.write_text(text)
    sys.exit(any(tally.found for tally in done.values()))


if __name__ == "__main__":
    main()
