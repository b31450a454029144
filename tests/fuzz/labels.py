"""Mutants of the files that have the labels of ImageNet's validation images."""

from __future__ import annotations

import gzip
import random
from pathlib import Path
from typing import NamedTuple

from fuzz import tars
from fuzz.mutation import mutant
from imagenet_forms import as_archives, devkit_files, flat, solution, val_images

from freqprep.sources.imagenet import discover

_TEXTS = (b"9" * 5000, b"a" * 200_000, b'"', b"\0", b"\xff", b",", b"\n", b"n01440764", b"-1", b"")


class Labels(NamedTuple):
    """Folder of a source, the file in it that is changed, and its content."""

    root: Path
    path: Path
    data: bytes


def seeds(folder: Path) -> list[Labels]:
    found = []
    for number, (name, data) in enumerate(
        {**devkit_files(), "LOC_val_solution.csv": solution()}.items()
    ):
        root = folder / str(number)
        flat(root / "val", val_images())
        inside = (
            "LOC_val_solution.csv" if name == "LOC.csv" else f"ILSVRC2012_devkit_t12/data/{name}"
        )
        if name != "LOC.csv":
            flat(root / "ILSVRC2012_devkit_t12/data", devkit_files())
        found.append(Labels(root, root / inside, data))
    as_archives(root := folder / "archives")
    path = root / "ILSVRC2012_devkit_t12.tar.gz"
    return [*found, Labels(root, path, path.read_bytes())]


def run(every: list[Labels], chance: random.Random, _folder: Path) -> str:
    """Change a file of labels, and list its source."""
    root, path, data = chance.choice(every)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".gz" and chance.random() < 0.8:
        path.write_bytes(gzip.compress(tars.tar(gzip.decompress(data), chance), 1))
    elif chance.random() < 0.4:
        at = chance.randrange(len(data))
        path.write_bytes(data[:at] + chance.choice(_TEXTS) + data[at + chance.randrange(9) :])
    else:
        path.write_bytes(mutant(data, chance))
    discover(root, "val")
    return "listed"
