"""Mutants of sources: annotations, archives and tables, converted as a user would."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import synthetic
from coco_folder import coco_folder
from fuzz.documents import changed
from fuzz.mutation import mutant
from tar_shards import put_tar

from freqprep.convert.run import Request, convert

Change = Callable[[bytes, random.Random], bytes]


def coco(folder: Path) -> tuple[Path, Path]:
    coco_folder(folder / "coco")
    (annotations,) = (folder / "coco/annotations").iterdir()
    return folder / "coco", annotations


def webdataset(folder: Path) -> tuple[Path, Path]:
    path = folder / "tars/train-000.tar"
    members = []
    for number in range(4):
        fields = json.dumps({"label": number % 2}).encode()
        members += [(f"{number}.jpg", synthetic.picture(number)), (f"{number}.json", fields)]
    put_tar(path, *members)
    return path.parent, path


def imagenet(folder: Path) -> tuple[Path, Path]:
    path = folder / "imagenet/ILSVRC2012_img_train.tar"
    inner = folder / "inner.tar"
    put_tar(inner, *((f"n01440764_{n}.JPEG", synthetic.picture(n)) for n in range(3)))
    put_tar(path, ("n01440764.tar", inner.read_bytes()))
    return path.parent, path


def parquet(folder: Path) -> tuple[Path, Path]:
    from parquet_tables import labelled

    path = labelled(folder / "tables/train-0.parquet", [0, 1, 2, 0])
    return path.parent, path


def source(kind: str, make: Callable[[Path], tuple[Path, Path]], change: Change) -> tuple[Any, Any]:
    """Return seeds and run of a kind of source, one file of which is changed."""

    def seeds(folder: Path) -> tuple[Path, Path, bytes]:
        root, path = make(folder)
        return root, path, path.read_bytes()

    def run(made: tuple[Path, Path, bytes], chance: random.Random, folder: Path) -> str:
        root, path, data = made
        path.write_bytes(change(data, chance))
        store = folder / "out.zarr"
        for left in (store, *folder.glob("out.zarr*")):
            shutil.rmtree(left, ignore_errors=True)
            if left.is_file():
                left.unlink()
        converted = convert(Request(kind=kind, source=root, store=store, size=32, jobs=1))
        rejected = sum(split.images - split.valid for split in converted.values())
        return "converted, with rejects" if rejected else "converted"

    return seeds, run


COCO = source("coco", coco, changed)
WEBDATASET = source("webdataset", webdataset, mutant)
IMAGENET = source("imagenet", imagenet, mutant)
PARQUET = source("parquet", parquet, mutant)
