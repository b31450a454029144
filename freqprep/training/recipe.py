"""Hyperparameters of a run, and the published sets of them."""

from __future__ import annotations

import dataclasses
import itertools
import math
from dataclasses import dataclass
from typing import Any

from freqprep.arguments import check_fields
from freqprep.augment import DetectorPolicy, Policy
from freqprep.errors import UsageError, did_you_mean
from freqprep.models.detection import DETECTORS

__all__ = ["Recipe", "preset_recipe"]

SCHEDULES = ("cosine", "linear", "steps")
_STEP_FACTOR = 0.1
_RAMP = (11 / 16, 13 / 16)
"""Shares of the epochs between which the grid rises: those of FFCV's recipe of 16 epochs."""
_GRID_MULTIPLE = 8
"""Of the grids between: ResNet-50's stride, and few shapes to prepare kernels for."""


@dataclass(frozen=True)
class Recipe:
    """Numbers of a training run.

    Attributes
    ----------
    epochs : int
    batch_size : int
        Images of one step of the optimizer, over all processes.
    accumulate : int
        Parts a batch is computed in; their gradients are added.
    lr : float
        Learning rate after the warm-up.
    momentum, weight_decay : float
        Of SGD. Norms and biases do not decay.
    schedule : {"cosine", "linear", "steps"}
        To zero along half a cosine or in a straight line, or to a tenth at each of ``drops``.
    drops : tuple of float
        Shares of the epochs.
    warmup_epochs : float
        The learning rate rises linearly from zero.
    warmup_steps : int
        So many steps more, but at most a fifth of all.
    clip : float
        Largest norm of the gradient, all parameters together; 0 does not clip.
    label_smoothing : float
        In [0, 1).
    mixup, cutmix : float
        Parameter of the beta distribution that the share is drawn from; 0 leaves it out. With
        both, each batch gets one or the other.
    average : float
        Decay of the EMA of the weights, which is the result; 0 keeps none.
    gate_channels : int, or None
        Number of channels that a gate leaves open in the end.
    gate_budget : str, or None
        Their stored bytes instead: ``20KB/image``, or ``60GB`` of the whole split.
    gate_lambda : float
        Of a gate with neither: weight of the mean share of open gates in the loss.
    policy : Policy, or DetectorPolicy of a detector
        Augmentation of the images.
    grid_ramp : tuple of int, or None
        First and last grid that a classifier is trained with; see `training_grid`. None: the
        network's own in all epochs.
    """

    epochs: int
    batch_size: int
    lr: float
    accumulate: int = 1
    momentum: float = 0.9
    weight_decay: float = 1e-4
    schedule: str = "cosine"
    drops: tuple[float, ...] = (1 / 3, 2 / 3, 5 / 6)
    warmup_epochs: float = 5.0
    warmup_steps: int = 0
    clip: float = 0.0
    label_smoothing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    average: float = 0.0
    gate_lambda: float = 0.0
    gate_channels: int | None = None
    gate_budget: str | None = None
    policy: Policy | DetectorPolicy = dataclasses.field(default_factory=Policy)
    grid_ramp: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        _check(self.epochs >= 1, f"{self.epochs} epochs", "train for at least one")
        _check(self.batch_size >= 1, f"a batch of {self.batch_size}", "take at least one image")
        parts = f"a batch of {self.batch_size} in {self.accumulate} parts"
        fits = 1 <= self.accumulate <= self.batch_size
        _check(fits, parts, f"use 1 to {self.batch_size} parts")
        positive = math.isfinite(self.lr) and self.lr > 0
        _check(positive, f"a learning rate of {self.lr}", "use a number above 0")
        _check(
            self.schedule in SCHEDULES,
            f"schedule {self.schedule!r}",
            f"use {' or '.join(SCHEDULES)}",
        )
        rising = all(0 < a < b <= 1 for a, b in itertools.pairwise((*self.drops, 1.0)))
        _check(rising, f"drops {self.drops}", "use shares of the epochs that rise, from 0 to 1")
        for name, below in _RANGES.items():
            value = getattr(self, name)
            fits = math.isfinite(value) and 0 <= value < below
            _check(fits, f"{name} {value}", f"use 0 or more, below {below:g}")
        goals = ("gate_channels", "gate_budget", "gate_lambda")
        given = [f"--{name.replace('_', '-')}" for name in goals if getattr(self, name)]
        _check(len(given) < 2, " with ".join(given), "give one: each says how many stay open")
        chosen = self.gate_channels
        _check(chosen is None or chosen >= 1, f"a gate for {chosen} channels", "open at least one")
        ramp = self.grid_ramp
        fits = ramp is None or 1 <= ramp[0] <= ramp[1]
        _check(fits, f"a grid ramp of {ramp}", "use two grids that rise, such as 20:28")

    def to_dict(self) -> dict[str, Any]:
        """Return JSON data; ramp and goal of a gate only where there is one, as before."""
        document = dataclasses.asdict(self) | {"policy": self.policy.to_dict()}
        document["drops"] = list(self.drops)
        later = {name: document.pop(name) for name in ("gate_channels", "gate_budget", "grid_ramp")}
        if self.grid_ramp is not None:
            later["grid_ramp"] = list(self.grid_ramp)
        return document | {name: value for name, value in later.items() if value is not None}

    @property
    def gate_selects(self) -> bool:
        """Whether a gate ends with a given number of channels, or of their bytes."""
        return self.gate_channels is not None or self.gate_budget is not None

    def training_grid(self, epoch: int, grid: int) -> int:
        """Return the grid that an epoch's images are resized to.

        With a ramp it is the first for 11/16 of the epochs, rises linearly, in multiples of 8,
        and is the last from 13/16 of the epochs on: the last epoch always has it.

        Parameters
        ----------
        epoch : int
            From 0.
        grid : int
            The network's own, which it has without a ramp.

        Returns
        -------
        int
        """
        if self.grid_ramp is None:
            return grid
        first, last = self.grid_ramp
        start, end = (int(self.epochs * share) for share in _RAMP)
        if epoch >= end:
            return last
        if epoch <= start:
            return first
        exact = first + (last - first) * (epoch - start) / (end - start)
        return min(max(_GRID_MULTIPLE * round(exact / _GRID_MULTIPLE), first), last)

    def learning_rate(self, step: int, steps: int) -> float:
        """Return the learning rate of one step.

        Parameters
        ----------
        step : int
            From 0, over all epochs.
        steps : int
            Of one epoch.

        Returns
        -------
        float
            Of all parameters.
        """
        total = self.epochs * steps
        warmup = self.warmup_epochs * steps + min(self.warmup_steps, total / 5)
        rising = min(1.0, (step + 1) / warmup) if warmup else 1.0
        past = min(1.0, max(0.0, step - warmup) / max(1.0, total - warmup))
        if self.schedule == "cosine":
            return self.lr * rising * 0.5 * (1 + math.cos(math.pi * past))
        if self.schedule == "linear":
            return self.lr * rising * (1 - past)
        drops = sum(step >= round(total * share) for share in self.drops)
        return self.lr * rising * _STEP_FACTOR**drops


_RANGES = {
    "momentum": 1.0,
    "weight_decay": 1.0,
    "warmup_epochs": 1e6,
    "warmup_steps": 1e9,
    "clip": 1e9,
    "label_smoothing": 1.0,
    "mixup": 1e3,
    "cutmix": 1e3,
    "average": 1.0,
    "gate_lambda": 1e6,
}


def _check(condition: bool, what: str, remedy: str) -> None:
    if not condition:
        raise UsageError(f"{what} cannot be used", remedy)


_PUBLISHED_RESNET50 = Recipe(210, 256, 0.1, schedule="steps", warmup_epochs=0.0, weight_decay=1e-4)
_PUBLISHED_MOBILENET_V2 = Recipe(150, 256, 0.05, warmup_epochs=0.0, weight_decay=4e-5)
_SHORT = Recipe(
    30,
    256,
    0.5,
    weight_decay=5e-5,
    warmup_epochs=2.0,
    label_smoothing=0.1,
    average=0.999,
    policy=Policy(scale=(0.25, 1.0)),
)
_FAST = Recipe(
    16,
    512,
    1.7 / 8,
    schedule="linear",
    warmup_epochs=2.0,
    weight_decay=1e-4,
    label_smoothing=0.1,
    grid_ramp=(40, 48),
)

_PUBLISHED_DETECTOR = Recipe(
    20,
    16,
    0.02,
    weight_decay=1e-4,
    schedule="steps",
    drops=(0.8, 0.95),
    warmup_epochs=0.0,
    warmup_steps=500,
    clip=35.0,
    policy=DetectorPolicy(),
)
_SHORT_DETECTOR = dataclasses.replace(
    _PUBLISHED_DETECTOR, epochs=12, schedule="cosine", average=0.99
)

PRESETS: dict[str, dict[str, Recipe]] = {
    "short": {
        "resnet50": _SHORT,
        "mobilenet_v2": dataclasses.replace(_SHORT, lr=0.2),
        **dict.fromkeys(DETECTORS, _SHORT_DETECTOR),
    },
    "fast": {
        "resnet50": _FAST,
        "mobilenet_v2": dataclasses.replace(_FAST, weight_decay=4e-5, grid_ramp=(80, 96)),
    },
    "paper": {
        "resnet50": _PUBLISHED_RESNET50,
        "mobilenet_v2": _PUBLISHED_MOBILENET_V2,
        **dict.fromkeys(DETECTORS, _PUBLISHED_DETECTOR),
    },
}
"""Name -> model -> recipe. ``paper`` is what was published (Xu et al., CVPR 2020, and their code)
but for two things: norms and biases do not decay here, and of the two weight decays published for
ResNet-50, 4e-5 and a script's 1e-4, it takes the latter. Their ResNet-50 began from weights trained
on RGB (``--init``). ``fast`` is FFCV's of 16 epochs for ResNet-50 (libffcv/ffcv-imagenet,
rn50_configs/rn50_16_epochs.yaml): trained at 160 to 192 pixels and tested at 224, the learning rate
of its 8 x 512 images for 512; without its blurred pooling and its mirrored images in the test. For
MobileNetV2 none was published: the same with that network's weight decay. Detectors: 0.0025 for a
pair of images; RGB's usual 12 epochs were 20."""


def preset_recipe(name: str, model: str, **changes: Any) -> Recipe:
    """Return a preset's recipe for a model, with some fields changed.

    Parameters
    ----------
    name : str
        One of `PRESETS`.
    model : str
    **changes
        Fields of `Recipe`; None keeps the preset's. The learning rate is in proportion to the
        batch size unless it is given; a warm-up is at most a fifth of the epochs.

    Returns
    -------
    Recipe

    Raises
    ------
    UsageError
        There is no such preset or model, or a number is out of its range.
    """
    if name not in PRESETS:
        remedy = f"{did_you_mean(name, PRESETS)}use {' or '.join(PRESETS)}"
        raise UsageError(f"preset {name!r} does not exist", remedy)
    models = PRESETS[name]
    remedy = f"{did_you_mean(model, models)}use {' or '.join(models)}"
    _check(model in models, f"model {model!r} with preset {name!r}", remedy)
    recipe = PRESETS[name][model]
    given = {field: value for field, value in changes.items() if value is not None}
    batch = given.get("batch_size", recipe.batch_size)
    epochs = given.get("epochs", recipe.epochs)
    given.setdefault("lr", recipe.lr * batch / recipe.batch_size)
    given.setdefault("warmup_epochs", min(recipe.warmup_epochs, epochs / 5))
    return dataclasses.replace(recipe, **given)
