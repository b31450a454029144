"""Run the benchmarks: ``python -m tests.benchmarks [NAME ...]``, or ``--compare [NAME ...]``.

Each benchmark prints a table. Compare ratios within one run, because absolute values vary with the
machine: --compare does so with those of recorded.json, and ends with exit code 1 if one got worse.
They need ../shared/data beside the project (gpu does without) and about 2 GB in the temporary
folder.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks import ratios
from tests.benchmarks.table import show

RECORDED = Path(__file__).with_name("recorded.json")
DATA = Path(__file__).resolve().parents[2].parent / "shared/data"
BENCHMARKS = (
    "fidelity",
    "conversion",
    "sources",
    "reading",
    "streaming",
    "remote",
    "crop_parts",
    "peers",
    "peers.bucket",
    "mixing",
    "layouts",
    "packing",
    "precisions",
    "memory",
    "scale",
    "shard_costs",
    "growth",
    "rows",
    "engines",
    "selections",
    "joint",
    "statistics",
    "augmentation",
    "crop_errors",
    "equal_terms",
    "bytes_by_training",
    "resolution",
    "resolution.detection",
    "input_trainings",
    "gpu",
    "detection_memory",
    "detection_overfit",
)
"""Modules of this package, or packages with a module ``running``: each has a function ``run``."""

_WITHOUT_DATA = {"gpu", "rows"}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    parser.add_argument(
        "--folder",
        type=Path,
        metavar="DIR",
        help="keep the working files in DIR/NAME; trainings go on there after an interrupt",
    )
    parser.add_argument(
        "--compare",
        action="store_true",
        help="compare ratios with the recorded ones; without NAME, all that there are",
    )
    parser.add_argument(
        "--record", action="store_true", help="the same, and record the ratios of this run"
    )
    arguments = parser.parse_args()
    recorded = ratios.from_json(RECORDED.read_text())
    comparing = arguments.compare or arguments.record
    names = arguments.names or (ratios.benchmarks(recorded) if comparing else BENCHMARKS)
    if unknown := set(arguments.names) - set(BENCHMARKS):
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    if not DATA.is_dir() and set(names) - _WITHOUT_DATA:
        sys.exit(f"the benchmarks need real images in {DATA}")
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores as it began"
    figures: dict[str, Any] = {"machine": f"{platform.processor()} {platform.platform()}"}
    for name in names:
        figures[name] = _figures(name, arguments.folder)
        if arguments.json:
            arguments.json.write_text(json.dumps(figures, indent=1) + "\n")
    if comparing:
        lines = ratios.compare(recorded, figures)
        if not arguments.record and (again := ratios.worse_benchmarks(lines)):
            print(f"\nworse: {', '.join(again)}; once more, for another program may have run")
            second = {name: _figures(name, arguments.folder) for name in again}
            lines = ratios.better_of(lines, ratios.compare(recorded, second))
        print(f"\n== ratios, {load}")
        _show(lines)
        if arguments.record:
            RECORDED.write_text(ratios.to_json(ratios.record(recorded, lines, _commit())))
        elif failed := [line.name for line in lines if line.fails]:
            sys.exit(f"worse than recorded, or not measured: {'; '.join(failed)}")
    if broken := [name for name in names if figures[name] is None]:
        sys.exit(f"ended with an error, above: {', '.join(broken)}")


def _figures(name: str, kept: Path | None) -> Any:
    """Run one benchmark; None after an error, which must not cost the figures of the others."""
    print(f"\n== {name}", flush=True)
    try:
        with _working_folder(kept, name) as folder:
            return ratios.as_in_json(_benchmark(name)(DATA, folder))
    except Exception:
        traceback.print_exc()
        return None


def _show(lines: list[ratios.Line]) -> None:
    show(
        ("ratio", "recorded", "now", "spread, %", "verdict"),
        [
            (
                line.name,
                "" if line.ratio.value is None else line.ratio.value,
                "" if line.now is None else line.now,
                100 * line.ratio.spread,
                line.verdict,
            )
            for line in lines
        ],
    )


def _commit() -> str:
    words = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


def _benchmark(name: str) -> Callable[[Path, Path], object]:
    """Import one benchmark: others may need packages that a machine lacks."""
    package = (Path(__file__).parent / name).is_dir()
    module = importlib.import_module(f"tests.benchmarks.{name}" + ".running" * package)
    return module.run


@contextlib.contextmanager
def _working_folder(kept: Path | None, name: str) -> Iterator[Path]:
    if kept is None:
        with tempfile.TemporaryDirectory(prefix="freqprep-bench-") as folder:
            yield Path(folder)
        return
    (kept / name).mkdir(parents=True, exist_ok=True)
    yield kept / name


if __name__ == "__main__":
    main()
