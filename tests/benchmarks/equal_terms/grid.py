"""The comparison: kinds of input for a network, and the training of each.

A kind of input changes only the input and the first layers: images, order, crops, epochs,
recipe and validation are the same, and all strides are torchvision's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from freqprep.training.recipe import Recipe
from freqprep.training.request import TrainingRequest
from tests.benchmarks.training_runs import recipe

MODELS = ("mobilenet_v2", "resnet50")
SEEDS = {"mobilenet_v2": (0, 1, 2, 3, 4), "resnet50": (0, 1, 2)}
STATS = "dct-24-stats"
STATS_CHOICE = "stats.json"
"""File of the channels of that way, in the folder of the grid."""
JPEGS = "rgb-jpegs"
PIXELS = "pixels-192"
TOP = 24


@dataclass(frozen=True)
class Way:
    """A kind of input for a network.

    Attributes
    ----------
    label : str
    changes : dict
        Fields of a `TrainingRequest`.
    recipe : dict
        Fields of its `Recipe`.
    steps : str
        Quantization steps of the store: a key of `PRECISIONS`.
    gate : str
        Way whose gate's selection is the network's input; empty for none.
    rate : str
        Way whose learning rate it takes; empty for one of its own.
    """

    label: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    steps: str = "int8"
    gate: str = ""
    rate: str = ""


def _coefficients(label: str, chosen: str, steps: str = "int8") -> Way:
    """Describe a network on some channels of which it reads no others."""
    return Way(label, {"channels": chosen, "read": chosen}, steps=steps)


WAYS = {
    "rgb": Way("RGB", {"input": "rgb"}),
    # The loader is only needed for rows and labels; the one channel that it reads is not used.
    JPEGS: Way("RGB, from the JPEGs", {"input": "rgb", "read": ("y_0_0",)}, rate="rgb"),
    "patches-24": Way("RGB, learned 8x8 to 24", {"input": "rgb", "patches": 24}),
    "patches-64": Way("RGB, learned 8x8 to 64", {"input": "rgb", "patches": 64}),
    PIXELS: Way("RGB, 8x8 pixels as 192 channels", {"input": "rgb", "patches": 192}),
    "dct-24": _coefficients("DCT-24, square", "square-24"),
    "dct-24-of-64": Way(
        "DCT-24, square, 64 read", {"channels": "square-24", "read": "paper-64"}, rate="dct-24"
    ),
    STATS: Way("DCT, stats' choice"),
    "dct-48": _coefficients("DCT-48", "paper-48"),
    "dct-48-coarse": _coefficients("DCT-48, coarse steps", "paper-48", "coarse"),
    "dct-64": _coefficients("DCT-64", "paper-64"),
    "dct-192": _coefficients("DCT-192", "all"),
    "gate-24": Way(
        "DCT-192, a gate for 24", {"gate": True}, {"gate_channels": TOP}, rate="dct-192"
    ),
    "gate-24-alone": Way("DCT-24, that gate's", gate="gate-24", rate="dct-24"),
    "gate-bytes": Way("DCT-192, a gate for the bytes of square-24", {"gate": True}, rate="dct-192"),
    "gate-bytes-alone": Way("DCT, that gate's", gate="gate-bytes", rate="dct-24"),
    "gate-48": Way("DCT-192, a gate for 48", {"gate": True}, {"gate_channels": 48}, rate="dct-192"),
    "gate-48-alone": Way("DCT-48, that gate's", gate="gate-48", rate="dct-48"),
}
"""Kinds of input by folder name. Those without changes get channels chosen from the data."""

_TRIAL_SEED = 100


@dataclass(frozen=True)
class Scale:
    """Size of the grid of trainings.

    Attributes
    ----------
    name : str
        Name in table and chart.
    source : str
        Folder of the data.
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
    source: str
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
    source="flowers17",
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
    source="imagenette",
    size=224,
    grids=dict.fromkeys(MODELS, 28),
    epochs={"mobilenet_v2": 8, "resnet50": 4},
    ways={
        "mobilenet_v2": (
            "rgb",
            "patches-24",
            "dct-24",
            PIXELS,
            "dct-192",
            "dct-64",
            STATS,
            "dct-48",
            "dct-48-coarse",
            "gate-24",
            "gate-24-alone",
            "gate-bytes",
            "gate-bytes-alone",
            "gate-48",
        ),
        "resnet50": ("rgb", "dct-24", "patches-24", "dct-64"),
    },
    batch_size=32,
    rates=(0.00625, 0.0125, 0.025, 0.05),
    workers=2,
    threads=1,
)


def store_path(folder: Path, steps: str) -> Path:
    """Return the path of the store with some steps, a key of `PRECISIONS`, in a grid's folder."""
    return folder / f"{steps}.zarr"


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

    def request(
        self, scale: Scale, store: Path, goal: Mapping[str, Any], **changes: Any
    ) -> TrainingRequest:
        """Request of this training; an existing run is resumed.

        Parameters
        ----------
        scale : Scale
        store : Path
        goal : dict
            Fields of the recipe.
        **changes
            Fields of the request.
        """
        return TrainingRequest(
            store=store,
            run=self.folder,
            model=self.model,
            recipe=dataclasses.replace(self.recipe, **goal),
            grid=scale.grids[self.model],
            seed=self.seed,
            threads=scale.threads,
            resume=True,
            **{**WAYS[self.way].changes, **changes},
        )


def trials(scale: Scale, folder: Path) -> dict[tuple[str, str], dict[float, Training]]:
    """List trials by model and way, then rate: three eighths of the epochs, another seed."""
    return {
        (model, way): {
            rate: Training(
                model,
                way,
                _TRIAL_SEED,
                recipe(max(1, 3 * scale.epochs[model] // 8), scale.batch_size, rate),
                folder / "trials" / model / way / f"rate-{rate:g}",
            )
            for rate in scale.rates
        }
        for model in MODELS
        for way in scale.ways[model]
        if not WAYS[way].rate
    }


def trainings(scale: Scale, model: str, rates: Mapping[str, float], folder: Path) -> list[Training]:
    """List the trainings in order of execution: gates last, so that others have complete seeds.

    Parameters
    ----------
    scale : Scale
    model : str
    rates : dict of str to float
        Learning rate of each way that was tried.
    folder : Path
        Folder of the grid.
    """
    return [
        Training(
            model,
            way,
            seed,
            recipe(scale.epochs[model], scale.batch_size, rates[WAYS[way].rate or way]),
            folder / "runs" / model / way / f"seed-{seed}",
        )
        for of_gates in (False, True)
        for seed in SEEDS[model]
        for way in scale.ways[model]
        if of_gates == way.startswith("gate")
    ]
