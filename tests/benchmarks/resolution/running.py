"""Flowers: MobileNetV2 that begins with ImageNet's weights, the first stages fitted."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks.resolution.trainings import Domain, run_all_sizes
from tests.benchmarks.training_runs import recipe

_WEIGHTS = "weights/mobilenet_v2_imagenet_folded.npz"
_RATES = (0.0025, 0.005, 0.01, 0.02)


def run(data: Path, folder: Path) -> dict[str, object]:
    return run_all_sizes(
        Domain(
            "flowers17",
            "imagefolder",
            "mobilenet_v2",
            {224: 28, 448: 56, 672: 84},
            ("12KB/image", "24KB/image"),
            recipe(epochs=6, batch_size=32, rate=_RATES[0]),
            _RATES,
            seeds=3,
            request={"init": data / _WEIGHTS},
            score="top1",
        ),
        data,
        folder,
    )
