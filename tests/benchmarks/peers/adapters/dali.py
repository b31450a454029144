"""DALI: its pipeline on the processor, decoding only the crop."""

from collections.abc import Callable, Iterator
from pathlib import Path

import crops

REQUIREMENTS = ("numpy", "nvidia-dali-cuda120==2.4.0", "torch==2.13.0")
WAYS = {"files": ""}


def epochs(source: Path, folder: Path, way: str, workers: int) -> Callable[[int], Iterator[int]]:
    from nvidia.dali import fn, pipeline_def, types

    @pipeline_def(batch_size=crops.BATCH, num_threads=workers, device_id=None, seed=0)
    def pipeline() -> tuple[object, object]:
        files, labels = fn.readers.file(
            file_root=str(source), random_shuffle=True, name="files", pad_last_batch=False
        )
        images = fn.decoders.image_random_crop(files, device="cpu", output_type=types.RGB)
        images = fn.resize(images, size=(crops.SIDE, crops.SIDE), antialias=True)
        crop = fn.crop_mirror_normalize(
            images,
            dtype=types.FLOAT,
            output_layout="CHW",
            mean=[255 * value for value in crops.MEAN],
            std=[255 * value for value in crops.STD],
            mirror=fn.random.coin_flip(),
        )
        return crop, labels

    pipe = pipeline()
    pipe.build()
    images = pipe.epoch_size("files")

    def epoch(number: int) -> Iterator[int]:
        left = images
        while left > 0:
            batch, _ = pipe.run()
            delivered = batch.as_array()
            assert delivered.shape[1:] == (3, crops.SIDE, crops.SIDE)
            assert delivered.dtype == "float32"
            yield min(left, len(delivered))
            left -= len(delivered)

    return epoch
