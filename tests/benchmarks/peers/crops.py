"""Crops that every peer delivers; with torch and torchvision alone, for peers import this."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

BATCH, SIDE = 64, 224
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def image_files(source: Path) -> list[tuple[Path, int]]:
    """Return the files of class folders, in order, each with the number of its class."""
    folders = sorted(path for path in source.iterdir() if path.is_dir())
    return [(path, label) for label, one in enumerate(folders) for path in sorted(one.iterdir())]


def lasting(workers: int) -> dict[str, object]:
    """Return a loader's options for processes that last from one epoch to the next."""
    return {"num_workers": workers, "persistent_workers": True}


@dataclass(frozen=True)
class Bucket:
    """A stored form in the bucket of a server on this machine.

    The environment has the endpoint and the credentials of S3.

    Attributes
    ----------
    server : str
        URL of the server.
    prefix : str
    cache : Path
        Folder for what a peer keeps of it; empty at first.
    """

    server: str
    prefix: str
    cache: Path

    @property
    def s3(self) -> str:
        return f"s3://slow/{self.prefix}"

    @property
    def http(self) -> str:
        return f"{self.server}/slow/{self.prefix}"


@cache
def random_crops() -> object:
    """Return torchvision's transform of a Pillow image or uint8 tensor to a normalised crop.

    Made once a process: those that work for a loader call it for each image. Each such process has
    one compute thread, as a PyTorch ``DataLoader`` gives its own: other loaders leave as many as
    there are cores, which then wait for each other.
    """
    import torch
    from torchvision.transforms import v2

    torch.set_num_threads(1)

    return v2.Compose(
        [
            v2.RandomResizedCrop(SIDE, antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )


def import_torchvision() -> None:
    """Import torchvision beside a torch without CUDA, for which its compiled part is not built.

    Without its operators the module that describes them to torch cannot be imported. Neither is
    needed here.
    """
    name = "torchvision._meta_registrations"
    try:
        import torchvision
    except RuntimeError:
        for half in [one for one in sys.modules if one.split(".")[0] == "torchvision"]:
            del sys.modules[half]
        sys.modules[name] = ModuleType(name)
        import torchvision  # noqa: F401


def sizes(batches: Iterator[tuple[object, object]]) -> Iterator[int]:
    """Yield the number of images of each batch, which must be normalised crops of torch."""
    for images, labels in batches:
        assert images.shape[1:] == (3, SIDE, SIDE) and str(images.dtype) == "torch.float32"
        assert len(labels) == len(images)
        yield len(images)
