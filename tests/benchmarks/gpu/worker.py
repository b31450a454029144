"""Measure cases in a process of their own: ``python -m tests.benchmarks.gpu.worker STORE FOLDER``.

For each name of a case on stdin, lines of JSON on stdout: each row of a table as it is found, and
at the end what went wrong, or null. An error of a device may spoil the process, so after one it is
to be replaced by another.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from freqprep.training.distributed import choose_device
from tests.benchmarks.gpu.cases import cases

_LONGEST = 300
"""Characters of an error's text."""


def main(store: Path, folder: Path) -> None:
    found, tell = cases(), _own_stdout()
    tell(machine())
    for line in sys.stdin:
        try:
            for table, row in found[line.strip()].measure(store, folder):
                tell({"table": table, "row": row})
            error = None
        except Exception as problem:
            error = f"{type(problem).__name__}: {problem}"[:_LONGEST]
        tell({"error": error})


def _own_stdout() -> Callable[[dict[str, Any]], None]:
    """Keep stdout for lines of JSON; whatever else is printed goes to stderr."""
    lines = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return lambda value: print(json.dumps(value), file=lines, flush=True)


def machine() -> dict[str, Any]:
    """Describe what the figures depend on."""
    device = choose_device(None)
    cuda = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if cuda else "CPU, reduced cases",
        "CUDA": torch.version.cuda if cuda else None,
        "torch": torch.__version__,
        "triton": _version("triton"),
        "numba": _version("numba"),
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
