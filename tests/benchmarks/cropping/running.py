"""Random resized crops on the CPU: freqprep, torchvision and FFCV, processor time of an image.

All read the same files and deliver normalised crops; each round runs every way once. FFCV is
measured where the environment variable FFCV_PYTHON names an interpreter that has it.
"""

from __future__ import annotations

import cProfile
import os
import pstats
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
from freqprep.store.channel_bytes import bytes_read
from tests.benchmarks.cropping.ffcv_epochs import CASES, PYTHON, ffcv_worker
from tests.benchmarks.epochs import (
    augmented,
    bare,
    cropped_jpegs,
    loaded,
    with_pillow,
    with_simplejpeg,
)
from tests.benchmarks.replicas import replicate
from tests.benchmarks.table import show

_COPIES = 4
"""Copies of 200 files: the raw images of FFCV take 0.4 GB."""
_ROUNDS = 7
_LOADER = {"lanes": 1, "window_bytes": 2**28, "batch_size": 200}  # decodes in every epoch
_USED = "square-24"
_BUSIEST = 8


@dataclass(frozen=True)
class _Crops:
    """Crops of ours: the channels that are read, those used (None: RGB), pixels of a side."""

    read: str
    used: str | None
    side: int

    def __str__(self) -> str:
        read = len(freqprep.channels(self.read))
        used = "RGB" if self.used is None else f"{len(freqprep.channels(self.used))} used"
        return f"freqprep, {read} read, {used}, {self.side} px"

    def augment(self, split: freqprep.Split) -> Augment:
        read = freqprep.channels(self.read)
        if self.used is None:
            inputs = ClassifierInput.rgb(split, read, self.side)
        else:
            used = freqprep.channels(self.used)
            inputs = ClassifierInput.frequency(split, used, read, self.side // 8)
        return Augment(inputs, split.attributes.encoding, Policy(), 0)


_OURS = (
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
    files = [path.stat().st_size for path in source.rglob("*.JPEG")]
    with ExitStack() as stack:
        reads = {crops.read for crops in _OURS}
        loaders = {read: stack.enter_context(_loader(split, read)) for read in reads}
        ways, stored = _ours(split, once, loaders)
        for name, pixels in (("Pillow", with_pillow), ("simplejpeg", with_simplejpeg)):
            ways[f"torchvision, {name}, 224 px"] = cropped_jpegs(source, pixels)
            stored[f"torchvision, {name}, 224 px"] = sum(files) / len(files)
        if python := os.environ.get(PYTHON):
            worker = stack.enter_context(ffcv_worker(python, source, folder / "ffcv"))
            for case in CASES:
                ways[f"FFCV, {case}, 224 px"] = lambda case=case: worker.epoch(case)
                stored[f"FFCV, {case}, 224 px"] = worker.bytes_an_image[case.split(":")[0]]
        else:
            print(f"FFCV is left out: set {PYTHON} to an interpreter that has it")
        best = _best_of_rounds(ways)
    _compare(best, stored)
    return {
        "images": len(split),
        "cpu_seconds_an_image": best,
        "bytes_an_image": stored,
        "busiest": {str(crops): _busiest(split, crops) for crops in _OURS},
    }


def _store(source: Path, target: Path) -> freqprep.Split:
    convert(Request("imagenet", source, target))
    return freqprep.open_store(target)["train"]


def _loader(split: freqprep.Split, read: str) -> freqprep.Loader:
    return freqprep.Loader(split, read, **_LOADER)


def _ours(
    split: freqprep.Split, once: freqprep.Split, loaders: dict[str, freqprep.Loader]
) -> tuple[dict[str, Callable[[], float]], dict[str, float]]:
    """Ours whole and in part, as functions; and the bytes that each reads of an image.

    Copies of an image in one chunk compress better than the images of ``once``, which therefore
    tells the bytes and, beside that of the copies, the time of decoding.
    """
    ways: dict[str, Callable[[], float]] = {}
    for read, loader in loaders.items():
        ways[_decoding(read)] = bare(split, read)
        ways[_decoding(read, "files once")] = bare(once, read)
        ways[_loading(read)] = lambda loader=loader: loaded(loader)
    stored = {}
    for crops in _OURS:
        loader, augment = loaders[crops.read], crops.augment(split)
        ways[str(crops)] = lambda loader=loader, augment=augment: augmented(loader, augment)
        stored[str(crops)] = bytes_read(once, freqprep.channels(crops.read).indices) / len(once)
    return ways, stored


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


def _compare(best: dict[str, float], stored: dict[str, float]) -> None:
    pillow = best["torchvision, Pillow, 224 px"]
    show(
        ("what", "CPU ms an image", "images a CPU second", "x torchvision", "KB an image"),
        [
            (name, 1e3 * best[name], 1 / best[name], pillow / best[name], stored[name] / 1e3)
            for name in sorted(stored, key=lambda name: best[name])
        ],
    )
    print()
    rows = []
    for crops in _OURS:
        decoding, loading = best[_decoding(crops.read)], best[_loading(crops.read)]
        parts = decoding, loading - decoding, best[str(crops)] - loading
        parts += (best[_decoding(crops.read, "files once")],)
        rows.append((str(crops), *(1e3 * part for part in parts)))
    header = ("decoding chunks", "checking, placing", "augmentation", "decoding without copies")
    show(("CPU ms an image", *header), rows)


def _busiest(split: freqprep.Split, crops: _Crops) -> dict[str, float]:
    """Functions in which augmentation of a batch spends its time: shares of it, in percent."""
    with _loader(split, crops.read) as loader:
        batch = next(iter(loader))
        augment = crops.augment(split)
        augment(batch)
        profile = cProfile.Profile()
        profile.runcall(augment, batch)
    stats = pstats.Stats(profile)
    own = {
        f"{Path(file).name}:{name}": 100 * seconds / stats.total_tt
        for (file, _, name), (_, _, seconds, *_) in stats.stats.items()
    }
    busiest = sorted(own.items(), key=lambda item: -item[1])[:_BUSIEST]
    print(f"\n{crops}: where augmentation spends its time")
    show(("function", "%"), busiest)
    return dict(busiest)
