"""Clocks that jump between attempts: no lock is taken over, and nothing done is lost."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

from faults.killing import after_changes
from faults.sandbox import Sandbox
from faults.tally import SAID, Finding, Tally
from faults.works import Kit

LIBRARY = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")  # Debian's libfaketime
_DAYS = 4000
_DAY = 86400


def trial(kit: Kit, chance: random.Random, tally: Tally) -> None:
    """Stop or kill a command, and start it again on another day, with files of any day."""
    work = kit.work(chance.choice(("folder", "tars", "pack")))
    with kit.sandbox() as box, kit.sandbox(box) as later:
        process = box.start(*work.command(box, 1))
        if not after_changes(box, process, chance.randrange(1, 25)):
            work.check(box, box.end(process))
            return
        alive = chance.random() < 0.5
        os.killpg(process.pid, signal.SIGSTOP if alive else signal.SIGKILL)
        if not alive:
            box.end(process)
        what = _on_another_day(box, later, chance)
        tally.injected[f"{'live' if alive else 'dead'} writer, {what}"] += 1
        ended = later.run(*work.command(later, 1), "--resume")
        if alive:
            os.killpg(process.pid, signal.SIGCONT)
            first = box.end(process)
            if ended.code == work.code and first.code == work.code:
                pass  # it had given the lock back already
            elif ended.code != 1 or "another command is writing to" not in ended.err:
                raise Finding(SAID, f"beside a live writer, {what}: {ended.err[-500:]}")
            else:
                tally.named += 1
            ended = first
        work.check(box, ended)
        tally.recovered += 1


def _on_another_day(box: Sandbox, later: Sandbox, chance: random.Random) -> str:
    """Set times of files, and the clock of the commands that follow; describe them."""
    for path in [*box.out.rglob("*"), *box.out.glob("*.lock")]:
        when = time.time() + chance.randrange(-_DAYS, _DAYS) * _DAY
        os.utime(path, (when, when))
    if not LIBRARY.is_file():
        return "files of other days"
    days = chance.randrange(1, _DAYS) * chance.choice((-1, -1, 1))
    later.variables["LD_PRELOAD"] = str(LIBRARY)
    later.variables["FAKETIME"] = f"{days:+}d"
    later.variables["FAKETIME_DONT_FAKE_MONOTONIC"] = "1"  # no clock of a machine goes back there
    return f"clock {'back' if days < 0 else 'ahead'}"
