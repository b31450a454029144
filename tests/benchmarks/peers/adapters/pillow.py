"""A loop over files with Pillow and NumPy, as one writes it without any loader."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import crops

REQUIREMENTS = ("numpy", "pillow")
WAYS = {"files, a loop": ""}


def epochs(source: Path, folder: Path, way: str, workers: int) -> Callable[[int], Iterator[int]]:
    import numpy as np
    from PIL import Image

    files = [path for path, _ in crops.image_files(source)]
    mean, std = (np.array(values, np.float32) * 255 for values in (crops.MEAN, crops.STD))

    def crop(path: Path, draw: random.Random) -> np.ndarray:
        with Image.open(path) as file:
            image = file.convert("RGB")
        side = (crops.SIDE, crops.SIDE)
        pixels = np.asarray(image.resize(side, Image.Resampling.BILINEAR, _box(image.size, draw)))
        pixels = pixels[:, ::-1] if draw.random() < 0.5 else pixels
        return ((pixels - mean) / std).transpose(2, 0, 1)

    def epoch(number: int) -> Iterator[int]:
        draw = random.Random(number)
        order = draw.sample(files, len(files))
        for first in range(0, len(order), crops.BATCH):
            batch = np.stack([crop(path, draw) for path in order[first : first + crops.BATCH]])
            assert batch.shape[1:] == (3, crops.SIDE, crops.SIDE) and batch.dtype == np.float32
            yield len(batch)

    return epoch


def _box(size: tuple[int, int], draw: random.Random) -> tuple[float, float, float, float]:
    """Draw a box of 8 to 100 % of the area and an aspect ratio of 3/4 to 4/3."""
    width, height = size
    area, ratio = width * height * draw.uniform(0.08, 1), draw.uniform(3 / 4, 4 / 3)
    wide, high = min((area * ratio) ** 0.5, width), min((area / ratio) ** 0.5, height)
    left, top = draw.uniform(0, width - wide), draw.uniform(0, height - high)
    return left, top, left + wide, top + high
