"""tensorstore reading our store: the published 24 channels of random shards, as whole chunks."""

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import crops

REQUIREMENTS = ("tensorstore",)
WAYS = {"our store, 24 channels": "freqprep"}

_ROWS = 128
_CODES = "s.zarr/train/coefficients/"


def epochs(source: Path, folder: Path, way: str, workers: int) -> Callable[[int], Iterator[int]]:
    store = {"driver": "file", "path": str(folder / _CODES)}
    return _epochs(store, folder, workers)


def bucket_epochs(
    bucket: crops.Bucket, folder: Path, way: str, workers: int
) -> Callable[[int], Iterator[int]]:
    store = {"driver": "http", "base_url": f"{bucket.http}/{_CODES}"}
    return _epochs(store, folder, workers)


def _epochs(store: dict[str, str], folder: Path, workers: int) -> Callable[[int], Iterator[int]]:
    import tensorstore

    channels = json.loads((folder / "stored-positions.json").read_text())
    context = {"data_copy_concurrency": {"limit": workers}}
    spec = {"driver": "zarr3", "kvstore": store}
    codes = tensorstore.open({**spec, "context": context}, open=True).result()
    firsts = list(range(0, codes.shape[0], _ROWS))

    def epoch(number: int) -> Iterator[int]:
        for first in random.Random(number).sample(firsts, len(firsts)):
            rows = slice(first, min(first + _ROWS, codes.shape[0]))
            yield len(codes[rows, channels].read().result())

    return epoch
