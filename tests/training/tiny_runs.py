"""Requests for tiny runs."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from freqprep.training.recipe import Recipe
from freqprep.training.request import TrainingRequest

_RECIPE = Recipe(2, 32, 0.05, warmup_epochs=0.5, label_smoothing=0.1, average=0.9)


def tiny_request(at: Path, into: Path, /, **changes: object) -> TrainingRequest:
    """Return a run of mobilenet_v2 on 16x16 blocks: 155 images in batches of 32, two epochs.

    Parameters
    ----------
    at, into : Path
        Store and run folder.
    **changes
        Fields of the recipe or of the request.
    """
    of_recipe = {name for name in changes if name in Recipe.__dataclass_fields__}
    numbers = {name: changes.pop(name) for name in of_recipe}
    request = TrainingRequest(
        store=at,
        run=into,
        model="mobilenet_v2",
        recipe=dataclasses.replace(_RECIPE, **numbers),
        channels="paper-6",
        grid=16,
        device="cpu",
    )
    return dataclasses.replace(request, **changes)
