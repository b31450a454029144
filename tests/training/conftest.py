"""Requests for tiny runs. It can be imported without torch: what needs it is inside fixtures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from compute_threads import one_compute_thread

from freqprep.models.torchvision_ops import import_torchvision

if TYPE_CHECKING:
    from freqprep.training.request import TrainingRequest


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """As many compute threads in every test and fixture: results are compared to the bit."""
    pytest.importorskip("torch")
    with one_compute_thread():
        yield


@pytest.fixture(autouse=True)
def one_picture_of_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no run draw its curves: that takes a quarter of a tiny run. `test_metrics` draws some."""
    monkeypatch.setattr("freqprep.training.curves.as_png", lambda draw: b"\x89PNG")


@pytest.fixture
def narrow_detectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Narrow the ResNet inside, and the pyramid by half: a step takes half the time or less.

    Layers, their names and their order stay as they are, and so does the heads' code.
    """
    models = import_torchvision().models
    pyramids = models.detection.backbone_utils
    wide = pyramids.BackboneWithFPN

    def narrow(body, stages: dict[str, str], widths: list[int], out: int):
        return wide(body, stages, widths, out // 2)

    monkeypatch.setattr(models, "resnet50", partial(models.resnet50, width_per_group=16))
    monkeypatch.setattr(pyramids, "BackboneWithFPN", narrow)


@pytest.fixture
def tiny(store: Path, tmp_path: Path) -> Callable[..., TrainingRequest]:
    """Requests for a run in a folder of the test: see `tiny_request`."""
    from tiny_runs import tiny_request

    return partial(tiny_request, store, tmp_path / "run")
