"""Run the benchmarks: ``python -m tests.benchmarks [NAME ...] [--json FILE] [--folder DIR]``.

Each benchmark prints a table. Compare ratios within one run, because absolute values vary with the
machine. They need ../shared/data beside the project (gpu does without) and about 2 GB in the
temporary folder.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

DATA = Path(__file__).resolve().parents[2].parent / "shared/data"
BENCHMARKS = (
    "fidelity",
    "conversion",
    "sources",
    "reading",
    "streaming",
    "remote",
    "cropping",
    "peers",
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
    "equal_terms",
    "bytes_by_training",
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
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(BENCHMARKS):
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    if not DATA.is_dir() and set(arguments.names or BENCHMARKS) - _WITHOUT_DATA:
        sys.exit(f"the benchmarks need real images in {DATA}")
    figures: dict[str, object] = {"machine": f"{platform.processor()} {platform.platform()}"}
    for name in arguments.names or BENCHMARKS:
        print(f"\n== {name}", flush=True)
        with _working_folder(arguments.folder, name) as folder:
            figures[name] = _benchmark(name)(DATA, folder)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


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
