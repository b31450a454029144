"""MosaicML Streaming: MDS shards of the files, in a ``DataLoader`` of torch."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import crops

REQUIREMENTS = ("torch==2.13.0", "torchvision==0.28.0", "mosaicml-streaming==0.13.0")
WAYS = {"MDS of JPEG": "streaming"}


def write(source: Path, folder: Path, stored: str) -> None:
    import random

    from PIL import Image
    from streaming import MDSWriter

    files = crops.image_files(source)
    random.Random(0).shuffle(files)
    with MDSWriter(out=str(folder / "out"), columns={"image": "jpeg", "label": "int"}) as out:
        for path, label in files:
            with Image.open(path) as image:
                out.write({"image": image, "label": label})


def epochs(source: Path, folder: Path, way: str, workers: int) -> Callable[[int], Iterator[int]]:
    return _epochs(workers, local=str(folder / "out"))


def bucket_epochs(
    bucket: crops.Bucket, folder: Path, way: str, workers: int
) -> Callable[[int], Iterator[int]]:
    os.environ["S3_ENDPOINT_URL"] = bucket.server
    return _epochs(workers, local=str(bucket.cache), remote=f"{bucket.s3}/out")


def _epochs(workers: int, **places: str) -> Callable[[int], Iterator[int]]:
    import torch
    from streaming import StreamingDataset

    transform = crops.random_crops()

    class Crops(StreamingDataset):
        def __getitem__(self, index: int) -> tuple[object, int]:
            sample = super().__getitem__(index)
            return transform(sample["image"].convert("RGB")), sample["label"]

    dataset = Crops(**places, shuffle=True, batch_size=crops.BATCH)
    loader = torch.utils.data.DataLoader(dataset, crops.BATCH, **crops.lasting(workers))
    return lambda epoch: crops.sizes(iter(loader))
