"""SPDL: threads that decode and crop with FFmpeg's filters."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import crops

REQUIREMENTS = ("numpy", "torch==2.13.0", "spdl-core==0.8.0", "spdl-io==0.8.0")
WAYS = {"files": ""}


def epochs(source: Path, folder: Path, way: str, workers: int) -> Callable[[int], Iterator[int]]:
    import spdl.io
    import torch
    from spdl.pipeline import PipelineBuilder

    files = crops.image_files(source)
    mean = torch.tensor(crops.MEAN).mul(255).view(1, 3, 1, 1)
    std = torch.tensor(crops.STD).mul(255).view(1, 3, 1, 1)

    def crop(file: tuple[Path, int]) -> tuple[object, int]:
        packets = spdl.io.demux_image(str(file[0]))
        filters = _filters(packets.width, packets.height)
        return spdl.io.decode_packets(packets, filter_desc=filters), file[1]

    def collate(samples: list[tuple[object, int]]) -> tuple[torch.Tensor, list[int]]:
        buffer = spdl.io.convert_frames([frames for frames, _ in samples])
        pixels = spdl.io.to_torch(buffer).permute(0, 3, 1, 2)
        return pixels.to(torch.float32).sub_(mean).div_(std), [label for _, label in samples]

    def epoch(number: int) -> Iterator[int]:
        order = random.Random(number).sample(files, len(files))
        pipeline = (
            PipelineBuilder()
            .add_source(order)
            .pipe(crop, concurrency=workers)
            .aggregate(crops.BATCH)
            .pipe(collate)
            .add_sink(3)
            .build(num_threads=workers)
        )
        with pipeline.auto_stop():
            yield from crops.sizes(iter(pipeline))

    return epoch


def _filters(width: int, height: int) -> str:
    area, ratio = width * height * random.uniform(0.08, 1), random.uniform(3 / 4, 4 / 3)
    wide = max(1, min(round((area * ratio) ** 0.5), width))
    high = max(1, min(round((area / ratio) ** 0.5), height))
    left, top = random.randint(0, width - wide), random.randint(0, height - high)
    flip = ",hflip" if random.random() < 0.5 else ""
    return (
        f"format=pix_fmts=rgb24,crop={wide}:{high}:{left}:{top},"
        f"scale={crops.SIDE}:{crops.SIDE}{flip}"
    )
