"""WebDataset: tars of the files, shuffled by shards and a buffer, in its ``WebLoader``."""

from collections.abc import Callable, Iterator
from pathlib import Path

import crops

REQUIREMENTS = ("torch==2.13.0", "torchvision==0.28.0", "webdataset==1.0.2")
WAYS = {"tars of JPEG": "webdataset"}

_SAMPLES_A_TAR, _BUFFER = 100, 1000


def write(source: Path, folder: Path, stored: str) -> None:
    import random

    import webdataset

    files = crops.image_files(source)
    random.Random(0).shuffle(files)
    pattern = str(folder / "shard-%05d.tar")
    with webdataset.ShardWriter(pattern, maxcount=_SAMPLES_A_TAR, verbose=0) as out:
        for number, (path, label) in enumerate(files):
            out.write({"__key__": f"{number:08}", "jpg": path.read_bytes(), "cls": label})


def epochs(source: Path, folder: Path, way: str, workers: int) -> Callable[[int], Iterator[int]]:
    return _epochs(sorted(map(str, folder.glob("*.tar"))), workers)


def bucket_epochs(
    bucket: crops.Bucket, folder: Path, way: str, workers: int
) -> Callable[[int], Iterator[int]]:
    return _epochs([f"{bucket.http}/{path.name}" for path in sorted(folder.glob("*.tar"))], workers)


def _epochs(shards: list[str], workers: int) -> Callable[[int], Iterator[int]]:
    import webdataset

    transform = crops.random_crops()
    dataset = (
        webdataset.WebDataset(shards, shardshuffle=len(shards), detshuffle=True)
        .shuffle(_BUFFER)
        .decode("pilrgb")
        .to_tuple("jpg", "cls")
        .map_tuple(transform, lambda label: label)
        .batched(crops.BATCH)
    )
    loader = webdataset.WebLoader(dataset, batch_size=None, **crops.lasting(workers))
    return lambda epoch: crops.sizes(iter(loader))
