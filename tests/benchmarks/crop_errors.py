"""Errors of random resized crops: against torchvision's, and of reading fewer channels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from freqprep.augment import Resampler
from freqprep.augment.color_transforms import to_rgb
from freqprep.augment.crops import CROP_DRAWS, Windows, random_resized_crop
from freqprep.augment.randomness import uniforms
from freqprep.convert.request import Request
from freqprep.convert.run import convert
from freqprep.models.torchvision_ops import import_torchvision
from freqprep.spectrum.channels import Selection, channels
from freqprep.spectrum.quantization import PRECISIONS
from freqprep.store.reader import open_store
from freqprep.store.split import Split
from tests.benchmarks.pixels import stored_rgb
from tests.benchmarks.table import show

_COUNTS = ("square-24", "paper-32", "paper-48", "paper-64", "triangle-96", "triangle-128", "all")
_USED = channels("square-24")
_LUMA_AC, _CHROMA_AC = slice(1, 16), [17, 18, 19, 21, 22, 23]
_IMAGES = 48


def run(data: Path, folder: Path) -> dict[str, object]:
    return {
        "exactness": exactness(data, folder),
        "channels read": channels_read(data, folder),
    }


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
