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
    "crops, 24 channels, 448 px": "freqprep",
    "crops, RGB, 224 px": "freqprep",
}

_CHANNELS = {"codes, 24 channels": "learned-24", "crops, 24 channels, 448 px": "square-24"}
_WINDOW = {"window_bytes": 2**28}  # less than a large split: chunks are decoded in every epoch


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
    transform = _transform(split, way)
    options = {"batch_size": crops.BATCH, "lanes": 1, "threads": workers, **_WINDOW}
    loader = freqprep.Loader(split, _CHANNELS.get(way, "all"), **options)

    def epoch(number: int) -> Iterator[int]:
        for batch in loader:
            yield len(batch.codes if transform is None else transform(batch))

    return epoch


def _transform(split: object, way: str) -> Callable | None:
    import freqprep
    from freqprep.augment import Augment, ClassifierInput, Policy

    if way.startswith("codes"):
        return None
    if way in _CHANNELS:
        inputs = ClassifierInput.frequency(split, *2 * [freqprep.channels(_CHANNELS[way])], 56)
    else:
        inputs = ClassifierInput.rgb(split, freqprep.channels("all"), crops.SIDE)
    return Augment(inputs, split.attributes.encoding, Policy(), 0)
