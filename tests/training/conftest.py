"""Requests for tiny runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch

from freqprep.training.recipe import Recipe
from freqprep.training.request import TrainingRequest


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """As many compute threads in every test and fixture: results are compared to the bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def tiny(store: Path, tmp_path: Path) -> Callable[..., TrainingRequest]:
    """A run of mobilenet_v2 on 16x16 blocks: 155 images in batches of 32, two epochs."""
    recipe = Recipe(2, 32, 0.05, warmup_epochs=0.5, label_smoothing=0.1, average=0.9)

    def make(**changes: object) -> TrainingRequest:
        of_recipe = {name for name in changes if name in Recipe.__dataclass_fields__}
        numbers = {name: changes.pop(name) for name in of_recipe}
        request = TrainingRequest(
            store=store,
            run=tmp_path / "run",
            model="mobilenet_v2",
            recipe=dataclasses.replace(recipe, **numbers),
            channels="paper-6",
            grid=16,
            device="cpu",
        )
        return dataclasses.replace(request, **changes)

    return make
