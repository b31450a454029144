"""LitData: chunks of the files, made by ``optimize``, in its ``StreamingDataLoader``."""

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import crops

REQUIREMENTS = ("torch==2.13.0", "torchvision==0.28.0", "litdata==0.2.76", "pillow")
WAYS = {"chunks of JPEG": "litdata"}


def write(source: Path, folder: Path, stored: str) -> None:
    # It empties the folder of its cache, by default one that others may use.
    os.environ["DATA_OPTIMIZER_CACHE_FOLDER"] = str(folder / "cache")
    os.environ["DATA_OPTIMIZER_DATA_CACHE_FOLDER"] = str(folder / "data-cache")
    import litdata

    files = [(str(path), label) for path, label in crops.image_files(source)]
    litdata.optimize(_sample, files, str(folder / "out"), chunk_bytes="64MB", num_workers=1)


def _sample(file: tuple[str, int]) -> dict[str, object]:
    return {"image": Path(file[0]).read_bytes(), "label": file[1]}


def _crop(sample: dict[str, object]) -> tuple[object, int]:
    # Images stored as Pillow's would be decoded by torchvision's compiled part, which the CPU build
    # of torch lacks.
    from PIL import Image

    with Image.open(io.BytesIO(sample["image"])) as image:
        return crops.random_crops()(image.convert("RGB")), sample["label"]


def epochs(source: Path, folder: Path, way: str, workers: int) -> Callable[[int], Iterator[int]]:
    return _epochs(str(folder / "out"), workers)


def bucket_epochs(
    bucket: crops.Bucket, folder: Path, way: str, workers: int
) -> Callable[[int], Iterator[int]]:
    from litdata.streaming import downloader

    # Its obstore refuses plain HTTP otherwise. The workers are forks of this process.
    downloader._OBSTORE_CLIENT_OPTIONS["allow_http"] = True
    return _epochs(f"{bucket.s3}/out", workers, cache_dir=str(bucket.cache))


def _epochs(place: str, workers: int, **options: str) -> Callable[[int], Iterator[int]]:
    import litdata

    dataset = litdata.StreamingDataset(place, shuffle=True, transform=_crop, **options)
    loader = litdata.StreamingDataLoader(dataset, batch_size=crops.BATCH, **crops.lasting(workers))
    return lambda epoch: crops.sizes(iter(loader))
