"""torchvision: ``ImageFolder`` in a ``DataLoader``, as in its reference scripts."""

from collections.abc import Callable, Iterator
from pathlib import Path

import crops

REQUIREMENTS = ("torch==2.13.0", "torchvision==0.28.0", "simplejpeg==1.9.0")
WAYS = {"files, Pillow": "", "files, decode_image": "", "files, simplejpeg": ""}


def epochs(source: Path, folder: Path, way: str, workers: int) -> Callable[[int], Iterator[int]]:
    import torch
    from torchvision.datasets import ImageFolder
    from torchvision.io import ImageReadMode, decode_image

    def decoded(path: str) -> torch.Tensor:
        return decode_image(path, ImageReadMode.RGB)

    def simply_decoded(path: str) -> torch.Tensor:
        import simplejpeg

        # Its memory is that of the decoder, which torchvision resizes fastest.
        pixels = simplejpeg.decode_jpeg(Path(path).read_bytes(), "RGB")
        return torch.from_numpy(pixels).permute(2, 0, 1)

    loaders = {"decode_image": decoded, "simplejpeg": simply_decoded}
    options = {"loader": own} if (own := loaders.get(way.removeprefix("files, "))) else {}
    loader = torch.utils.data.DataLoader(
        ImageFolder(str(source), crops.random_crops(), **options),
        crops.BATCH,
        shuffle=True,
        **crops.lasting(workers),
    )
    return lambda epoch: crops.sizes(iter(loader))
