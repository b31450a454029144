"""Hugging Face datasets: Arrow files with the images' bytes, in a ``DataLoader`` of torch."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import crops

REQUIREMENTS = ("torch==2.13.0", "torchvision==0.28.0", "datasets==5.2.0", "aiohttp", "pillow")
WAYS = {"Arrow of JPEG": "datasets"}

_BUFFER = 1000


def write(source: Path, folder: Path, stored: str) -> None:
    import datasets

    def samples() -> Iterator[dict[str, object]]:
        for path, label in crops.image_files(source):
            yield {"image": {"bytes": path.read_bytes(), "path": None}, "label": label}

    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    cache = str(folder / "cache")
    made = datasets.Dataset.from_generator(samples, features=features, cache_dir=cache)
    made.save_to_disk(str(folder / "out"))
    _remove(folder / "cache")


def _remove(cache: Path) -> None:
    import shutil

    shutil.rmtree(cache)


def epochs(source: Path, folder: Path, way: str, workers: int) -> Callable[[int], Iterator[int]]:
    import datasets
    import torch

    transform = crops.random_crops()

    def transformed(rows: dict[str, list]) -> dict[str, list]:
        images = [transform(image.convert("RGB")) for image in rows["image"]]
        return {"image": images, "label": rows["label"]}

    dataset = datasets.load_from_disk(str(folder / "out")).with_transform(transformed)
    loader = torch.utils.data.DataLoader(
        dataset, crops.BATCH, shuffle=True, **crops.lasting(workers)
    )
    return _epochs(loader)


def bucket_epochs(
    bucket: crops.Bucket, folder: Path, way: str, workers: int
) -> Callable[[int], Iterator[int]]:
    import datasets
    import torch

    transform = crops.random_crops()

    def transformed(row: dict[str, object]) -> dict[str, object]:
        return {"image": transform(row["image"].convert("RGB")), "label": row["label"]}

    files = [f"{bucket.http}/out/{path.name}" for path in sorted((folder / "out").glob("*.arrow"))]
    options = {"split": "train", "streaming": True, "cache_dir": str(bucket.cache)}
    rows = datasets.load_dataset("arrow", data_files=files, **options)
    rows = rows.shuffle(seed=0, buffer_size=_BUFFER).map(transformed)
    return _epochs(torch.utils.data.DataLoader(rows, crops.BATCH, **crops.lasting(workers)))


def _epochs(loader: Iterable[dict[str, object]]) -> Callable[[int], Iterator[int]]:
    pairs = lambda: ((batch["image"], batch["label"]) for batch in loader)  # noqa: E731
    return lambda epoch: crops.sizes(pairs())
