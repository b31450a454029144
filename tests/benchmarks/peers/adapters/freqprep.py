"""freqprep: codes of chosen channels, and exact crops of them or of RGB, on the processor.

The only adapter that does not deliver crops of 224 pixels in each of its ways: a network that takes
frequencies takes ``codes`` as they are, or crops of as many blocks as twice the pixels have.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import crops

REQUIREMENTS = ()
WAYS = {
    "codes, 24 channels": "freqprep",
    "crops, 24 channels, 224 px": "freqprep",
    "crops, 24 of 64 channels, 224 px": "freqprep",
    "crops, 24 channels, 448 px": "freqprep",
    "crops, 24 of 64 channels, 448 px": "freqprep",
    "crops, RGB, 224 px": "freqprep",
}

_READ = {"codes, 24 channels": "learned-24", "crops, RGB, 224 px": "all"}
_USED = "square-24"
# Less than a large split: chunks are decoded in every epoch.
_OPTIONS = {"batch_size": crops.BATCH, "window_bytes": 2**28}


def write(source: Path, folder: Path, stored: str) -> None:
    import freqprep
    from freqprep.convert.request import Request
    from freqprep.convert.run import convert

    convert(Request("imagefolder", source, folder / "s.zarr", split="train"))
    split = freqprep.open_store(folder / "s.zarr")["train"]
    chosen = freqprep.channels("learned-24").indices
    stored = sorted(split.attributes.positions[index] for index in chosen)
    (folder / "stored-positions.json").write_text(json.dumps(stored))


def epochs(source: Path, folder: Path, way: str, workers: int) -> Callable[[int], Iterator[int]]:
    import freqprep

    split = freqprep.open_store(folder / "s.zarr")["train"]
    loader = freqprep.Loader(split, _read(way), lanes=1, threads=workers, **_OPTIONS)
    return _epochs(loader, _transform(split, way))


def bucket_epochs(
    bucket: crops.Bucket, folder: Path, way: str, workers: int
) -> Callable[[int], Iterator[int]]:
    import freqprep

    split = freqprep.open_store(f"{bucket.s3}/s.zarr")["train"]
    return _epochs(freqprep.Loader(split, _read(way), **_OPTIONS), _transform(split, way))


def _read(way: str) -> str:
    return _READ.get(way, "paper-64" if "of 64" in way else _USED)


def _epochs(loader: object, transform: Callable | None) -> Callable[[int], Iterator[int]]:
    def epoch(number: int) -> Iterator[int]:
        for batch in loader:
            yield len(batch.codes if transform is None else transform(batch))

    return epoch


def _transform(split: object, way: str) -> Callable | None:
    import freqprep
    from freqprep.augment import Augment, ClassifierInput, Policy

    if way.startswith("codes"):
        return None
    read = freqprep.channels(_read(way))
    if "RGB" in way:
        inputs = ClassifierInput.rgb(split, read, crops.SIDE)
    else:
        side = int(way.split()[-2]) // 8
        inputs = ClassifierInput.frequency(split, freqprep.channels(_USED), read, side)
    return Augment(inputs, split.attributes.encoding, Policy(), 0)
