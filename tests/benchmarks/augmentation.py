"""Time of augmenting coefficients.

It is for codes that fill a 64x64 grid (512 x 512 valid pixels, the maximum) under random resized
crops, flips and normalisation; on a CPU with one thread, in processor time. The benchmark ``gpu``
measures it on a GPU.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from freqprep.allocation import keep_freed_memory
from freqprep.augment import Augment, ClassifierInput, Policy, resample
from freqprep.compilation import can_compile
from freqprep.images.encoding import Encoding
from freqprep.images.geometry import Geometry
from freqprep.models.networks import build
from freqprep.spectrum.channels import channels
from freqprep.spectrum.quantization import PRECISIONS
from freqprep.streaming.batch import Batch
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
_BATCH = 64
_ROUNDS = 8


def run(data: Path, folder: Path) -> dict[str, object]:
    return {"speed": speed()}


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
