"""Epochs in several ways, each as a function that returns the processor seconds of an image."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numcodecs import zstd
from PIL import Image

import freqprep
from freqprep.augment import Augment
from freqprep.models.torchvision_ops import import_torchvision
from freqprep.spectrum.channels import STORED_POSITION
from freqprep.store.schema import chunk_shape

_JPEGS = 600


def seconds_an_image(work: Callable[[], int]) -> float:
    """Processor seconds of all threads per delivered image."""
    began = time.process_time()
    images = work()
    return (time.process_time() - began) / images


def bare(split: freqprep.Split, selection: str) -> Callable[[], float]:
    """zstd alone: the chunks of a selection, decoded from memory into one array."""
    positions = sorted(STORED_POSITION[i] for i in freqprep.channels(selection).indices)
    frames = []
    for shard in range(split.shards):
        with split.open_shard(shard) as file:
            frames += [file.chunk_frame(position) for position in positions]
    chunk = np.empty(chunk_shape(split.attributes.encoding.geometry), np.int8)

    def decode() -> int:
        for frame in frames:
            zstd.decompress(frame, chunk)
        return len(split)

    return lambda: seconds_an_image(decode)


def loaded(loader: freqprep.Loader) -> float:
    return seconds_an_image(lambda: sum(len(batch.rows) for batch in loader))


def augmented(loader: freqprep.Loader, augment: Augment) -> float:
    return seconds_an_image(lambda: sum(len(augment(batch)) for batch in loader))


def cropped_jpegs(source: Path) -> Callable[[], float]:
    """Random files, decoded by Pillow, cropped to 224 pixels and normalised by torchvision."""
    import_torchvision()
    from torchvision.transforms import v2

    transform = v2.Compose(
        [
            v2.RandomResizedCrop(224),
            v2.RandomHorizontalFlip(),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    files = sorted(source.rglob("*.JPEG"))
    chosen = [files[i] for i in np.random.RandomState(0).permutation(len(files))[:_JPEGS]]

    def load() -> int:
        for path in chosen:
            transform(Image.open(path).convert("RGB"))
        return len(chosen)

    return lambda: seconds_an_image(load)
