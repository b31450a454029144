"""A process that makes and reads mutants, one a line of stdin; the system limits its memory.

A line names a target and a number, which is the seed of the mutant. The answer is a line of JSON:
what became of it, and whether that is a finding, with the error's type and place.
"""

from __future__ import annotations

import json
import logging
import os
import random
import resource
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "sources")]

from fuzz import documents, images, labels, plans, sources, stores, weights  # noqa: E402

from freqprep.errors import FreqprepError  # noqa: E402

MORE_BYTES = 2**31
FIRST = random.Random(0).random()


def _crash(_made: object, _chance: random.Random, _folder: Path) -> str:
    os.kill(os.getpid(), 11)
    return ""


def _hang(_made: object, chance: random.Random, _folder: Path) -> str:
    while chance.random() != FIRST:
        pass
    return "an end"


def _fail(_made: object, _chance: random.Random, _folder: Path) -> str:
    raise KeyError("planted")


def _fill(_made: object, _chance: random.Random, _folder: Path) -> str:
    return str(len(bytearray(2 * MORE_BYTES)))


def _nothing(_folder: Path) -> None:
    return None


TARGETS: dict[str, tuple[Any, Any]] = {
    "images": (lambda _folder: images.seeds(), images.run),
    "coco": sources.COCO,
    "webdataset": sources.WEBDATASET,
    "imagenet": sources.IMAGENET,
    "imagenet labels": (labels.seeds, labels.run),
    "parquet": sources.PARQUET,
    "stores": (stores.seeds, stores.run),
    "selections": documents.SELECTIONS,
    "steps": documents.STEPS,
    "scores": documents.SCORES,
    "model cards": (documents.card_seeds, documents.card_run),
    "checkpoints": (weights.checkpoint_seeds, weights.checkpoint_run),
    "weights": (weights.seeds, weights.run),
    "plans": (plans.seeds, plans.run),
    "journals": (plans.journal_seeds, plans.journal_run),
    "record journals": (plans.record_seeds, plans.record_run),
    "planted crash": (_nothing, _crash),
    "planted hang": (_nothing, _hang),
    "planted error": (_nothing, _fail),
    "planted filling": (_nothing, _fill),
}


def place(error: BaseException) -> str:
    """Return the innermost line of freqprep's that an error went through."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/freqprep/" in frame.filename] or frames
    return f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"


def answer(run: Any, made: Any, number: int, folder: Path) -> dict[str, Any]:
    """Make and read one mutant."""
    try:
        return {"became": run(made, random.Random(number), folder), "finding": None}
    except FreqprepError as error:
        return {"became": f"error: {type(error).__name__}", "finding": None}
    except Exception as error:
        text = f"{type(error).__name__} at {place(error)}"
        return {"became": "finding", "finding": text, "detail": f"{error!s:.300}"}


def main() -> None:
    """Answer until stdin ends."""
    os.fsync = lambda _: None  # no power is lost here, and a sync takes longer than all the rest
    logging.getLogger("freqprep").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="freqprep-fuzz-") as name:
        made: dict[str, Any] = {}
        for line in sys.stdin:
            target, number = line.rstrip("\n").rsplit(" ", 1)
            seeds, run = TARGETS[target]
            folder = Path(name) / target.replace(" ", "-")
            if target not in made:
                folder.mkdir()
                made[target] = seeds(folder)
                pages = int(Path("/proc/self/statm").read_text().split()[0])
                limit = pages * resource.getpagesize() + MORE_BYTES
                resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
            print(json.dumps(answer(run, made[target], int(number), folder)), flush=True)


if __name__ == "__main__":
    main()
