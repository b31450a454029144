"""SIGKILL at drawn moments: the command again must come to what it would have come to."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time

import psutil
from faults.sandbox import BETWEEN_LOOKS, Ended, Sandbox
from faults.tally import SAID, Finding, Tally
from faults.works import Kit, Work
from interruptions import state

VICTIMS = ("all", "all", "head", "worker", "tracker")
MORE = 0.4
"""Chance that the next attempt is killed as well."""
_MOST = 4


def trial(kit: Kit, chance: random.Random, tally: Tally, name: str) -> None:
    """Kill a command, and those that go on, at moments of its own; compare the end."""
    work, kills, again, swept = kit.work(name), 0, (), True
    with kit.sandbox() as box:
        while True:
            victim = None
            if kills == 0 or (kills < _MOST and chance.random() < MORE):
                victim = chance.choice(("all", "head") if name == "train" else VICTIMS)
            jobs = 2 if victim in ("worker", "tracker") else chance.choice((1, 2))
            process = box.start(*work.command(box, jobs), *again)
            if victim is not None:
                victim = _kill(work, box, process, chance, victim)
            ended = box.end(process)
            if victim is not None:
                kills += 1
                tally.injected[f"{name}: kill of {victim}"] += 1
                swept &= victim != "all"  # it kills the processes that would remove them
                if swept:
                    box.check_segments(f"after the kill of {victim}")
            work.check_readable(box)
            if ended.code == work.code:
                break
            _check_end(ended, victim)
            again = work.again
        work.check(box, ended)
        tally.recovered += kills > 0


def _kill(
    work: Work,
    box: Sandbox,
    process: subprocess.Popen[bytes],
    chance: random.Random,
    victim: str,
) -> str | None:
    """Kill a part of a command at a drawn moment; return which, or None if it ended before."""
    by_time = work.name in ("stats", "train") or chance.random() < 0.5  # they write at the end
    if by_time:
        reached = _after_time(process, chance.random() * 1.2 * work.seconds)
    else:
        reached = after_changes(box, process, chance.randrange(1, 40))
    if not reached:
        return None
    if victim in ("worker", "tracker"):
        children = psutil.Process(process.pid).children(recursive=True)
        tracks = victim == "tracker"
        them = [one.pid for one in children if _is_tracker(one) == tracks]
        if them:
            _send(chance.choice(them))
            return victim
        victim = "head"  # it has not started any yet
    if victim == "all":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    return victim


def _is_tracker(process: psutil.Process) -> bool:
    try:
        return "tracker" in " ".join(process.cmdline())
    except psutil.Error:
        return False


def _send(process: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


def _after_time(process: subprocess.Popen[bytes], seconds: float) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if process.poll() is not None:
            return False
        time.sleep(BETWEEN_LOOKS / 4)
    return process.poll() is None


def after_changes(box: Sandbox, process: subprocess.Popen[bytes], changes: int) -> bool:
    """Wait until what a command writes has changed so often; False where it ends before."""
    last = state(box.out)
    while changes:
        if process.poll() is not None:
            return False
        if (now := state(box.out)) != last:
            last, changes = now, changes - 1
        time.sleep(BETWEEN_LOOKS / 10)
    return True


def _check_end(ended: Ended, victim: str | None) -> None:
    """Raise a finding unless a command that did not succeed was killed, or names why it ended."""
    if victim in ("all", "head") and ended.code == -signal.SIGKILL:
        return
    if victim == "worker" and ended.code == 1 and "worker process was killed" in ended.err:
        return
    raise Finding(SAID, f"kill of {victim}: exit code {ended.code}: {ended.err[-600:]}")
