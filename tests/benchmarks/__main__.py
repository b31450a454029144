"""Run the benchmarks: ``python -m tests.benchmarks [NAME ...] [--json FILE] [--folder DIR]``.

Each benchmark prints a table. Compare ratios within one run, because absolute values vary with the
machine. They need ../shared/data beside the project and about 2 GB in the temporary folder.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks import (
    augmentation,
    conversion,
    detection_memory,
    detection_overfit,
    fidelity,
    input_trainings,
    joint,
    layouts,
    memory,
    mixing,
    packing,
    reading,
    scale,
    selections,
    statistics,
    streaming,
    throughput,
)
from tests.benchmarks.bytes_by_training import running as bytes_by_training
from tests.benchmarks.equal_terms import running
from tests.benchmarks.precisions import running as precisions

DATA = Path(__file__).resolve().parents[2].parent / "shared/data"
BENCHMARKS = {
    "fidelity": fidelity.run,
    "conversion": conversion.run,
    "reading": reading.run,
    "streaming": streaming.run,
    "mixing": mixing.run,
    "layouts": layouts.run,
    "packing": packing.run,
    "precisions": precisions.run,
    "memory": memory.run,
    "scale": scale.run,
    "selections": selections.run,
    "joint": joint.run,
    "statistics": statistics.run,
    "augmentation": augmentation.run,
    "equal_terms": running.run,
    "bytes_by_training": bytes_by_training.run,
    "input_trainings": input_trainings.run,
    "throughput": throughput.run,
    "detection_memory": detection_memory.run,
    "detection_overfit": detection_overfit.run,
}


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
    if not DATA.is_dir():
        sys.exit(f"the benchmarks need real images in {DATA}")
    figures: dict[str, object] = {"machine": f"{platform.processor()} {platform.platform()}"}
    for name in arguments.names or BENCHMARKS:
        print(f"\n== {name}", flush=True)
        with _working_folder(arguments.folder, name) as folder:
            figures[name] = BENCHMARKS[name](DATA, folder)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


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
