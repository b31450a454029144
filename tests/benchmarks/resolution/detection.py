"""Blood cells: Faster R-CNN from random weights."""

from __future__ import annotations

from pathlib import Path

from freqprep.training.recipe import preset_recipe
from tests.benchmarks.resolution.trainings import Domain, run_all_sizes

_MODEL = "fasterrcnn_resnet50_fpn"


def run(data: Path, folder: Path) -> dict[str, object]:
    return run_all_sizes(
        Domain(
            "bccd",
            "coco",
            _MODEL,
            {213: 20, 427: 40, 640: 60},  # 480 pixels high
            ("10KB/image",),
            preset_recipe("short", _MODEL, epochs=10, batch_size=2),
            rates=(0.01,),
            seeds=2,
            request={"regions": 128},
            score="AP",
        ),
        data,
        folder,
    )
