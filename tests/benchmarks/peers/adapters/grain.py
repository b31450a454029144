"""grain: ArrayRecord files, its lazy map dataset, worker processes."""

import io
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import crops

REQUIREMENTS = (
    "torch==2.13.0",
    "torchvision==0.28.0",
    "grain==0.2.18",
    "array-record==0.8.6",
    "pillow",
)
WAYS = {"ArrayRecord of JPEG": "grain"}


def write(source: Path, folder: Path, stored: str) -> None:
    from array_record.python.array_record_module import ArrayRecordWriter

    out = ArrayRecordWriter(str(folder / "images.array_record"), "group_size:1")
    for path, label in crops.image_files(source):
        out.write(label.to_bytes(4, "little") + path.read_bytes())
    out.close()


def _crop(record: bytes) -> tuple[object, int]:
    from PIL import Image

    label = int.from_bytes(record[:4], "little")
    with Image.open(io.BytesIO(record[4:])) as image:
        return crops.random_crops()(image.convert("RGB")).numpy(), label


def epochs(source: Path, folder: Path, way: str, workers: int) -> Callable[[int], Iterator[int]]:
    import grain.python as grain
    import torch

    records = grain.ArrayRecordDataSource([str(folder / "images.array_record")])
    options = grain.MultiprocessingOptions(num_workers=workers)

    # Of batches ahead, not of images: as many as a PyTorch DataLoader's worker. By default 500.
    ahead = grain.ReadOptions(num_threads=1, prefetch_buffer_size=2)

    dataset = grain.MapDataset.source(records).shuffle(seed=0).map(_crop).repeat()
    batches = iter(dataset.batch(crops.BATCH).to_iter_dataset(ahead).mp_prefetch(options))
    # Its processes start with an iterator, so one iterator goes on; each epoch is shuffled anew.
    count = len(records) // crops.BATCH

    def epoch(number: int) -> Iterator[int]:
        some = itertools.islice(batches, count)
        return crops.sizes((torch.from_numpy(images), labels) for images, labels in some)

    return epoch
