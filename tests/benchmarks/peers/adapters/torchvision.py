"""torchvision: ``ImageFolder`` in a ``DataLoader``, as in its reference scripts."""

from collections.abc import Callable, Iterator
from pathlib import Path

import crops

REQUIREMENTS = ("torch==2.13.0", "torchvision==0.28.0")
WAYS = {"files, Pillow": "", "files, decode_image": ""}


def epochs(source: Path, folder: Path, way: str, workers: int) -> Callable[[int], Iterator[int]]:
    import torch
    from torchvision.datasets import ImageFolder
    from torchvision.io import ImageReadMode, decode_image

    def decoded(path: str) -> torch.Tensor:
        return decode_image(path, ImageReadMode.RGB)

    options = {} if way.endswith("Pillow") else {"loader": decoded}
    loader = torch.utils.data.DataLoader(
        ImageFolder(str(source), crops.random_crops(), **options),
        crops.BATCH,
        shuffle=True,
        **crops.lasting(workers),
    )
    return lambda epoch: crops.sizes(iter(loader))
