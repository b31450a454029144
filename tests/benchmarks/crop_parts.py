"""Random resized crops of ours on the CPU: how the processor time of an image divides.

Beside them torchvision crops the same JPEGs, decoded by Pillow, one after the other: the two have
the same files and one thread each. Other loaders are in the benchmark ``peers``.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch

import freqprep
from freqprep.allocation import keep_freed_memory
from freqprep.augment import Augment, ClassifierInput, Policy
from freqprep.convert.request import Request
from freqprep.convert.run import convert
from tests.benchmarks.epochs import augmented, bare, cropped_jpegs, loaded
from tests.benchmarks.replicas import replicate
from tests.benchmarks.table import show

_COPIES = 4
_ROUNDS = 7
_LOADER = {"lanes": 1, "window_bytes": 2**28, "batch_size": 200}  # decodes in every epoch
_USED = "square-24"
_JPEGS = "torchvision, Pillow, 224 px"


@dataclass(frozen=True)
class _Crops:
    """Crops of ours: the channels that are read, those used (None: RGB), pixels of a side."""

    read: str
    used: str | None
    side: int

    def __str__(self) -> str:
        read = len(freqprep.channels(self.read))
        used = "RGB" if self.used is None else f"{len(freqprep.channels(self.used))} used"
        return f"{read} read, {used}, {self.side} px"

    def augment(self, split: freqprep.Split) -> Augment:
        read = freqprep.channels(self.read)
        if self.used is None:
            inputs = ClassifierInput.rgb(split, read, self.side)
        else:
            used = freqprep.channels(self.used)
            inputs = ClassifierInput.frequency(split, used, read, self.side // 8)
        return Augment(inputs, split.attributes.encoding, Policy(), 0)


_CROPS = (
    _Crops("square-24", _USED, 448),
    _Crops("paper-64", _USED, 448),
    _Crops("square-24", _USED, 224),
    _Crops("paper-64", _USED, 224),
    _Crops("all", None, 224),
)


def run(data: Path, folder: Path) -> dict[str, object]:
    torch.set_num_threads(1)
    keep_freed_memory()
    source = replicate(data / "imagenet", folder / "source", _COPIES)
    split = _store(source, folder / "s.zarr")
    once = _store(data / "imagenet", folder / "once.zarr")
    with ExitStack() as stack:
        ways: dict[str, Callable[[], float]] = {_JPEGS: cropped_jpegs(source)}
        for read in {crops.read for crops in _CROPS}:
            loader = stack.enter_context(freqprep.Loader(split, read, **_LOADER))
            ways |= _parts(split, once, loader, read)
        best = _best_of_rounds(ways)
    _show(best)
    return {"images": len(split), "cpu_seconds_an_image": best}


def _store(source: Path, target: Path) -> freqprep.Split:
    convert(Request("imagenet", source, target))
    return freqprep.open_store(target)["train"]


def _parts(
    split: freqprep.Split, once: freqprep.Split, loader: freqprep.Loader, read: str
) -> dict[str, Callable[[], float]]:
    """Ours whole and in part, for the channels of a loader.

    Copies of an image in one chunk compress better than the images of ``once``, which therefore
    tells, beside that of the copies, the time of decoding.
    """
    ways: dict[str, Callable[[], float]] = {
        _decoding(read): bare(split, read),
        _decoding(read, "files once"): bare(once, read),
        _loading(read): lambda: loaded(loader),
    }
    for crops in _CROPS:
        if crops.read == read:
            augment = crops.augment(split)
            ways[str(crops)] = lambda augment=augment: augmented(loader, augment)
    return ways


def _decoding(read: str, files: str = "copies") -> str:
    return f"zstd, {read}, {files}"


def _loading(read: str) -> str:
    return f"loader, {read}"


def _best_of_rounds(ways: dict[str, Callable[[], float]]) -> dict[str, float]:
    for measure in ways.values():
        measure()  # compiles, and touches the memory for the first time
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(_ROUNDS):  # interleaved, so that other load affects all alike
        for name, measure in ways.items():
            best[name] = min(best[name], measure())
    return best


def _show(best: dict[str, float]) -> None:
    rows = []
    for crops in _CROPS:
        whole, decoding, loading = (
            best[str(crops)],
            best[_decoding(crops.read)],
            best[_loading(crops.read)],
        )
        parts = (whole, decoding, loading - decoding, whole - loading)
        parts += (best[_decoding(crops.read, "files once")],)
        rows.append((str(crops), *(1e3 * part for part in parts), best[_JPEGS] / whole))
    rows.append((_JPEGS, 1e3 * best[_JPEGS], *4 * [""], 1.0))
    show(
        (
            "CPU ms an image",
            "whole",
            "decoding chunks",
            "checking, placing",
            "augmentation",
            "decoding without copies",
            "x torchvision",
        ),
        rows,
    )
