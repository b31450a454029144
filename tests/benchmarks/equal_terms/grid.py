"""The comparison: kinds of input for a network, and the training of each.

A kind of input changes only the input and the first layers: images, order, crops, epochs,
recipe and validation are the same, and all strides are torchvision's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from freqprep.training.recipe import Recipe
from freqprep.training.request import TrainingRequest
from tests.benchmarks.training_runs import recipe

MODELS = ("mobilenet_v2", "resnet50")
SEEDS = (0, 1, 2)
GATE, GATED = "gate", "dct-24-gate"
STATS = "dct-24-stats"
JPEGS = "rgb-jpegs"
TOP = 24


@dataclass(frozen=True)
class Way:
    """A kind of input for a network.

    Attributes
    ----------
    label : str
    changes : dict
        Fields of a `TrainingRequest`.
    """

    label: str
    changes: Mapping[str, Any] = field(default_factory=dict)


WAYS = {
    "rgb": Way("RGB, from the store", {"input": "rgb"}),
    # The loader is only needed for rows and labels; the one channel that it reads is not used.
    JPEGS: Way("RGB, from the JPEGs", {"input": "rgb", "read": ("y_0_0",)}),
    "dct-24": Way("DCT-24, square", {"channels": "square-24"}),
    "dct-24-alone": Way(
        "DCT-24, square, only 24 read", {"channels": "square-24", "read": "square-24"}
    ),
    STATS: Way("DCT, stats --top 24"),
    "dct-48": Way("DCT-48", {"channels": "paper-48"}),
    "dct-64": Way("DCT-64", {"channels": "paper-64"}),
    "dct-192": Way("DCT-192", {"channels": "all"}),
    GATE: Way("DCT-192 behind a gate", {"gate": True}),
    GATED: Way("DCT-24, the gate's first"),
    "patches-24": Way("RGB, learned 8x8 to 24", {"input": "rgb", "patches": 24}),
    "patches-64": Way("RGB, learned 8x8 to 64", {"input": "rgb", "patches": 64}),
}
"""Kinds of input by folder name. Those without changes get channels chosen from the data."""

_TRIED = ("rgb", "dct-24")
_TRIAL_SEED = 100


@dataclass(frozen=True)
class Scale:
    """Size of the grid of trainings.

    Attributes
    ----------
    name : str
        Name in table and chart.
    size : int
        Long side of the stored images, pixels.
    grids, epochs : dict of str to int
        Model -> blocks per side, epochs.
    ways : dict of str to tuple of str
        Model -> names in `WAYS`.
    batch_size : int
    rates : tuple of float
        Learning rates to try.
    workers, threads : int
        Number of parallel trainings; threads that read and decode in each.
    """

    name: str
    size: int
    grids: Mapping[str, int]
    epochs: Mapping[str, int]
    ways: Mapping[str, tuple[str, ...]]
    batch_size: int
    rates: tuple[float, ...]
    workers: int
    threads: int


FULL = Scale(
    "full, GPU",
    size=1024,
    grids={"resnet50": 56, "mobilenet_v2": 112},
    epochs={"resnet50": 20, "mobilenet_v2": 20},
    ways=dict.fromkeys(MODELS, tuple(WAYS)),
    batch_size=64,
    rates=(0.025, 0.05, 0.1),
    workers=3,
    threads=5,
)
REDUCED = Scale(
    "reduced, CPU",
    size=512,
    grids={"resnet50": 14, "mobilenet_v2": 28},
    epochs={"resnet50": 8, "mobilenet_v2": 12},
    ways={
        "mobilenet_v2": ("rgb", JPEGS, "dct-24", "dct-24-alone", "dct-64", "patches-24"),
        "resnet50": ("rgb", "dct-24", "dct-64", "patches-24"),
    },
    batch_size=32,
    rates=(0.0125, 0.025, 0.05),
    workers=2,
    threads=1,
)


def choose_scale() -> Scale:
    """Return the scale: the full grid if there is a GPU."""
    return FULL if torch.cuda.is_available() else REDUCED


@dataclass(frozen=True)
class Training:
    """One network to train.

    Attributes
    ----------
    model, way : str
    seed : int
    recipe : Recipe
    folder : Path
        Folder of the run.
    """

    model: str
    way: str
    seed: int
    recipe: Recipe
    folder: Path

    def request(self, scale: Scale, store: Path, **changes: Any) -> TrainingRequest:
        """Request of this training; an existing run is resumed."""
        return TrainingRequest(
            store=store,
            run=self.folder,
            model=self.model,
            recipe=self.recipe,
            grid=scale.grids[self.model],
            seed=self.seed,
            threads=scale.threads,
            resume=True,
            **{**WAYS[self.way].changes, **changes},
        )


def trials(scale: Scale, folder: Path) -> dict[str, dict[float, list[Training]]]:
    """Trials by model and learning rate: half the epochs, for RGB and for coefficients."""
    return {
        model: {
            rate: [
                Training(
                    model,
                    way,
                    _TRIAL_SEED,
                    recipe(max(1, scale.epochs[model] // 2), scale.batch_size, rate),
                    folder / "trials" / model / f"rate-{rate:g}" / way,
                )
                for way in _TRIED
            ]
            for rate in scale.rates
        }
        for model in MODELS
    }


def trainings(scale: Scale, rates: Mapping[str, float], folder: Path) -> list[Training]:
    """List the trainings in order of execution, so that an interrupted grid has complete seeds.

    Parameters
    ----------
    scale : Scale
    rates : dict of str to float
        Learning rate of each model.
    folder : Path
        Folder of the grid.
    """
    return [
        Training(
            model,
            way,
            seed,
            recipe(scale.epochs[model], scale.batch_size, rates[model]),
            folder / "runs" / model / way / f"seed-{seed}",
        )
        for model in MODELS
        for seed in SEEDS
        for way in scale.ways[model]
    ]
