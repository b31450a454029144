"""Peak memory of a detector's training step on the CPU, by grid and trained stages.

Each case runs in its own process; its peak resident memory includes Python and torch
(about 0.4 GB), weights, gradients, momentum and activations.
"""

from __future__ import annotations

import itertools
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

from tests.benchmarks.table import show

_GRIDS = ((80, 107), (160, 214), (200, 267))  # 640x480: short sides of 320, 640 and 800
_RGB_GRID = (160, 214)
_TRAINING = {  # trained part -> frozen batch norm, stages
    "frozen norm, 4 stages": (True, 4),
    "frozen norm, 3 stages": (True, 3),
    "trained norm, 4 stages": (False, 4),
}
_MODELS = ("fasterrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn")
_IMAGES, _OBJECTS, _STEPS = 2, 10, 2  # from the second step on with momentum


def run(data: Path, folder: Path) -> dict[str, object]:
    rows = []
    inputs = [("frequency", grid) for grid in _GRIDS] + [("rgb", _RGB_GRID)]
    for (kind, grid), what in itertools.product(inputs, _TRAINING):
        of_models = [_in_a_process(model, kind, grid, what) for model in _MODELS]
        peaks = [peak for peak, _ in of_models]
        seconds = [each for _, each in of_models]
        rows.append((kind, "x".join(map(str, grid)), what, *peaks, *seconds))
    header = ("input", "grid", "what trains", "Faster, GB", "Mask, GB", "Faster, s", "Mask, s")
    show(header, rows)
    return {"rows": rows}


def _in_a_process(model: str, kind: str, grid: tuple[int, int], what: str) -> tuple[float, float]:
    """Peak memory in GB, and seconds of the last step."""
    case = json.dumps((model, kind, grid, *_TRAINING[what]))
    command = [sys.executable, "-m", "tests.benchmarks.detection_memory", case]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    peak, seconds = json.loads(output)
    return peak / 1e9, seconds


def _measure(
    model: str, kind: str, grid: tuple[int, int], frozen: bool, stages: int
) -> tuple[int, float]:
    """Peak memory of this process in bytes after some steps, and seconds of the last step."""
    import torch

    from freqprep.models.detection import build_detector

    torch.manual_seed(0)
    detector = build_detector(model, input=kind, frozen_norm=frozen, trained_stages=stages)
    detector.to(memory_format=torch.channels_last)
    trained = [p for p in detector.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, 1e-5, 0.9, weight_decay=1e-4)
    height, width = (4 * side for side in grid)
    canvas = [-(-side // 32) * 32 // detector.stride for side in (height, width)]
    images = torch.randn(_IMAGES, 24 if kind == "frequency" else 3, *canvas)
    images = images.contiguous(memory_format=torch.channels_last)
    targets = [_objects(height, width) for _ in range(_IMAGES)]
    near = [target["boxes"].repeat(20, 1) for target in targets]

    def find(_: object, __: object, output: tuple[list[torch.Tensor], object]) -> object:
        # A trained network proposes the objects, and fills the quota of positive regions (128).
        proposals, losses = output
        return [torch.cat(both) for both in zip(proposals, near, strict=True)], losses

    detector.rpn.register_forward_hook(find)
    for _ in range(_STEPS):
        began = time.perf_counter()
        optimizer.zero_grad()
        losses = detector(images, [(height, width)] * _IMAGES, targets)
        sum(losses.values()).backward()  # type: ignore[union-attr]
        optimizer.step()
    seconds = time.perf_counter() - began
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, seconds


def _objects(height: int, width: int) -> dict[str, object]:
    """Targets with objects of all sizes up to the whole frame; masks fill their boxes."""
    import torch

    sides = torch.tensor([height, width]) * torch.linspace(0.05, 1, _OBJECTS)[:, None]
    corner = torch.rand(_OBJECTS, 2) * (torch.tensor([height, width]) - sides)
    masks = torch.zeros(_OBJECTS, height, width, dtype=torch.uint8)
    for mask, (y, x), (h, w) in zip(masks, corner.int(), sides.int(), strict=True):
        mask[y : y + h, x : x + w] = 1
    return {
        "boxes": torch.cat([corner, corner + sides], 1)[:, [1, 0, 3, 2]],
        "labels": torch.randint(1, 81, (_OBJECTS,)),
        "iscrowd": torch.zeros(_OBJECTS, dtype=torch.bool),
        "masks": masks,
    }


if __name__ == "__main__":
    print(json.dumps(_measure(*json.loads(sys.argv[1]))))
