"""Everything that is said of a GPU, measured on one, in at most eight minutes.

Needs torch with CUDA and freqprep's dependencies; without ../shared/data it makes its own images.
Cases run from the most important on, in a process of their own: one that fails, or does not fit
the time, is named, and the others go on. Without a GPU the cases are reduced, to try the script.
``--folder DIR`` keeps ``gpu.md`` and ``gpu.json``, written anew after each case.
"""

from __future__ import annotations

import contextlib
import datetime
import io
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from freqprep.training.distributed import choose_device
from tests.benchmarks.gpu.cases import cases
from tests.benchmarks.gpu.source import make_store
from tests.benchmarks.gpu.supervision import Results, measure_all
from tests.benchmarks.table import show

_SECONDS = 470
_IMAGES = 200
_COPIES = {"cuda": 28, "cpu": 2}
_ROOT = Path(__file__).resolve().parents[3]


def run(data: Path, folder: Path) -> dict[str, object]:
    deadline = time.monotonic() + _SECONDS
    chosen = {name: case.seconds for name, case in cases().items()}
    return measure(data, folder, chosen, deadline, _IMAGES, _COPIES[choose_device(None).type])


def measure(
    data: Path, folder: Path, chosen: dict[str, float], deadline: float, images: int, copies: int
) -> dict[str, object]:
    """Measure the chosen cases, about the seconds of each, until a moment of the clock."""
    results = Results()
    with tempfile.TemporaryDirectory(prefix="freqprep-gpu-") as temporary:
        store, what = make_store(data, Path(temporary), images, copies)
        about = {"commit": _commit(), "date": str(datetime.date.today()), "images": what}
        about["driver"] = _driver()
        command = [sys.executable, "-m", "tests.benchmarks.gpu.worker", str(store), temporary]
        written: dict[str, Any] = {}

        def write() -> None:
            written.update(machine={**about, **results.machine})
            written.update(tables=results.tables, problems=results.problems)
            (folder / "gpu.json").write_text(json.dumps(written, indent=1) + "\n")
            (folder / "gpu.md").write_text(_report(written))

        measure_all(command, chosen, deadline, results, write)
        write()
    print(_report(written))
    return written


def _report(written: dict[str, Any]) -> str:
    """Format all that was found as Markdown."""
    with contextlib.redirect_stdout(io.StringIO()) as page:
        show(("machine", ""), list(written["machine"].items()))
        for title, rows in written["tables"].items():
            print(f"\n**{title}**\n")
            show(list(rows[0]), [["-" if v is None else v for v in row.values()] for row in rows])
        if written["problems"]:
            print("\n**Not measured**\n")
            show(("case", "why"), list(written["problems"].items()))
    return page.getvalue()


def _commit() -> str:
    found = _output("git", "-C", str(_ROOT), "describe", "--always", "--dirty", "--abbrev=12")
    return found or "unknown"


def _driver() -> str:
    return _output("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader") or "none"


def _output(*command: str) -> str:
    """The first line that a command prints; nothing where there is no such command."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.partition("\n")[0].strip() if done.returncode == 0 else ""
