"""Two that write one store, and readers of a store that is being written or replaced."""

from __future__ import annotations

import random
import time

from faults.sandbox import BETWEEN_LOOKS, Ended
from faults.servers import READ
from faults.tally import SAID, WRONG, Finding, Tally
from faults.works import Kit

# Reads a store over and over until a file is there, and prints each time what it has read.
READ_ON = """
import os, sys
from freqprep.errors import FreqprepError
program, store, until = sys.argv[1:]
while not os.path.exists(until):
    try:
        sys.argv[1:] = [store]
        exec(program)
    except SystemExit:
        pass
    print("", flush=True)
"""


def two_writers(kit: Kit, chance: random.Random, tally: Tally) -> None:
    """Start two conversions into one place, some time apart: one writes, and both say what was."""
    work = kit.work("folder")
    with kit.sandbox() as box, kit.sandbox(box) as other:
        option = chance.choice(((), ("--resume",), ("--overwrite",)))
        line = work.command(box, 1)
        first = box.start(*line)
        until = time.monotonic() + chance.random() * chance.random() * work.seconds
        while time.monotonic() < until:
            time.sleep(BETWEEN_LOOKS)
        second = other.start(*line, *option)
        ends = [box.end(first), other.end(second)]
        tally.injected[f"a second writer {' '.join(option)}".strip()] += 1
        winners = [ended for ended in ends if ended.code == work.code]
        for ended in ends:
            if ended.code != work.code:
                _check_loser(ended)
                tally.named += 1
        if not winners:
            raise Finding(SAID, f"nobody has written: {[ended.err[-200:] for ended in ends]}")
        work.check(box, winners[0])
        tally.recovered += 1


def _check_loser(ended: Ended) -> None:
    said = ("another command is writing to", "already has", "has an unfinished")
    if ended.code not in (1, 2) or not any(text in ended.err for text in said):
        raise Finding(SAID, f"exit code {ended.code}: {ended.err[-600:]}")


def reader_and_writer(kit: Kit, chance: random.Random, tally: Tally) -> None:
    """Read a store over and over while it is replaced: old or new splits, or a named error."""
    work = kit.work("folder")
    with kit.sandbox() as box, kit.sandbox(box) as other:
        size = chance.choice(("24", "16", "40"))
        line = work.command(box, 1)
        old = [*line[: line.index("--size")], "--size", size, *line[line.index("--size") + 2 :]]
        begun = chance.random() < 0.7
        allowed: set[str] = set()
        if begun:
            box.run(*old)
            allowed |= _lines(box.run(str(box.out / "out.zarr"), program=READ))
        stop = box.folder / "stop"
        reader = other.start(READ, str(box.out / "out.zarr"), str(stop), program=READ_ON)
        ended = box.end(box.start(*line, *(("--overwrite",) if begun else ())))
        stop.touch()
        read = other.end(reader)
        tally.injected["a store replaced" if begun else "a store written"] += 1
        work.check(box, ended)
        tally.recovered += 1
        new = box.run(str(box.out / "out.zarr"), program=READ)
        allowed |= _lines(new)
        if mixed := _lines(read) - allowed:
            raise Finding(WRONG, f"read {sorted(mixed)[0]}, which was never there")
        if read.code:
            raise Finding(SAID, read.err[-600:])
        errors = [text for text in read.err.splitlines() if text.strip()]
        if other_errors := [text for text in errors if not text.startswith("error: ")]:
            raise Finding(SAID, f"a reader says {other_errors[0]}")
        tally.named += len(errors)


def _lines(ended: Ended) -> set[str]:
    return set(filter(None, ended.out.splitlines()))
