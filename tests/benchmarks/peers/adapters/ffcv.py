"""FFCV: its file, raw or JPEG, with its compiled pipeline.

It is built where it is installed: docs/benchmarks/loaders.md says how.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import crops

REQUIREMENTS = ("numpy==2.0.2", "numba==0.60.0", "torch==2.13.0", "pillow", "ffcv==1.0.2")
WAYS = {
    "raw, 512 pixels": "ffcv, raw, 512 pixels",
    "raw, 256 pixels": "ffcv, raw, 256 pixels",
    "JPEG, 512 pixels": "ffcv, JPEG, 512 pixels",
}

_WRITTEN = {
    "raw, 512 pixels": {"write_mode": "raw", "max_resolution": 512},
    "raw, 256 pixels": {"write_mode": "raw", "max_resolution": 256},
    "JPEG, 512 pixels": {"write_mode": "jpg", "max_resolution": 512, "jpeg_quality": 90},
}


class _Images:
    """Its source: images by number, with their classes."""

    def __init__(self, source: Path) -> None:
        self._files = crops.image_files(source)

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, number: int) -> tuple[object, int]:
        import numpy as np
        from PIL import Image

        path, label = self._files[number]
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB")), label


def write(source: Path, folder: Path, stored: str) -> None:
    from ffcv.fields import IntField, RGBImageField
    from ffcv.writer import DatasetWriter

    fields = {
        "image": RGBImageField(**_WRITTEN[stored.removeprefix("ffcv, ")]),
        "label": IntField(),
    }
    writer = DatasetWriter(str(folder / "images.beton"), fields, num_workers=1)
    writer.from_indexed_dataset(_Images(source))


def epochs(source: Path, folder: Path, way: str, workers: int) -> Callable[[int], Iterator[int]]:
    import numpy as np
    from ffcv.fields.decoders import IntDecoder, RandomResizedCropRGBImageDecoder
    from ffcv.loader import Loader, OrderOption
    from ffcv.transforms import NormalizeImage, RandomHorizontalFlip, ToTensor, ToTorchImage

    mean, std = (255 * np.array(values) for values in (crops.MEAN, crops.STD))
    loader = Loader(
        str(folder / "images.beton"),
        batch_size=crops.BATCH,
        num_workers=workers,
        os_cache=True,
        order=OrderOption.RANDOM,
        drop_last=False,
        pipelines={
            "image": [
                RandomResizedCropRGBImageDecoder((crops.SIDE, crops.SIDE)),
                RandomHorizontalFlip(),
                NormalizeImage(mean, std, np.float32),
                ToTensor(),
                ToTorchImage(),
            ],
            "label": [IntDecoder(), ToTensor()],
        },
    )
    return lambda epoch: crops.sizes(iter(loader))
