"""Requests for tiny runs. It can be imported without torch: what needs it is inside fixtures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from compute_threads import one_compute_thread
from narrow_networks import narrow_classifiers, narrow_detectors

if TYPE_CHECKING:
    from freqprep.training.request import TrainingRequest


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """As many compute threads in every test and fixture: results are compared to the bit."""
    pytest.importorskip("torch")
    with one_compute_thread():
        yield


@pytest.fixture(autouse=True, scope="module")
def narrow_networks(one_thread):
    """Networks of few channels in every test and fixture: steps take less than half the time."""
    with narrow_classifiers(), narrow_detectors():
        yield


@pytest.fixture(autouse=True)
def one_picture_of_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no run draw its curves: that takes a quarter of a tiny run. `test_metrics` draws some."""
    monkeypatch.setattr("freqprep.training.curves.as_png", lambda draw: b"\x89PNG")


@pytest.fixture
def tiny(store: Path, tmp_path: Path) -> Callable[..., TrainingRequest]:
    """Requests for a run in a folder of the test: see `tiny_request`."""
    from tiny_runs import tiny_request

    return partial(tiny_request, store, tmp_path / "run")
