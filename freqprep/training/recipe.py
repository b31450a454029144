"""How a network is trained: numbers alone, and the published sets of them."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from freqprep.augment import Policy
from freqprep.errors import UsageError

SCHEDULES = ("cosine", "steps")
REFERENCE_BATCH = 256
"""Batch that the presets' learning rates are for; others scale them in proportion."""

_STEPS_AT = (1 / 3, 2 / 3, 5 / 6)
_STEP_FACTOR = 0.1


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
    schedule : {"cosine", "steps"}
        To zero along half a cosine, or to a tenth at 1/3, 2/3 and 5/6 of the epochs.
    warmup_epochs : float
        The learning rate rises linearly from zero.
    label_smoothing : float
        In [0, 1).
    mixup, cutmix : float
        Parameter of the beta distribution that the share is drawn from; 0 leaves it out. With
        both, each batch gets one or the other.
    average : float
        Decay of the running average of the weights, which are the result; 0 keeps no average.
    gate_lambda : float
        Weight of the mean share of open gates in the loss; without a gate, nothing.
    policy : Policy
        Augmentation of the images.
    """

    epochs: int
    batch_size: int
    lr: float
    accumulate: int = 1
    momentum: float = 0.9
    weight_decay: float = 1e-4
    schedule: str = "cosine"
    warmup_epochs: float = 5.0
    label_smoothing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    average: float = 0.0
    gate_lambda: float = 0.0
    policy: Policy = dataclasses.field(default_factory=Policy)

    def __post_init__(self) -> None:
        _check(self.epochs >= 1, f"{self.epochs} epochs", "train for at least one")
        _check(self.batch_size >= 1, f"a batch of {self.batch_size}", "take at least one image")
        parts = f"a batch of {self.batch_size} in {self.accumulate} parts"
        _check(1 <= self.accumulate <= self.batch_size, parts, "use one part or more, but fewer")
        positive = math.isfinite(self.lr) and self.lr > 0
        _check(positive, f"a learning rate of {self.lr}", "use a number above 0")
        _check(
            self.schedule in SCHEDULES,
            f"schedule {self.schedule!r}",
            f"use {' or '.join(SCHEDULES)}",
        )
        for name, below in _RANGES.items():
            value = getattr(self, name)
            fits = math.isfinite(value) and 0 <= value < below
            _check(fits, f"{name} {value}", f"use 0 or more, below {below:g}")

    def to_dict(self) -> dict[str, Any]:
        """As JSON data."""
        return {**dataclasses.asdict(self), "policy": self.policy.to_dict()}

    def learning_rate(self, step: int, steps: int) -> float:
        """Learning rate of one step.

        Parameters
        ----------
        step : int
            From 0, over all epochs.
        steps : int
            Of one epoch.
        """
        total, warmup = self.epochs * steps, self.warmup_epochs * steps
        rising = min(1.0, (step + 1) / warmup) if warmup else 1.0
        if self.schedule == "cosine":
            past = max(0.0, step - warmup) / max(1.0, total - warmup)
            return self.lr * rising * 0.5 * (1 + math.cos(math.pi * min(1.0, past)))
        drops = sum(step >= round(total * share) for share in _STEPS_AT)
        return self.lr * rising * _STEP_FACTOR**drops


_RANGES = {
    "momentum": 1.0,
    "weight_decay": 1.0,
    "warmup_epochs": 1e6,
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

PRESETS: dict[str, dict[str, Recipe]] = {
    "short": {"resnet50": _SHORT, "mobilenet_v2": dataclasses.replace(_SHORT, lr=0.2)},
    "paper": {"resnet50": _PUBLISHED_RESNET50, "mobilenet_v2": _PUBLISHED_MOBILENET_V2},
}
"""Name -> model -> recipe. ``paper`` is what was published (Xu et al., CVPR 2020, and their code)
but for two things: norms and biases do not decay here, and of the two weight decays published for
ResNet-50, 4e-5 and a script's 1e-4, it takes the latter. Their ResNet-50 began from weights trained
on RGB (``--init``)."""


def preset_recipe(name: str, model: str, **changes: Any) -> Recipe:
    """A preset's recipe for a model, with some numbers changed.

    Parameters
    ----------
    name : str
        One of `PRESETS`.
    model : str
    **changes
        Fields of `Recipe`; None keeps the preset's. The learning rate follows the batch size
        unless it is given; a warm-up is at most a fifth of the epochs.

    Raises
    ------
    UsageError
        There is no such preset or model, or a number is out of its range.
    """
    if name not in PRESETS:
        raise UsageError(f"preset {name!r} does not exist", f"use {' or '.join(PRESETS)}")
    _check(model in PRESETS[name], f"model {model!r}", f"use {' or '.join(PRESETS[name])}")
    recipe = PRESETS[name][model]
    given = {field: value for field, value in changes.items() if value is not None}
    batch = given.get("batch_size", recipe.batch_size)
    epochs = given.get("epochs", recipe.epochs)
    given.setdefault("lr", recipe.lr * batch / REFERENCE_BATCH)
    given.setdefault("warmup_epochs", min(recipe.warmup_epochs, epochs / 5))
    return dataclasses.replace(recipe, **given)
