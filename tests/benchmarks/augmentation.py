"""Augmentation of coefficients: time, exactness, and the error of reading fewer channels.

Times are for codes that fill a 64x64 grid (512 x 512 valid pixels, the maximum) under
random resized crops, flips and normalisation; on a CPU with one thread, in processor time. The
benchmark ``gpu`` measures them on a GPU.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from freqprep.allocation import keep_freed_memory
from freqprep.augment import Augment, ClassifierInput, Policy, Resampler, resample
from freqprep.augment.color_transforms import to_rgb
from freqprep.augment.crops import CROP_DRAWS, Windows, random_resized_crop
from freqprep.augment.randomness import uniforms
from freqprep.compilation import can_compile
from freqprep.convert.request import Request
from freqprep.convert.run import convert
from freqprep.images.encoding import Encoding
from freqprep.images.geometry import Geometry
from freqprep.models.networks import build
from freqprep.models.torchvision_ops import import_torchvision
from freqprep.spectrum.channels import Selection, channels
from freqprep.spectrum.quantization import PRECISIONS
from freqprep.store.reader import open_store
from freqprep.store.split import Split
from freqprep.streaming.batch import Batch
from tests.benchmarks.pixels import stored_rgb
from tests.benchmarks.table import show

_GRID = (64, 64)
_ENCODING = Encoding(Geometry("fit", 512, None, "apply"), PRECISIONS["int16"])  # of that grid
_CASES: list[tuple[str, str | None, int]] = [
    # read, used (None: RGB), side of the output
    ("square-24", "square-24", 448),
    ("paper-64", "square-24", 448),
    ("all", "square-24", 448),
    ("all", "all", 448),
    ("square-24", "square-24", 224),
    ("paper-64", "square-24", 224),
    ("all", "square-24", 224),
    ("all", None, 224),
]
_COUNTS = ("square-24", "paper-32", "paper-48", "paper-64", "triangle-96", "triangle-128", "all")
_USED = channels("square-24")
_LUMA_AC, _CHROMA_AC = slice(1, 16), [17, 18, 19, 21, 22, 23]
_IMAGES = 48
_BATCH = 64
_ROUNDS = 8


def run(data: Path, folder: Path) -> dict[str, object]:
    return {
        "speed": speed(),
        "exactness": exactness(data, folder),
        "channels read": channels_read(data, folder),
    }


def speed() -> list[list[object]]:
    """Time of `Augment` per image in each form, and its share of a ResNet-50 training step."""
    keep_freed_memory()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        step = _network_step()
        rows: list[list[object]] = []
        for read, used, side in _CASES:
            augment = _augment(read, used, side)
            batch = _full_batch(augment.inputs)
            times = {
                form: seconds / len(batch)
                for form, seconds in _by_form(lambda a=augment, b=batch: a(b)).items()
            }
            best = min(times.values())
            shown = [*(1e3 * seconds for seconds in times.values()), times["torch"] / best]
            rows.append([read, used or "RGB", side, *shown, 100 * best / step])
    finally:
        torch.set_num_threads(threads)
    print(f"\nResNet-50, 24 x 56 x 56, forward and backward: {1e3 * step:.3g} ms an image")
    forms = [f"{form}: ms an image" for form in times]
    show(["read", "used", "side", *forms, "ratio", "% of the step"], rows)
    return rows


def _by_form(work: Callable[[], object]) -> dict[str, float]:
    """Least seconds of each form that there is, measured in turn."""
    forms = {"torch": False} | ({"compiled": True} if can_compile() else {})
    best = dict.fromkeys(forms, np.inf)
    for _ in range(_ROUNDS):
        for form, compiled in forms.items():
            with mock.patch.object(resample, "can_compile", lambda on=compiled: on):
                best[form] = min(best[form], _best(work, 1))
    return best


def _augment(read: str, used: str | None, side: int) -> Augment:
    names = channels(used).names if used else ()
    count = len(names) or 3
    inputs = ClassifierInput(
        kind="rgb" if used is None else "frequency",
        read=channels(read).names,
        channels=names,
        side=side,
        resize=side,
        mean=(0.0,) * count,
        std=(1.0,) * count,
    )
    return Augment(inputs, _ENCODING, Policy(), 0)


def _full_batch(inputs: ClassifierInput) -> Batch:
    codes = torch.randint(-9, 10, (_BATCH, len(inputs.read), *_GRID), dtype=torch.int8)
    sizes = np.full((_BATCH, 2), 8 * _GRID[0], np.int32)
    return Batch(codes, torch.zeros(_BATCH), np.arange(_BATCH), sizes, 0, 0)


def _network_step() -> float:
    """Seconds per image."""
    images = 2
    network = build("resnet50", channels=24).to(memory_format=torch.channels_last).train()
    inputs = torch.randn(images, 24, 56, 56).contiguous(memory_format=torch.channels_last)
    labels = torch.zeros(images, dtype=torch.int64)

    def step() -> None:
        torch.nn.functional.cross_entropy(network(inputs), labels).backward()
        network.zero_grad()

    return _best(step) / images


def _best(work: Callable[[], object], rounds: int = 3) -> float:
    """Least processor seconds, after an untimed round."""
    work()
    best = np.inf
    for _ in range(rounds):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


def exactness(data: Path, folder: Path) -> list[list[object]]:
    """Compare RGB from stored codes with torchvision on the pixels before the transform."""
    import_torchvision()
    from torchvision.transforms.v2 import functional

    rows: list[list[object]] = []
    for precision in ("int16", "int8"):
        split = _store(data, folder, "imagenet", 512, precision)
        images = stored_rgb(split, data / "imagenet", range(_IMAGES))
        for side in (224, 448):
            windows = _crops(split, side)
            found = _rgb(split, channels("all"), windows, side)
            squares, largest = [], 0.0
            for rgb, one, start, length in zip(
                images, found, windows.start, windows.length, strict=True
            ):
                box = functional.crop(torch.from_numpy(rgb), *start.tolist(), *length.tolist())
                other = functional.resize(box, [side, side], antialias=True).clamp(0, 255)
                difference = (one - other).double().abs()
                squares.append(float(difference.square().mean()))
                largest = max(largest, float(difference.max()))
            pooled = float(np.sqrt(np.mean(squares)))
            rows.append([precision, side, pooled, float(np.sqrt(max(squares))), largest])
    print(f"\n{_IMAGES} ImageNet images, one random resized crop each, grey levels of RGB")
    show(["codes", "side", "RMS", "worst image's RMS", "largest"], rows)
    return rows


def channels_read(data: Path, folder: Path) -> dict[str, list[list[object]]]:
    """Error of the published 24 after a crop, by the channels read."""
    results = {}
    for name, size in (("imagenet", 512), ("flowers17", 1024)):
        fine, coarse = (_store(data, folder, name, size, p) for p in ("int16", "int8"))
        windows = _crops(coarse, 448)
        truth = _coefficients(fine, channels("all"), windows, _USED)
        rgb_windows = _crops(coarse, 224)
        rgb_truth = _rgb(fine, channels("all"), rgb_windows, 224)
        rows: list[list[object]] = []
        for selection in map(channels, _COUNTS):
            error = _coefficients(coarse, selection, windows, _USED) - truth
            rgb_error = _rgb(coarse, selection, rgb_windows, 224) - rgb_truth
            rows.append(
                [
                    selection.name,
                    len(selection),
                    100 * _rms(error[:, _LUMA_AC]) / _rms(truth[:, _LUMA_AC]),
                    100 * _rms(error[:, _CHROMA_AC]) / _rms(truth[:, _CHROMA_AC]),
                    # By Parseval a block's 64 pixels share the squared error of its coefficients.
                    float(error[:, :16].square().sum(dim=1).mean().div(64).sqrt()),
                    _rms(rgb_error),
                ]
            )
        print(f"\n{name}, int8, --size {size}: random resized crops to 448, square-24 used")
        show(
            [
                "read",
                "channels",
                "luma AC, error %",
                "chroma AC, error %",
                "luma, grey levels",
                "RGB at 224, grey levels",
            ],
            rows,
        )
        results[name] = rows
    return results


def _rms(values: torch.Tensor) -> float:
    return float(values.double().square().mean().sqrt())


def _store(data: Path, folder: Path, name: str, size: int, precision: str) -> Split:
    store = folder / f"{name}-{size}-{precision}.zarr"
    if not store.exists():
        kind = "imagenet" if name == "imagenet" else "imagefolder"
        convert(
            Request(
                kind, data / name, store, size=size, precision=PRECISIONS[precision], split="train"
            )
        )
    return open_store(store)["train"]


def _crops(split: Split, side: int) -> Windows:
    rows = np.arange(_IMAGES)
    return random_resized_crop(split.sizes[rows], side, uniforms(0, 0, rows, CROP_DRAWS))


def _coefficients(
    split: Split, read: Selection, windows: Windows, used: Selection | None, side: int = 448
) -> torch.Tensor:
    codes = torch.from_numpy(split.read_codes(range(_IMAGES), read))
    steps = split.steps[list(read.indices)]
    grid = (codes.shape[2], codes.shape[3])
    return Resampler(read, steps, grid, used)(codes, windows)


def _rgb(split: Split, read: Selection, windows: Windows, side: int) -> torch.Tensor:
    return to_rgb(_coefficients(split, read, windows, None, side)).clamp_(0, 255)
