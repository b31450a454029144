"""Epochs of FFCV, in an interpreter that has it: ``PYTHON ffcv_worker.py SOURCE FOLDER``.

Writes the images of SOURCE as FFCV's files into FOLDER and prints a line of JSON, the bytes an
image of each. Then, for each name of a case on stdin, one epoch: a line of JSON with the processor
seconds that an image took, all threads of this process together.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from ffcv.fields import IntField, RGBImageField
from ffcv.fields.decoders import IntDecoder, RandomResizedCropRGBImageDecoder
from ffcv.loader import Loader, OrderOption
from ffcv.reader import Reader
from ffcv.transforms import NormalizeImage, RandomHorizontalFlip, ToTensor, ToTorchImage
from ffcv.writer import DatasetWriter
from PIL import Image

FILES = {
    "raw, 512 pixels": {"write_mode": "raw", "max_resolution": 512},
    "raw, 256 pixels": {"write_mode": "raw", "max_resolution": 256},
    "JPEG, 512 pixels": {"write_mode": "jpg", "max_resolution": 512, "jpeg_quality": 90},
}
DTYPES = {"float32": np.float32, "float16": np.float16, "uint8": None}
_MEAN, _STD = np.array([0.485, 0.456, 0.406]) * 255, np.array([0.229, 0.224, 0.225]) * 255
_SIDE, _BATCH = 224, 200


class Images:
    """FFCV's source: images by number, all of class 0."""

    def __init__(self, folder: Path) -> None:
        self._files = sorted(folder.rglob("*.JPEG"))

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, number: int) -> tuple[np.ndarray, int]:
        with Image.open(self._files[number]) as image:
            return np.asarray(image.convert("RGB")), 0


def main(source: Path, folder: Path) -> None:
    torch.set_num_threads(1)
    images = Images(source)
    sizes = {name: _write(images, folder / f"{name}.beton", FILES[name]) for name in FILES}
    print(json.dumps({"bytes_an_image": sizes}), flush=True)
    loaders: dict[str, Loader] = {}
    for line in sys.stdin:
        case = line.strip()
        if case not in loaders:
            loaders[case] = _loader(folder, case)
            _epoch(loaders[case])  # compiles
        print(json.dumps({"cpu_seconds_an_image": _epoch(loaders[case])}), flush=True)


def _write(images: Images, target: Path, options: dict[str, object]) -> float:
    fields = {"image": RGBImageField(**options), "label": IntField()}
    DatasetWriter(str(target), fields, num_workers=1).from_indexed_dataset(images)
    # The pixels alone: a file of few images has up to 8 MiB of free space in its last page.
    return float(Reader(str(target)).alloc_table["size"].sum()) / len(images)


def _loader(folder: Path, case: str) -> Loader:
    """Make the loader of a case: the name of a file, ``: `` and that of a dtype."""
    file, _, dtype = case.partition(": ")
    steps = [RandomResizedCropRGBImageDecoder((_SIDE, _SIDE)), RandomHorizontalFlip()]
    if (normalised := DTYPES[dtype]) is not None:
        steps.append(NormalizeImage(_MEAN, _STD, normalised))
    return Loader(
        str(folder / f"{file}.beton"),
        batch_size=_BATCH,
        num_workers=1,
        os_cache=True,
        order=OrderOption.RANDOM,
        pipelines={
            "image": [*steps, ToTensor(), ToTorchImage()],
            "label": [IntDecoder(), ToTensor()],
        },
    )


def _epoch(loader: Iterator[tuple[torch.Tensor, torch.Tensor]]) -> float:
    began = time.process_time()
    images = sum(len(image) for image, _ in loader)
    return (time.process_time() - began) / images


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
