"""Mutants of sources: annotations, archives and tables, converted as a user would.

Most are listed, planned and made into shards and arrays, but not published: to sync, write and
open a store takes ten times as long, and is not what a source can harm.
"""

from __future__ import annotations

import json
import random
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import synthetic
from coco_folder import coco_folder
from fuzz import annotations, tables, tars
from tar_shards import put_tar

from freqprep.convert.planning import discover, plan_split
from freqprep.convert.publication import append_all
from freqprep.convert.run import Request, convert
from freqprep.convert.shard_runs import shard_results
from freqprep.store.journal import ShardResult
from freqprep.store.plan import SplitPlan

Change = Callable[[bytes, random.Random], bytes]

PUBLISHED = 0.04
"""Share of mutants that are converted to the end."""


def coco(folder: Path) -> tuple[Path, Path]:
    coco_folder(folder / "coco")
    (found,) = (folder / "coco/annotations").iterdir()
    return folder / "coco", found


def webdataset(folder: Path) -> tuple[Path, Path]:
    path = folder / "tars/train-000.tar"
    members = []
    for number in range(3):
        fields = json.dumps({"label": number % 2}).encode()
        members += [(f"{number}.jpg", small(number)), (f"{number}.json", fields)]
    put_tar(path, *members)
    return path.parent, path


def imagenet(folder: Path) -> tuple[Path, Path]:
    path = folder / "imagenet/ILSVRC2012_img_train.tar"
    inner = folder / "inner.tar"
    put_tar(inner, *((f"n01440764_{n}.JPEG", small(n)) for n in range(2)))
    put_tar(path, ("n01440764.tar", inner.read_bytes()))
    return path.parent, path


def parquet(folder: Path) -> tuple[Path, Path]:
    from parquet_tables import labelled

    path = labelled(folder / "tables/train-0.parquet", [0, 1, 2, 0])
    return path.parent, path


def small(number: int) -> bytes:
    """A JPEG of few bytes, so that mutants are of what is around it."""
    return synthetic.encoded(synthetic.pixels(number, 9, 17), quality=50)


class Unwritten:
    """Takes the arrays of a split as a `SplitWriter` does, as far as their types."""

    def append(self, name: str, spec: Any, values: np.ndarray) -> None:
        """Take rows of an array."""
        np.ascontiguousarray(values, dtype=spec.dtype)

    def add_shards(self, entries: Iterable[Any]) -> None:
        """Take lengths and hashes."""
        list(entries)


def made(request: Request, plan: SplitPlan, folder: Path) -> int:
    """Make the shards and arrays of a plan; return how many images were rejected."""
    shards = range(plan.shards)
    with tempfile.TemporaryDirectory(dir=folder) as aside:
        where = Path(aside)
        results = shard_results(plan, request.root, request.workers, where, where, shards)
        done: dict[int, ShardResult] = {result.shard: result for result in results}
    final = append_all(Unwritten(), plan, done)  # type: ignore[arg-type]
    final.to_dict()
    return final.rejected


def source(kind: str, make: Callable[[Path], tuple[Path, Path]], change: Change) -> tuple[Any, Any]:
    """Return seeds and run of a kind of source, one file of which is changed."""

    def seeds(folder: Path) -> tuple[Path, Path, bytes]:
        root, path = make(folder)
        return root, path, path.read_bytes()

    def run(found: tuple[Path, Path, bytes], chance: random.Random, folder: Path) -> str:
        root, path, data = found
        path.write_bytes(change(data, chance))
        request = Request(kind=kind, source=root, store=folder / "out.zarr", size=16, jobs=1)
        if chance.random() < PUBLISHED:
            for left in folder.glob("out.zarr*"):
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            splits = convert(request)
            rejected = sum(split.images - split.valid for split in splits.values())
        else:
            listed = discover(request)
            rejected = 0
            for listing in listed.listings.values():
                plan = plan_split(request, listing, listed.classes, listed.classes)
                rejected += made(request, plan, folder)
        return "converted, with rejects" if rejected else "converted"

    return seeds, run


COCO = source("coco", coco, annotations.coco)
WEBDATASET = source("webdataset", webdataset, tars.tar)
IMAGENET = source("imagenet", imagenet, tars.inner)
PARQUET = source("parquet", parquet, tables.parquet)
