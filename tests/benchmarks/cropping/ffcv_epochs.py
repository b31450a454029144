"""Epochs of FFCV from here: a process of another interpreter, which measures itself."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PYTHON = "FFCV_PYTHON"
"""Environment variable that names an interpreter with ffcv."""

CASES = (
    "raw, 512 pixels: float32",
    "raw, 512 pixels: float16",
    "raw, 512 pixels: uint8",
    "raw, 256 pixels: float32",
    "JPEG, 512 pixels: float32",
    "JPEG, 512 pixels: float16",
    "JPEG, 512 pixels: uint8",
)
"""A file of FFCV, and the dtype of what it delivers: uint8 is not normalised."""


@dataclass(frozen=True)
class Worker:
    """A process that runs an epoch of FFCV on demand.

    Attributes
    ----------
    process : Popen
    bytes_an_image : dict of str to float
        Size of each file, per image.
    """

    process: subprocess.Popen[str]
    bytes_an_image: dict[str, float]

    def epoch(self, case: str) -> float:
        """Run an epoch of one of `CASES`; return the processor seconds of an image."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{case}\n")
        self.process.stdin.flush()
        return float(_answer(self.process)["cpu_seconds_an_image"])


@contextmanager
def ffcv_worker(python: str, source: Path, folder: Path) -> Iterator[Worker]:
    """Start a worker; it writes FFCV's files first."""
    folder.mkdir()
    script = Path(__file__).with_name("ffcv_worker.py")
    with (
        (folder / "log.txt").open("w") as log,
        subprocess.Popen(
            [python, str(script), str(source), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        yield Worker(process, _answer(process)["bytes_an_image"])
        assert process.stdin is not None
        process.stdin.close()


def _answer(process: subprocess.Popen[str]) -> dict:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"FFCV's process ended: {process.args[0]}; its log is in its folder")
    return json.loads(line)
