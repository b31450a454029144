"""Too little of what a command needs: room, files, memory, permission."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

from faults.sandbox import BETWEEN_LOOKS, Ended, Sandbox, has_mounts
from faults.tally import SAID, Finding, Tally
from faults.works import Kit, Work

NAMES = ("folder", "tables", "tars", "pack", "stats", "train")
KINDS = ("full disk", "longest file", "open files", "memory", "permission", "permission lost")
_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
_MEGABYTE = 2**20


def trial(kit: Kit, chance: random.Random, tally: Tally, kind: str) -> None:
    """Run a command short of something, then again with enough of it; compare the end."""
    work = kit.work(chance.choice(NAMES))
    with kit.sandbox() as box:
        jobs = chance.choice((1, 2))
        ended = _short(work, box, jobs, chance, kind)
        if ended is None:
            return
        tally.injected[f"{kind}: {work.name}"] += 1
        work.check_readable(box)
        if ended.code != work.code:
            check_named(ended)
            tally.named += 1
            line = work.command(box, jobs)
            ended = box.run(*line, *work.again)
            tally.recovered += 1
        work.check(box, ended)


def check_named(ended: Ended) -> None:
    """Raise a finding unless a command has ended with an error of one line."""
    last = (ended.err.strip().splitlines() or [""])[-1]
    if ended.code not in (1, 2, 4) or "error: " not in last:
        raise Finding(SAID, f"exit code {ended.code}: {ended.err[-800:]!r}")


def _short(work: Work, box: Sandbox, jobs: int, chance: random.Random, kind: str) -> Ended | None:
    """Run a command that is short of something until it ends; None where that cannot be done."""
    if kind == "full disk":
        if not has_mounts():
            return None
        box.mount_disk(4 * chance.randrange(1, 400))
        ended = box.run(*work.command(box, jobs))
        box.enlarge_disk()
        return ended
    if kind in ("permission", "permission lost"):
        return _denied(work, box, jobs, chance, kind == "permission lost")
    limits = {
        "longest file": lambda: f"--fsize={chance.randrange(1, 200_000)}",
        "open files": lambda: f"--nofile={chance.randrange(5, 24)}",
        "memory": lambda: f"--as={chance.randrange(400, 2000) * _MEGABYTE}",
    }
    return box.run(*work.command(box, jobs), before=("prlimit", limits[kind]()))


def _denied(
    work: Work, box: Sandbox, jobs: int, chance: random.Random, later: bool
) -> Ended | None:
    """Take the permission to write away, at the start or at a drawn moment, and give it back."""
    before = _NOBODY if os.geteuid() == 0 else ()
    if not later:
        box.out.chmod(0o555)
    process = box.start(*work.command(box, jobs), before=before)
    if later:
        until = time.monotonic() + chance.random() * 1.1 * work.seconds
        while time.monotonic() < until and process.poll() is None:
            time.sleep(BETWEEN_LOOKS)
    changed = []
    for folder in [box.out, *filter(Path.is_dir, box.out.rglob("*"))] if later else [box.out]:
        changed.append((folder, folder.stat().st_mode))
        folder.chmod(0o555)
    ended = box.end(process)
    for folder, mode in changed:
        if folder.exists():
            folder.chmod(mode | 0o700)
    if not later:
        box.out.chmod(0o777)
    if os.geteuid() == 0:  # what goes on is of the same user, or may do all
        for path in [box.out, *box.out.rglob("*")]:
            os.chown(path, 0, 0)
    return ended
