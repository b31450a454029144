"""Precisions: bytes against the source files, a trained network's loss, processor time.

Each part writes its figures into the working folder; with ``--folder`` they are kept, and a part
that is there already is not measured again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.precisions import speed, stored_bytes, verdicts

_PARTS: dict[str, Callable[[Path, Path], object]] = {
    "bytes": stored_bytes.measure,
    "verdicts": verdicts.measure,
    "speed": speed.measure,
}


def run(data: Path, folder: Path) -> dict[str, object]:
    figures: dict[str, object] = {}
    for name, measure in _PARTS.items():
        kept = folder / f"{name}.json"
        if not kept.exists():
            working = folder / name
            working.mkdir(exist_ok=True)
            kept.write_text(json.dumps(measure(data, working), indent=1) + "\n")
        figures[name] = json.loads(kept.read_text())
    return figures
