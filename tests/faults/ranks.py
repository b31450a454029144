"""Training by two processes, one of which is killed: the other ends, and both go on again."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess

from faults.killing import after_changes
from faults.sandbox import Ended, Sandbox
from faults.shortage import check_named
from faults.tally import SAID, WRONG, Finding, Tally
from faults.works import Kit, trained

SIZE = 2


def trial(kit: Kit, chance: random.Random, tally: Tally) -> None:
    """Kill one of two processes at a drawn moment, and go on with two."""
    expected = kit.kept("two ranks", lambda: _undisturbed(kit))
    line, lost = kit.work("train").words, chance.randrange(SIZE)
    with kit.sandbox() as one, kit.sandbox(one) as other:
        boxes = (one, other)
        processes = _start(boxes, line)
        if after_changes(one, processes[0], chance.randrange(1, 12)):
            processes[lost].send_signal(signal.SIGKILL)
            tally.injected[f"kill of rank {lost}"] += 1
        ends = [box.end(process) for box, process in zip(boxes, processes, strict=True)]
        if any(ended.code for ended in ends):
            survivor = ends[1 - lost]
            if survivor.code != 0:  # it may have been done
                check_named(survivor)
                tally.named += 1
            again = _start(boxes, (*line, "--resume"))
            ends = [box.end(process) for box, process in zip(boxes, again, strict=True)]
            tally.recovered += 1
        _check(ends, boxes, expected)


def _undisturbed(kit: Kit) -> dict[str, str]:
    with kit.sandbox() as one, kit.sandbox(one) as other:
        boxes = (one, other)
        processes = _start(boxes, kit.work("train").words)
        ends = [box.end(process) for box, process in zip(boxes, processes, strict=True)]
        found = trained(one.out)
        _check(ends, boxes, found)
        return found


def _start(boxes: tuple[Sandbox, ...], words: tuple[str, ...]) -> list[subprocess.Popen[bytes]]:
    """Start a process in each sandbox, as ``torchrun`` does, but without its supervision."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    out = str(boxes[0].out)
    line = [f"{out}{word[3:]}" if word.startswith("OUT/") else word for word in words]
    started = []
    for rank, box in enumerate(boxes):
        numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": SIZE, "MASTER_PORT": port}
        box.variables |= {name: str(number) for name, number in numbers.items()}
        box.variables["MASTER_ADDR"] = "127.0.0.1"
        started.append(box.start(*line))
    return started


def _check(ends: list[Ended], boxes: tuple[Sandbox, ...], expected: dict[str, str]) -> None:
    if codes := [ended.code for ended in ends if ended.code]:
        raise Finding(SAID, f"exit codes {codes}: {[ended.err[-400:] for ended in ends]}")
    found = trained(boxes[0].out)
    if other := sorted(name for name, what in expected.items() if found.get(name) != what):
        raise Finding(WRONG, f"{len(other)}, such as {other[:3]}")
    for box in boxes:
        if left := os.listdir(box.tmp):
            raise Finding(SAID, f"in TMPDIR: {left[:3]}")
