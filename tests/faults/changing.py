"""Source files that change between the plan and their reading, and a command that must notice."""

from __future__ import annotations

import os
import random
import shutil
import signal
from pathlib import Path

from faults.sandbox import Sandbox
from faults.shortage import check_named
from faults.tally import SAID, WRONG, Finding, Tally
from faults.works import Kit, Work, snapshot
from interruptions import wait_for_changes

NAMES = ("folder", "tables", "tars")
CHANGES = ("replaced", "truncated", "deleted", "appended to", "made a folder", "unreadable link")


def trial(kit: Kit, chance: random.Random, tally: Tally) -> None:
    """Change some source files while a conversion has a plan; then change them back."""
    work, change = kit.work(chance.choice(NAMES)), chance.choice(CHANGES)
    with kit.sandbox() as box:
        source = box.folder / "source"
        shutil.copytree(work.words[2], source)  # with the times of the files
        line = work.command(box, 1)
        line[2] = str(source)
        process = box.start(*line)
        if not wait_for_changes(process, box.out, chance.randrange(3, 14)):
            work.check(box, box.end(process))
            return
        os.killpg(process.pid, signal.SIGSTOP)
        files = sorted(path for path in source.rglob("*") if path.is_file())
        changed = chance.sample(files, min(len(files), chance.choice((1, 5, 40))))
        kept = box.folder / "kept"
        for path in changed:
            _change(path, kept / path.relative_to(source), change, chance)
        os.killpg(process.pid, signal.SIGCONT)
        tally.injected[f"{work.name}: {change}"] += 1
        ended = box.end(process)
        if ended.code in (0, 3):
            _check_finished(work, box)
            return
        check_named(ended)
        tally.named += 1
        work.check_readable(box)
        for path in changed:
            _restore(path, kept / path.relative_to(source))
        ended = box.run(*line, "--resume")
        work.check(box, ended)
        tally.recovered += 1


def _check_finished(work: Work, box: Sandbox) -> None:
    """Raise a finding unless a finished store has the images that were planned, or rejects."""
    assert work.expected is not None
    if snapshot(box.out) == work.expected:
        return
    # All that differs must be in rejected rows; such a store is not expected, as files are listed.
    raise Finding(WRONG, "a store was finished from files that had changed since its plan")


def _change(path: Path, kept: Path, change: str, chance: random.Random) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True)
    data = path.read_bytes()
    os.rename(path, kept)
    if change == "replaced":
        path.write_bytes(chance.randbytes(8) + data[8:])  # as long as it was
    elif change == "truncated":
        path.write_bytes(data[: chance.randrange(len(data) + 1) // 2])
    elif change == "appended to":
        path.write_bytes(data + b"\0" * 512)
    elif change == "made a folder":
        path.mkdir()
    elif change == "unreadable link":
        path.symlink_to("nowhere")
    elif change != "deleted":
        raise Finding(SAID, change)


def _restore(path: Path, kept: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
    os.rename(kept, path)
